#!/usr/bin/env python3
"""How memory, disk, traffic and time of each job grow: scale.py WHENCE [--runs FOLDER] [--only N,P,T,Q,ranks] [--on 1,2,4]
[--json FILE].

Runs train, influence, counterfactual, cleanse and tracin of a small VAE, and density of its data, at five sizes, doubling the
instances N, the parameters P, the steps T and the queries Q in turn, on so many ranks as --on says (1), and one size on 1, 2
and 4 ranks. Prints for each the exponent (slope in logarithms) of what comes on top of the smallest size, and what one more of
them costs; and from these an estimate for one large case. It takes some minutes for each number of ranks, up to 1 GB of memory
a rank and 2 GB of disk in FOLDER (default: a temporary one). The machine's load spoils the seconds, not the bytes.
"""
import argparse
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile

JOBS = ("train", "influence", "counterfactual", "cleanse", "tracin", "density")
FILES = {"train": "trajectory.h5", "cleanse": "cleansing.h5"}  # of other jobs: JOB.h5
BASE = dict(N=4000, P=40_000, T=32, Q=2, ranks=1)
SIZES = {"N": [4000 << i for i in range(5)], "P": [1_000_000 << i for i in range(5)], "T": [32 << i for i in range(5)],
         "Q": [4 << i for i in range(5)], "ranks": [1, 2, 4]}
# What else differs from BASE where one of them grows: enough of it that the growth shows beside what the program itself takes.
BESIDE = {"P": dict(N=500, T=8), "Q": dict(P=1_000_000, N=1000, T=8), "ranks": dict(P=4_000_000, N=8000, T=8, Q=8)}
LARGE = dict(P=1e8, N=1.3e6, T=1e6, S=256, Q=1, ranks=64)
WIDTH, LATENT, BATCH, HELD_OUT, TEST = 3 * 8 * 8, 8, 8, 64, 64
UNIT = 1 << 20


def hidden_for(parameters):
    """The width of two equal hidden layers that gives a VAE of about so many parameters."""
    linear = 2 * WIDTH + 3 * LATENT + 4
    return round((-linear + math.sqrt(linear * linear + 8 * parameters)) / 4)


def parameters_of(hidden):
    encoder = WIDTH * hidden + hidden + hidden * hidden + hidden + 2 * LATENT * (hidden + 1)
    return encoder + LATENT * hidden + hidden + hidden * hidden + hidden + WIDTH * (hidden + 1)


def bytes_in(text, what):
    """Of a line such as 'memory: about 1.8 GiB a rank'."""
    found = re.search(what + r": +(?:about )?([\d.]+) (B|KiB|MiB|GiB|TiB)", text)
    return 0 if found is None else float(found[1]) * 1024 ** ("B", "KiB", "MiB", "GiB", "TiB").index(found[2])


class Bench:
    def __init__(self, whence, folder):
        self.whence, self.folder = os.path.abspath(whence), folder
        self.images = os.path.join(folder, "images.h5")
        maker = os.path.join(os.path.dirname(os.path.abspath(__file__)), "images_file.py")
        subprocess.run([sys.executable, maker, self.images, str(SIZES["N"][-1] + HELD_OUT + TEST), "8"], check=True)
        self.call(1, *self.commands(BASE)["train"], "--dry-run")  # takes the checksums of the images, once for all

    def call(self, ranks, *command):
        environment = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_NUM_THREADS="1")
        mpirun = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
        done = subprocess.run([*mpirun, self.whence, *map(str, command)], env=environment, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            sys.exit("%s\n%s" % (" ".join(map(str, command)), done.stderr))
        return done.stdout

    def commands(self, size):
        run, queries = os.path.join(self.folder, "run"), size["Q"]
        hidden = hidden_for(size["P"])
        losses = ",".join("loss:%d" % i for i in range(queries))
        return {
            "train": ("train", "--game", "mlp-vae", "--data", "hdf5:" + self.images, "--instances", size["N"], "--held-out",
                      HELD_OUT, "--test", TEST, "--hidden", "%d,%d" % (hidden, hidden), "--latent", LATENT, "--batch", BATCH, "--steps", size["T"],
                      "--epoch-steps", size["T"], "--record", "all", "--data-memory", 1, "--out", run),
            "influence": ("influence", "--run", run, "--metric", losses, "--kink-width", 0, "--data-memory", 1),
            "counterfactual": ("counterfactual", "--run", run, "--metric", "loss:0", "--targets", "largest:3", "--replicas", 4, "--data-memory", 1),
            "cleanse": ("cleanse", "--run", run, "--select", "influence:loss:0,isolation-forest,random", "--metric", "loss:0",
                        "--remove", "8,16", "--replicas", 2, "--data-memory", 1),
            "tracin": ("tracin", "--run", run, "--queries", "test:%d" % queries, "--samples", 1, "--checkpoints", "last",
                       "--memory", 256, "--list", 10, "--data-memory", 1),
            "density": ("density", "--estimator", "knn,kde", "--data", "hdf5:" + self.images, "--instances", size["N"], "--queries",
                        queries, "--data-memory", 1, "--out", run)}

    def measure(self, size, leave_out=()):
        """Bytes and seconds of each job: {job: {memory, disk, traffic, seconds}}, those of the rank that has most."""
        run, found = os.path.join(self.folder, "run"), {}
        shutil.rmtree(run, ignore_errors=True)
        for job, command in self.commands(size).items():
            if job in leave_out:
                continue
            said = self.call(size["ranks"], *command, "--dry-run") if size["ranks"] > 1 else ""
            self.call(size["ranks"], *command, "--quiet")
            with open(os.path.join(run, "summary.json")) as file:
                cost = json.load(file)[job]
            (seconds,) = (value for name, value in cost.items() if name.endswith("_seconds"))
            file = os.path.join(run, FILES.get(job, job + ".h5"))
            found[job] = {"memory": cost["peak_bytes_a_rank"], "disk": os.path.getsize(file), "traffic": bytes_in(said, "traffic"),
                          "seconds": seconds}
        return found


def slope(x, y):
    """Of a straight line by least squares."""
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y)) / sum((a - mean_x) ** 2 for a in x)


