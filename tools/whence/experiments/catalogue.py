"""The experiments. Expected values of the full size are those of tests/results, where the commands stand, too; the paper's
are read off its tables and figures. GAN paper: Terashita et al., ICLR 2021. VAE paper: Kong and Chaudhuri, NeurIPS 2021."""
from .experiment import Expected, Experiment, Figure, Size

EPOCHS_BACK = (1, 5, 10, 20, 50)


def agreement(values, small=(), small_within=0.02, metric="all", kink=0.0, name="kendall_tau", words="Kendall's tau", papers=(), within=0.03):
    """Figures of a validation.json: `values` and `small` map k to what is expected."""
    width = "" if kink is None else ", kink width %g" % kink
    row = {"metric": metric} if kink is None else {"metric": metric, "kink_width": kink}
    small, papers = dict(small), dict(papers)
    return tuple(Figure("%s of %s, k = %d%s" % (words, metric, k, width), "validation.json",
                        ("rows", {**row, "epochs_back": k}, name),
                        full=Expected(values[k], within) if k in values else None,
                        small=Expected(small[k], small_within) if k in small else None, paper=papers.get(k))
                 for k in sorted(set(values) | set(small)))


def cleansed(metric, changes, small=None, papers=(), within=0.02):
    """Figures of a cleansing.json: the change of a test metric by number of instances removed by influence on it."""
    small, papers = dict(small or {}), dict(papers)
    return tuple(Figure("change of test %s, %d removed by influence on it" % (metric, n), "cleansing.json",
                        ("rows", {"metric": metric, "removed": n, "selection": "influence:" + metric}, "change"),
                        full=Expected(changes[n], within) if n in changes else None,
                        small=Expected(small[n], 0.2 * abs(small[n])) if n in small else None, paper=papers.get(n))
                 for n in sorted(set(changes) | set(small)))


def tracin(what, file, *place, full=None, small=None, paper=None):
    return Figure(what, "tracin.json", (file,) + place, full=full, small=small, paper=paper)


SMALL_2D = "--instances 1000 --held-out 500 --epochs 5 --activation tanh"
NORMAL2D = ("train --out {run} --preset {preset} --seed {seed} {size}",
            "influence --run {run} --metric all --epochs-back {back} --kink-width 0,1e-3",
            "counterfactual --run {run} --metric all --epochs-back {back} --targets {targets}")
VALIDATE = ("validate {runs} --out {out}/validation.json",)


def figure1_2d(name, networks, preset, cost, taus, crossed, jaccards, within):
    """Tau and the Jaccard index by k with kink width 0, and tau (`crossed`) with a kink width and crossings."""
    return Experiment(
        name, "GAN paper, Figure 1, 2D-Normal" + networks,
        full=Size(10, cost, {"preset": preset, "size": "--held-out 10000", "back": "1,5,10,20,50", "targets": 200}),
        small=Size(1, "5 s", {"preset": preset, "size": SMALL_2D, "back": "1,3", "targets": 40}),
        each=NORMAL2D, end=VALIDATE,
        figures=agreement(dict(zip(EPOCHS_BACK, taus)), {1: 1.0, 3: 1.0}, papers=zip(EPOCHS_BACK, (.87, .83, .85, .84, .67)))
        + agreement(dict(zip(EPOCHS_BACK, crossed)), kink=1e-3)
        + agreement(dict(zip(EPOCHS_BACK, jaccards)), name="jaccard", words="Jaccard index", within=within,
                    papers=zip(EPOCHS_BACK, (.57, .46, .53, .43, .30))))


FIGURE1_2D = figure1_2d("figure1-2d", ": estimates against retraining, published networks", "published", "1 h",
                        (.81, .84, .89, .86, .70), (.957, .983, .976, .94, .87), (.52, .53, .61, .56, .42), .05)
FIGURE1_2D_PAPER = figure1_2d("figure1-2d-paper", ", by the networks of its tables: biases, tanh output, L2", "paper", "15 min",
                              (.843, .799, .833, .876, .891), (.931, .984, .983, .965, .976), (.47, .27, .39, .53, .65), .07)

