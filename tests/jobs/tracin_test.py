"""whence tracin: ranks, kills, queries, weights, and the claims of the paper that small runs can show."""

import json
import os
import random
import re
import sys
import zlib

import numpy as np
from scipy.stats import mannwhitneyu, pearsonr

from interrupt_support import kill_when, read_when_there
from support import SOURCE, Job, ProgramTest, arrays, main, mnist_folder, whence
from vae_support import VALIDATION_LATENTS, mlp_vae, normals, torch_loss, torch_or_skip, vae, write_idx


class TracinTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        draw = np.random.default_rng(1)
        labels = draw.integers(0, 4, 160)
        shapes = draw.integers(0, 200, (4, 6, 6))
        write_idx(cls.place + "/images", np.clip(shapes[labels] + draw.integers(0, 56, (160, 6, 6)), 0, 255))
        write_idx(cls.place + "/labels", labels)
        write_idx(cls.place + "/foreign", draw.integers(0, 256, (30, 6, 6)))
        cls.labelled = "idx:%s/images,%s/labels" % (cls.place, cls.place)
        cls.run_folder = cls.train("run", *vae(cls.labelled))

    def tracin(self, folder, *options, name="", ranks=1):
        self.run_fine("tracin", "--run", folder, *options, *(["--name", name] if name else []), "--quiet", ranks=ranks)
        return arrays(os.path.join(folder, "tracin%s.h5" % ("-" + name if name else "")))

    def gradients_taken(self, folder):
        with open(os.path.join(folder, "summary.json")) as file:
            return json.load(file)["tracin"]["gradients"]

    def test_scores_are_the_same_bytes_on_any_ranks(self):
        for queries in (("--queries", "test:5"), ("--queries", "self"), ("--queries", "mixtures", "--weights", "visits")):
            folders = [self.copy_of(self.run_folder, "on-%d" % ranks) for ranks in (1, 2, 3)]
            for ranks, folder in enumerate(folders, 1):
                # Blocks of a few instances.
                found = self.tracin(folder, *queries, "--samples", "4", "--memory", "1", ranks=ranks)
                self.assertGreater(np.abs(found.get("score", found.get("self_influence"))).max(), 0)
                self.assert_same_bytes(*(os.path.join(f, "tracin.h5") for f in (folder, folders[0])))

    def test_little_memory_takes_every_gradient_several_times_and_says_so(self):
        write_idx(self.path("many"), np.random.default_rng(3).integers(0, 256, (600, 6, 6)))
        many = ("--queries", "file:idx:" + self.path("many"), "--samples", "1", "--checkpoints", "last")
        says = self.run_fine("tracin", "--run", self.run_folder, *many, "--memory", "1", "--name", "little").err
        held, of, times = map(int, re.search(r"--memory holds (\d+) of the (\d+) queries, so every instance's gradient is "
                                             r"taken (\d+) times", says).groups())
        self.assertEqual((of, times), (600, -(-600 // held)))
        self.assertNotIn("--memory holds", self.run_fine("tracin", "--run", self.run_folder, *many, "--name", "much").err)
        little, much = (arrays(os.path.join(self.run_folder, "tracin-%s.h5" % name))["score"] for name in ("little", "much"))
        np.testing.assert_allclose(little, much, rtol=0, atol=1e-5 * np.abs(much).max())

    def test_a_file_of_queries_is_read_whole_whatever_rows_train(self):
        write_idx(self.path("others"), np.random.default_rng(2).integers(0, 256, (5, 6, 6)))
        folder = self.train("rows", *vae(self.labelled, instances=20, held_out=0), "--train-rows", "100:120")
        found = self.tracin(folder, "--queries", "file:idx:" + self.path("others"))
        self.assertEqual(found["query_id"].tolist(), [0, 1, 2, 3, 4])
        self.assertEqual(found["instance_id"].tolist(), list(range(100, 120)))

    def test_checkpoints_weights_and_lists_add_up(self):
        all_of, each = self.tracin(self.run_folder, "--queries", "test:5", name="all"), []
        steps = all_of["step"]
        np.testing.assert_array_equal(steps, [20, 40, 60])
        for step in steps:
            each.append(self.tracin(self.run_folder, "--queries", "test:5", "--checkpoints", step, name="at%d" % step))
        np.testing.assert_allclose(sum(e["score"] for e in each), all_of["score"], rtol=1e-12)
        np.testing.assert_array_equal(np.concatenate([e["loss"] for e in each]), all_of["loss"])
        order = np.argsort(-all_of["score"], axis=1, kind="stable")
        np.testing.assert_array_equal(all_of["top"], order[:, :100])
        np.testing.assert_array_equal(np.take_along_axis(all_of["score"], all_of["bottom"], 1),
                                      np.sort(all_of["score"], axis=1)[:, :100])
        rate = self.tracin(self.run_folder, "--queries", "test:5", "--weights", "rate", name="rate")
        np.testing.assert_allclose(rate["score"], 0.003 * all_of["score"], rtol=1e-12)
        published = self.tracin(self.run_folder, "--queries", "test:5", "--weights", "published", name="published")
        np.testing.assert_allclose(published["score"], 0.003 * 10 * 20 / 120 * all_of["score"], rtol=1e-12)

    def test_visits_predict_the_loss_change_of_each_step(self):
        folder = self.train("every-step", *vae(self.labelled, checkpoints=0, record="all", rate="0.0005", dtype="float64"))
        found = self.tracin(folder, "--queries", "test:8", "--weights", "visits", "--query-noise", "fixed", "--samples", "64")
        self.assertEqual(found["predicted_change"].shape, (61, 8))
        change = found["query_loss"][:-1] - found["query_loss"][1:]
        predicted = found["predicted_change"][:-1]
        self.assertGreater(pearsonr(predicted.ravel(), change.ravel())[0], 0.9)
        self.assertLess(abs(np.polyfit(predicted.ravel(), change.ravel(), 1)[0] - 1), 0.25)
        np.testing.assert_allclose(found["predicted_change"].sum(0), found["score"].sum(1), rtol=1e-9)
        # Only what was in a batch has a score.
        batch = arrays(os.path.join(folder, "trajectory.h5"))["batch"]
        np.testing.assert_array_equal(np.flatnonzero(np.abs(found["score"]).max(0)), np.unique(batch))

    def test_the_noise_of_training_gives_the_steps_that_were_taken(self):
        """Then all scores of a step add up to the query's gradient times the step, by PyTorch's gradients."""
        torch = torch_or_skip()
        folder = self.train("own-noise", *vae(self.labelled, checkpoints=0, record="all", hidden="published", dtype="float64"))
        options = ("--queries", "test:4", "--weights", "visits", "--query-noise", "fixed", "--samples", "1")
        found = self.tracin(folder, *options, "--instance-noise", "training")
        run = arrays(os.path.join(folder, "trajectory.h5"))
        noise = normals(0, VALIDATION_LATENTS, 0, 0, 4 * 3).reshape(4, 1, 3)
        model = mlp_vae(3, 36).double()
        for t in (0, 7, 59):
            torch.nn.utils.vector_to_parameters(torch.tensor(run["params"][t]), model.parameters())
            step = run["params"][t] - run["params"][t + 1]
            for q in range(4):
                loss = torch_loss(model, torch.tensor(found["query_picture"][q].ravel().astype(float)), torch.tensor(noise[q]),
                                  4, True)
                self.assertLess(abs(loss.item() / found["query_loss"][t, q] - 1), 1e-6)
                gradient = torch.cat([g.ravel() for g in torch.autograd.grad(loss, list(model.parameters()))])
                expected = float(gradient @ torch.tensor(step))
                self.assertLess(abs(found["predicted_change"][t, q] - expected), 1e-5 * abs(expected))
        # A window of two epochs visits an instance twice, with another noise each time.
        wide = self.tracin(folder, *options, "--instance-noise", "training", "--checkpoints", "36", name="wide")
        self.assertGreater(np.abs(wide["predicted_change"]).min(), 0)
        two = self.tracin(folder, *options, "--checkpoints", "36", name="wide-fresh")
        self.assertGreater(np.abs(wide["score"] - two["score"]).max(), 0)
        np.testing.assert_array_equal(np.abs(wide["score"]).max(0) > 0, np.abs(two["score"]).max(0) > 0)

    def test_killed_jobs_keep_their_blocks_and_end_in_the_same_bytes(self):
        options = ("--queries", "test:10", "--samples", "3000", "--memory", "40")
        reference, folder = (self.copy_of(self.run_folder, name) for name in ("reference", "killed"))
        self.tracin(reference, *options)
        part = os.path.join(folder, "tracin.h5.part")

        def reached():
            seals = read_when_there(part, "seal")
            return seals is not None and np.count_nonzero(seals) >= 4

        job = Job("tracin", "--run", folder, *options, ranks=2)
        self.assertTrue(kill_when(job, reached, False, random.Random(1)), "the job ended before it could be killed")
        self.assertFalse(os.path.exists(os.path.join(folder, "tracin.h5")))
        left = arrays(part)
        kept = np.flatnonzero(left["seal"])
        self.assertLess(len(kept), len(left["seal"]), "killed too late")
        for row in kept:
            self.assertEqual(left["seal"][row], zlib.crc32(left["rows"][row].tobytes()) + 1)
        ended = whence("tracin", "--run", folder, *options, ranks=3)
        self.assertEqual(ended.code, 0, str(ended))
        self.assertIn("%d of %d blocks are already finished" % (len(kept), len(left["seal"])), ended.err)
        self.assert_same_bytes(*(os.path.join(f, "tracin.h5") for f in (folder, reference)))
        self.assertFalse(os.path.exists(part))
        # The killed start left no costs, so the folder's are those of the second: finished blocks were not taken again.
        taken = [self.gradients_taken(f) for f in (folder, reference)]
        self.assertGreater(taken[0], 0)
        self.assertLess(taken[0], taken[1])

    def test_planted_instances_are_known_and_removable(self):
        plant = ("--plant", "idx:%s/foreign:9" % self.place)
        folder = self.train("planted", *vae(self.labelled), *plant)
        found = self.tracin(folder, "--queries", "self", "--checkpoints", "last")
        self.assertEqual(np.count_nonzero(found["instance_id"] >= 10 ** 9), 9)
        np.testing.assert_array_equal(found["label"][-9:], -1)
        foreign = found["instance_id"] >= 10 ** 9
        above = found["self_influence"][foreign][:, None] > found["self_influence"][~foreign][None, :]
        self.assertGreater(above.mean(), 0.85, "noise among four shapes has no larger self-influences")
        self.assert_report_finds(folder, found["self_influence"], foreign)
        worst = found["instance_id"][found["top"][0, :5]]
        with open(self.path("ids"), "w") as file:
            file.write("\n".join(str(i) for i in worst))
        cleaned = self.train("cleaned", *vae(self.labelled), *plant, "--without", self.path("ids"))
        ids = arrays(os.path.join(cleaned, "trajectory.h5"))["instance_id"]
        self.assertEqual(set(found["instance_id"]) - set(ids), set(worst))
        self.assertEqual(len(ids), 124)

    def assert_report_finds(self, folder, values, foreign):
        """The report's AUC and densities against the statistic of Mann and Whitney and plain counts."""
        sys.path.insert(0, os.path.join(SOURCE, "tools"))
        from whence.report import tracin, tracin_together as report
        from whence.results import Attempts
        found = tracin.Findings([folder], Attempts())
        scores, = found.files
        ordered = mannwhitneyu(values[foreign], values[~foreign]).statistic / (foreign.sum() * (~foreign).sum())
        # The curve's area counts places among all instances, not among the own ones alone; it goes up in whole steps.
        share = foreign.mean()
        expected = ordered * (1 - share) + share / 2
        self.assertAlmostEqual(found.detection[0]["auc"][0], expected, delta=1e-9)
        edges, densities = report.shares(scores)
        for density, chosen in zip(densities, (foreign, ~foreign)):
            self.assertAlmostEqual((density * np.diff(edges)).sum(), 1)
            above = (np.log10(values[chosen]) >= edges[30]).mean()
            self.assertAlmostEqual((density * np.diff(edges))[30:].sum(), above)
        page = "".join(tracin.sections(found))
        self.assertEqual(found.attempts.missing, [])
        self.assertEqual(page.count("detection of planted instances"), 1)
        self.assertGreaterEqual(page.count("<svg") + page.count("<img"), 4)

    def test_mixtures_name_what_they_are_made_of(self):
        found = self.tracin(self.run_folder, "--queries", "mixtures", "--checkpoints", "last", name="mixtures")
        labels = found["label"]
        self.assertEqual(len(set(zip(labels[found["major"]], labels[found["minor"]]))), 12)
        images = dict(zip(found["picture_position"], found["picture"]))
        both = [q for q in range(12) if found["major"][q] in images and found["minor"][q] in images]
        self.assertTrue(both)
        for q in both:
            np.testing.assert_allclose(
                found["query_picture"][q], 0.75 * images[found["major"][q]] + 0.25 * images[found["minor"][q]], atol=1e-6)

    def test_bad_input_is_refused(self):
        for name, text in (("none.txt", ""), ("absent.txt", "4711\n"), ("word.txt", "seven\n")):
            with open(self.path(name), "w") as file:
                file.write(text)
        gan = self.train("gan", "--instances", "50", "--held-out", "10", "--batch", "10", "--epochs", "1")
        unlabelled = self.train("unlabelled", *vae("idx:%s/images" % self.place))
        folder = self.run_folder
        for options, *names in (
                (("--queries", "test:0"), "queries"), (("--queries", "test:21"), "--queries", "21"),
                (("--queries", "ids:" + self.path("none.txt")), "--queries", "none.txt"),
                (("--queries", "ids:" + self.path("absent.txt")), "--queries", "4711"),
                (("--queries", "ids:" + self.path("word.txt")), "--queries", "seven"),
                (("--queries", "ids:/nowhere"), "--queries", "/nowhere"), (("--queries", "some"), "--queries", "some"),
                (("--samples", "0"), "--samples"), (("--checkpoints", "7"), "--checkpoints", "7"),
                (("--checkpoints", "last:9"), "--checkpoints"), (("--layers", "first"), "--layers"),
                (("--weights", "heavy"), "--weights"), (("--estimator", "guess"), "--estimator"),
                (("--loss", "gain"), "--loss"), (("--name", "a/b"), "--name"),
                (("--memory", "1", "--samples", "100000"), "--memory", "MiB"), (("--samples", "4" + 15 * "0"), "--samples"),
                (("--memory", "9" + 12 * "0"), "--memory"), (("--queries", "self", "--instances", "none"), "--instances"),
                (("--weights", "visits", "--checkpoints", "last"), "--checkpoints", "no step follows step 60"),
                (("--instance-noise", "training", "--samples", "1"), "--instance-noise", "visits"),
                (("--instance-noise", "training", "--weights", "visits"), "--samples is 16")):
            with self.subTest(options=options):
                queries = () if "--queries" in options else ("--queries", "test:5")
                self.assert_refused(["tracin", "--run", folder, *queries, *options], *names, folder=folder)
        self.assert_refused(["tracin", "--run", folder, "--samples", "0"], "--samples", folder=folder, ranks=(2,))
        self.assert_refused(["tracin", "--run", gan, "--queries", "test:5", "--loss", "scoring"], "--loss", "fcgan", folder=gan)
        self.assert_refused(["tracin", "--run", unlabelled, "--queries", "mixtures"], "--queries", "labels")
        self.assert_refused(["train", "--out", self.path("plant"), *vae(self.labelled, game="classifier")[:4], "--plant",
                             "idx:%s/foreign:5" % self.place], "--plant", "labels")
        self.assert_refused(["influence", "--run", folder, "--metric", "loss:20"], "--metric", "loss:20")
        self.assert_refused(["influence", "--run", gan, "--metric", "loss"], "--metric", "one player")
        for option in (("--loss", "worse"), ("--hidden", "8,x"), ("--beta", "-1"), ("--generator-hidden", "8"),
                       ("--plant", "idx:%s/foreign:31" % self.place), ("--without", "/nowhere"),
                       ("--class-filter", "9"), ("--checkpoints", "61"),
                       ("--game", "conv-vae", "--image-size", "64", "--hidden", "preset")):
            with self.subTest(option=option):
                self.assert_refused(["train", "--out", self.path("refused"), *self.changed(option)], option[0])

    def changed(self, option):
        options = vae(self.labelled)
        for name, value in zip(option[::2], option[1::2]):
            if name in options:
                options[options.index(name) + 1] = value
            else:
                options += [name, value]
        return options

    def test_checkpoints_of_another_network_are_refused(self):
        folder, other = self.copy_of(self.run_folder, "mixed"), self.train("other", *vae(self.labelled, hidden="24,8"))
        os.replace(os.path.join(other, "trajectory.h5"), os.path.join(folder, "trajectory.h5"))
        self.assert_refused(["tracin", "--run", folder], "other")


class MnistTest(ProgramTest):
    def test_instances_are_their_own_strongest_proponents(self):
        options = ("--game", "mlp-vae", "--data", "mnist:" + mnist_folder(), "--instances", "2000", "--held-out", "10",
                   "--steps", "800", "--latent", "32", "--rate", "0.0005", "--checkpoints", "4")
        folder = self.train("mnist", *options)
        self.run_fine("tracin", "--run", folder, "--queries", "train:128", "--quiet")
        found = arrays(os.path.join(folder, "tracin.h5"))
        self.assertGreater((found["top"][:, 0] == found["query_position"]).mean(), 0.99)
        self.assertLess(found["query_loss"][-1].mean(), 0.6 * 784 * np.log(2), "it learned nothing")


if __name__ == "__main__":
    main()