def exponent(sizes, values):
    return slope([math.log(size) for size in sizes], [math.log(max(value, 1e-9)) for value in values])


def actual(name, sizes):
    return [parameters_of(hidden_for(size)) for size in sizes] if name == "P" else sizes


def print_growth(name, sizes, found, ranks):
    sizes = actual(name, sizes)
    print("\n%s from %s to %s, %d rank%s" % (name, "{:,}".format(sizes[0]), "{:,}".format(sizes[-1]), ranks, "s" if ranks > 1 else ""))
    print("%-15s %21s %10s %15s %21s %9s %19s %9s" % ("", "memory a rank (MiB)", "exponent", "bytes a " + name, "disk (MiB)", "exponent",
                                                      "seconds", "exponent"))
    for job in found[0]:
        row = {what: [of_size[job][what] for of_size in found] for what in ("memory", "disk", "seconds")}
        print("%-15s %10.1f %10.1f %10.2f %15.4g %10.2f %10.2f %9.2f %9.3f %9.3f %9.2f" % (
            job, row["memory"][0] / UNIT, row["memory"][-1] / UNIT, exponent(sizes, row["memory"]), slope(sizes, row["memory"]),
            row["disk"][0] / UNIT, row["disk"][-1] / UNIT, exponent(sizes, row["disk"]),
            row["seconds"][0], row["seconds"][-1], exponent(sizes, row["seconds"])))


def print_ranks(sizes, found):
    print("\nranks (P = {:,}, N = {:,}, Q = {})".format(parameters_of(hidden_for(BESIDE["ranks"]["P"])), BESIDE["ranks"]["N"],
                                                        BESIDE["ranks"]["Q"]))
    for what, unit, name in (("memory", UNIT, "memory a rank (MiB)"), ("traffic", UNIT, "traffic a step and rank (MiB)"),
                             ("seconds", 1, "seconds")):
        print("%-30s %s" % (name, " ".join("%9d" % ranks for ranks in sizes)))
        for job in found[0]:
            print("  %-28s %s" % (job, " ".join("%9.2f" % (of_size[job][what] / unit) for of_size in found)))


def print_estimate(found):
    """Straight lines through what was measured on one rank, far beyond it."""
    large, of_p, of_n = LARGE, actual("P", SIZES["P"]), SIZES["N"]
    print("\nP = 1e8 float32, N = 1.3e6, T = 1e6, |S| = 256, one query, 64 ranks: extrapolated, not measured")
    for job in found["P"][0]:
        memory = [size[job]["memory"] for size in found["P"]]
        each_p, each_n = slope(of_p, memory), max(0, slope(of_n, [size[job]["memory"] for size in found["N"]]))
        rest = sum(memory) / len(memory) - each_p * sum(of_p) / len(of_p)
        total = rest + each_p * large["P"] + each_n * large["N"]
        print("  %-15s %6.1f GiB a rank (%.0f MiB + %.1f bytes x P + %.1f bytes x N)" % (
            job, total / 2 ** 30, rest / UNIT, each_p, each_n))
    for job, times in (("train", large["T"]), ("influence", large["T"])):
        seconds = slope(of_p, [size[job]["seconds"] for size in found["P"]]) / (BESIDE["P"]["T"] * BATCH)
        whole = seconds * large["P"] * large["S"] / large["ranks"] * times
        print("  %-15s %6.1f days for all T steps at this core's speed, were traffic free; %.2f GB a step and rank in sums" % (
            job, whole / 86400, 4 * large["P"] / 1e9))
    print("  trajectory      %6.1f TB with --record all, %.1f TB with about sqrt(T) states" % (
        4 * large["P"] * large["T"] / 1e12, 4 * large["P"] * math.sqrt(large["T"]) / 1e12))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("whence")
    parser.add_argument("--runs", help="folder for what the jobs write")
    parser.add_argument("--only", default="N,P,T,Q,ranks")
    parser.add_argument("--on", default="1", help="ranks on which N, P, T and Q grow, comma between (default 1)")
    parser.add_argument("--json", help="file for all that was measured")
    chosen = parser.parse_args()
    kept = {}  # of each name and number of ranks ("ranks": of none) what was found by size
    with tempfile.TemporaryDirectory(dir=chosen.runs) as folder:
        bench = Bench(chosen.whence, folder)
        for name in chosen.only.split(","):
            sizes, kept[name] = SIZES[name], {}
            for ranks in ([1] if name == "ranks" else map(int, chosen.on.split(","))):
                base = {**BASE, "ranks": ranks, **BESIDE.get(name, {})}
                of_sizes = [bench.measure({**base, name: value}, ("density",) if name in ("P", "T") else ()) for value in sizes]
                print_ranks(sizes, of_sizes) if name == "ranks" else print_growth(name, sizes, of_sizes, ranks)
                kept[name].update({ranks: dict(zip(sizes, of_sizes))} if name != "ranks" else dict(zip(sizes, of_sizes)))
                sys.stdout.flush()
    if all(1 in kept.get(name, {}) for name in ("N", "P")):
        print_estimate({name: list(kept[name][1].values()) for name in ("N", "P")})
    if chosen.json:
        with open(chosen.json, "w") as file:
            json.dump(kept, file, indent=1)


if __name__ == "__main__":
    main()