FIGURE1_MNIST = Experiment(
    "figure1-mnist", "GAN paper, Figure 1, MNIST: DCGAN of 8 channels, FID and log IS",
    full=Size(3, "2 h", {"judge": "--test 10000", "size": "", "back": "1,5", "targets": 200}),
    small=Size(1, "30 s", {"judge": "--instances 2000 --held-out 500 --test 500 --epochs 4",
                           "size": "--instances 500 --held-out 100 --epochs 2", "back": "1", "targets": 10}),
    before=("train --out {out}/judge --game classifier --data mnist:{mnist} {judge} --record last:1",),
    each=("train --out {run} --game dcgan --data mnist:{mnist} --seed {seed} {size}",
          "influence --run {run} --metric fid,log-is --epochs-back {back} --kink-width 0 --classifier {out}/judge",
          "counterfactual --run {run} --metric fid,log-is --epochs-back {back} --targets {targets} --classifier {out}/judge"),
    end=VALIDATE,
    figures=agreement({1: .972, 5: .922}, {1: 1.0}, metric="fid", papers={1: .95, 5: .87})
    + agreement({1: .961, 5: .924}, {1: .422}, small_within=.1, metric="log-is", papers={1: .91, 5: .80}))

FIGURE2_2D = Experiment(
    "figure2-2d", "GAN paper, Figure 2, 2D-Normal: data cleansing",
    full=Size(15, "20 min", {"size": "--instances 50000 --held-out 10000 --test 10000 --epochs 70 --record last:1",
                          "remove": "500,1000,2500,5000,7500,10000,12500,15000,17500,20000"}),
    small=Size(1, "5 s", {"size": SMALL_2D + " --test 500", "remove": "50,200"}),
    each=("train --out {run} --seed {seed} {size}",
          "influence --run {run} --metric all,disc-loss --kink-width 0",
          "cleanse --run {run} --select influence:all,disc-loss,isolation-forest,random --metric all --remove {remove}"),
    end=("cleanse-table {runs} --out {out}/cleansing.json",),
    figures=cleansed("all", {500: .0011, 2500: .0043, 10000: .0082, 20000: .0001}, {50: 4.07e-6, 200: 1.30e-5},
                     {500: .0009, 2500: .0031, 10000: .0022, 20000: -.0167}, within=.015))

TABLES7_8 = Experiment(
    "tables7-8-mnist", "GAN paper, Tables 7 and 8, MNIST: data cleansing by FID and IS, 8 channels for the paper's 32",
    full=Size(3, "1 h", {"data": "--instances 50000 --test 10000", "size": "--held-out 10000 --epochs 20",
                            "remove": "500,1000,2500,5000,10000,15000,20000,25000,35000,45000"}),
    small=Size(1, "3 min", {"data": "--instances 300 --test 100", "size": "--held-out 100 --epochs 2", "remove": "20,100"}),
    each=("train --out {out}/judge{seed} --game classifier --data mnist:{mnist} {data} --seed {seed} --record last:1",
          "train --out {run} --game dcgan --data mnist:{mnist} {data} {size} --seed {seed} --record last:1",
          "influence --run {run} --metric fid,is,disc-loss --kink-width 0 --classifier {out}/judge{seed}",
          "cleanse --run {run} --classifier {out}/judge{seed} --metric fid,is"
          " --select influence:fid,influence:is,disc-loss,isolation-forest,random --remove {remove}"),
    end=("cleanse-table {runs} --out {out}/cleansing.json",),
    figures=cleansed("fid", {500: -.04, 2500: -.12, 10000: .0, 25000: .45}, papers={500: -.10, 2500: -.18, 10000: -.25, 25000: -.38},
                     within=.4)
    + cleansed("is", {500: .10, 2500: .20, 10000: .17, 25000: .17}, papers={500: .04, 2500: .04, 10000: .08, 25000: .14}, within=.2))

TRACIN_RUN = "train --out {run} --game mlp-vae --data mnist:{mnist} --seed {seed} {size}"
VAE_MNIST = Experiment(
    "tables-vae-mnist", "VAE paper, Tables 1, 2, 6, MNIST: who is whose proponent, one checkpoint",
    full=Size(1, "2 h", {"size": "--instances 59000 --held-out 1000 --steps 120000 --checkpoints 30", "queries": 128}),
    small=Size(1, "10 s", {"size": "--instances 500 --held-out 100 --steps 400 --checkpoints 2 --latent 8 --hidden 64,32",
                           "queries": 32}),
    each=(TRACIN_RUN,) + tuple("tracin --run {run} --checkpoints last --queries %s --name %s" % pair for pair in (
        ("self", "self"), ("mixtures", "mixtures"), ("train:{queries}", "train"), ("test:{queries}", "test"))),
    end=("tracin.py {folders} --json {out}/tracin.json",),
    figures=(
        tracin("Table 1: training queries that are their own strongest proponent", "seed0/tracin-train.h5", "self_top", "self_top1",
               full=Expected(.945, .03), small=Expected(.375, .07), paper=1.0),
        tracin("Table 2: same class among the strongest proponents", "seed0/tracin-test.h5", "foremost", "proponents", "same_class",
               full=Expected(.875, .03), paper=.821),
        tracin("Table 6: x_major is the mixture's strongest proponent", "seed0/tracin-mixtures.h5", "mixtures", "major_top1",
               full=Expected(.756, .05), small=Expected(.256, .04), paper=.467)))

PLANTED = Experiment(
    "table8-vae", "VAE paper, Table 8: planted images found by self-influence (KMNIST for the paper's EMNIST)",
    full=Size(3, "15 min", {"size": "--instances 10000 --held-out 1000 --latent 64 --steps 2000 --checkpoints 1", "plant": 500}),
    small=Size(1, "10 s", {"size": "--instances 1000 --held-out 100 --latent 8 --hidden 64,32 --steps 200 --checkpoints 1",
                           "plant": 50}),
    each=(TRACIN_RUN + " --plant idx:{kmnist}:{plant}", "tracin --run {run} --checkpoints last --queries self --name self"),
    end=("tracin.py {folders} --json {out}/tracin.json",),
    figures=(tracin("area under the curve, mean of the seeds", "detection", {}, "auc_mean", full=Expected(.874, .01),
                    small=Expected(.763, .02), paper=.858),))

OPTIMISERS = Experiment(
    "optimisers-2d", "Trace-back through Adam's steps, smooth networks, 2D-Normal",
    full=Size(3, "10 min", {"size": "", "back": "1,5,10", "targets": 60}),
    small=Size(1, "5 s", {"size": "--instances 500 --held-out 200 --epochs 4", "back": "1,3", "targets": 20}),
    each=("train --out {run} --seed {seed} --optimiser adam --activation tanh {size}",
          "influence --run {run} --metric all --epochs-back {back} --kink-width 0",
          "counterfactual --run {run} --metric all --epochs-back {back} --targets {targets}"),
    end=VALIDATE,
    figures=agreement({1: .999, 5: .995, 10: .989}, {1: 1.0, 3: 1.0}, within=.02))

def losses(count):
    return ",".join("loss:%d" % number for number in range(count))


LDS_VAE = Experiment(
    "lds-vae", "Groups removed and retrained without, from the start of training: LDS of trace-back, mlp-vae of tanh units, MNIST",
    full=Size(3, "15 min", {"size": "--rate 0.001 --instances 2000 --held-out 64 --batch 50 --epochs 10 --latent 8 --hidden 64,32 --dtype float64",
                            "losses": losses(64), "back": 10, "groups": "100 --fraction 0.01,0.05,0.1,0.5"}),
    small=Size(1, "10 s", {"size": "--rate 0.0001 --instances 200 --held-out 8 --batch 20 --epochs 3 --latent 4 --hidden 16 --dtype float64",
                           "losses": losses(8), "back": 3, "groups": "20 --fraction 0.05"}),
    each=("train --out {run} --game mlp-vae --data mnist:{mnist} --activation tanh --seed {seed} {size}",
          "influence --run {run} --metric {losses} --epochs-back {back} --kink-width 0",
          "counterfactual --run {run} --metric {losses} --epochs-back {back} --groups {groups}"),
    end=VALIDATE,
    figures=tuple(Figure("LDS of groups of %g%%" % (100 * fraction), "validation.json",
                         ("lds", {"metric": "loss:*", "fraction": fraction, "source": "influence, kink 0"}, "lds"),
                         full=Expected(full, .02), small=Expected(small, .02) if small else None)
                  for fraction, full, small in ((.01, .992, None), (.05, .979, .99), (.1, .962, None), (.5, .739, None))))

CATALOGUE = (FIGURE1_2D, FIGURE1_2D_PAPER, FIGURE1_MNIST, FIGURE2_2D, TABLES7_8, VAE_MNIST, PLANTED, OPTIMISERS, LDS_VAE)
