#!/usr/bin/env python3
"""The GAN paper's image experiments, small: classifier, influence on FID and log IS against retraining, cleansing."""
import os
import unittest

import numpy as np
from scipy import stats

from support import DATA, ProgramTest, arrays, attributes, main, read_json, relative_difference, tiny, whence


def mnist_folder():
    folder = os.path.join(DATA, "mnist")
    if not DATA or not os.path.isdir(folder):
        raise unittest.SkipTest("no MNIST files (WHENCE_DATA)")
    return folder


def small(game, **changes):
    """Options of a run on 1,000 digits with 500 held out and 500 to test by."""
    values = {"game": game, "data": "mnist:" + mnist_folder(), "instances": 1000, "held_out": 500, "test": 500,
              "epochs": 5, **changes}
    return [text for name, value in values.items() for text in ("--" + name.replace("_", "-"), str(value))]


class ClassifierTest(ProgramTest):
    def test_ten_thousand_digits_are_enough_for_96_percent(self):
        folder = self.path("classifier")
        result = self.run_fine("train", "--out", folder, "--game", "classifier", "--data", "mnist:" + mnist_folder(),
                               "--test", "10000", "--epochs", "10", "--record", "last:1",
                               timeout=300)
        accuracy = float(result.out.split("10000 test instances: ")[1])
        print("accuracy on MNIST's test set after 10 epochs: %.4f" % accuracy)
        self.assertGreaterEqual(accuracy, 0.96)

    def test_its_adam_is_traced_back(self):
        # Where v is nearly 0, in the first steps, Adam's step is nearly a sign, and no derivative tells what a removal
        # does; with more under the root it does.
        folder = self.train("adam", *small("classifier", instances=300, held_out=200, epochs=1, dtype="float64",
                                           epsilon_root="1e-4"))
        self.assert_refused(["influence", "--run", folder, "--metric", "disc-loss"], "disc-loss", folder=folder)
        both = ("--run", folder, "--metric", "loss")
        self.run_fine("influence", *both)
        self.run_fine("counterfactual", *both, "--targets", "30")
        self.run_fine("validate", "--run", folder)
        self.assertGreater(read_json(os.path.join(folder, "validation.json"))["rows"][0]["pearson"], 0.9)
        gan = self.train("adam-gan", *tiny(optimiser="adam"))
        self.assertEqual(arrays(os.path.join(gan, "trajectory.h5"))["params"].shape[1] % 3, 0)
        self.run_fine("counterfactual", "--run", gan, "--targets", "3")
        self.assertLess(arrays(os.path.join(gan, "counterfactual.h5"))["distance"].max(), 1e-12)


class ImagesTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.classifier = cls.train("classifier", *small("classifier", epochs=40))
        cls.gan = cls.train("gan", *small("dcgan", dtype="float64"), ranks=2)
        cls.judge = ("--classifier", cls.classifier)

    def test_estimates_meet_retraining(self):
        both = ("--run", self.gan, "--metric", "fid,log-is,disc-loss", *self.judge)
        self.run_fine("influence", *both, ranks=2, timeout=200)
        self.run_fine("counterfactual", *both, "--targets", "20", ranks=2, timeout=300)
        self.run_fine("validate", "--run", self.gan)
        for row in read_json(os.path.join(self.gan, "validation.json"))["rows"]:
            print("%s: tau %.3f, Pearson %.6f" % (row["metric"], row["kendall_tau"], row["pearson"]))
            self.assertGreater(row["kendall_tau"], 0.85, row["metric"])
        self.assertIn("classifier", attributes(os.path.join(self.gan, "influence.h5")))

    def test_cleansing_removes_what_influence_says(self):
        gan = self.copy_of(self.gan, "to-cleanse")
        self.run_fine("influence", "--run", gan, "--metric", "fid,disc-loss", *self.judge, ranks=2, timeout=200)
        command = ("cleanse", "--run", gan, "--select", "influence:fid,disc-loss,isolation-forest,random", "--remove",
                   "100,400", "--metric", "fid,is", "--replicas", "3", *self.judge)
        result = self.run_fine(*command, "--quiet", ranks=2, timeout=300)
        self.assertIn("fid on test instances", result.out)
        file, marks = arrays(os.path.join(gan, "cleansing.h5")), attributes(os.path.join(gan, "cleansing.h5"))
        self.assertEqual(marks["selections"], "influence:fid,influence:disc-loss,isolation-forest,random")
        self.assertEqual(file["value"].shape, (4, 2, 2))
        self.assertTrue(np.isfinite(file["value"]).all())
        influence = arrays(os.path.join(gan, "influence.h5"))["influence"][0, :, 0]
        np.testing.assert_array_equal(file["harm"][:2], -influence)
        for s in range(4):
            order = np.argsort(-file["harm"][s], kind="stable")
            np.testing.assert_array_equal(file["extreme_position"][s, 0], order[:36])
        # One rank gives the same numbers.
        one = self.copy_of(gan, "one-rank")
        os.remove(os.path.join(one, "cleansing.h5"))
        again = [part if part != gan else one for part in command]
        self.run_fine(*again, "--quiet", timeout=300)
        other = arrays(os.path.join(one, "cleansing.h5"))
        for name in ("value", "baseline", "generated", "harm"):
            np.testing.assert_array_equal(file[name], other[name], name)

    def test_results_of_another_judge_are_not_taken_for_this_ones(self):
        gan = self.copy_of(self.gan, "two-judges")
        for result in ("influence.h5", "counterfactual.h5"):  # of another test
            if os.path.exists(os.path.join(gan, result)):
                os.remove(os.path.join(gan, result))
        other = self.train("other-judge", *small("classifier", epochs=1, seed=1))
        metric, less = ("--metric", "fid,disc-loss"), ("--targets", "2")
        self.assertRegex(whence("influence", "--run", gan, *metric, "--classifier", other).err,
                         r"was trained on \d+ of the 1000 training instances")
        by_other = arrays(os.path.join(gan, "influence.h5"))["influence"]
        cleanse = ("cleanse", "--run", gan, "--select", "influence:fid", "--remove", "50", "--metric", "disc-loss")
        self.run_fine(*cleanse, *self.judge)
        self.assert_refused(["influence", "--run", gan, *metric, *self.judge], "--overwrite", "classifier")
        own = whence("influence", "--run", gan, *metric, *self.judge, "--overwrite")
        self.assertIn("influence done", own.err)
        self.assertNotIn("was trained on", own.err)
        self.assertGreater(np.abs(arrays(os.path.join(gan, "influence.h5"))["influence"] - by_other).max(), 0)
        self.assert_refused([*cleanse, *self.judge], "cleansing.h5", "influence", "--overwrite")
        for dry in ([], ["--dry-run"]):
            self.assert_refused(["cleanse", "--run", gan, "--select", "influence:is", "--remove", "9", "--overwrite", *dry],
                                "no influence on is")
        # The forest grows on features or on pixels: another result, too.
        forest = ("cleanse", "--run", gan, "--select", "isolation-forest", "--remove", "50", "--metric", "disc-loss")
        self.run_fine(*forest, *self.judge, "--overwrite")
        self.assert_refused([*forest], "cleansing.h5", "classifier", "--overwrite")
        self.assert_refused([*cleanse, *self.judge], "cleansing.h5", "made with other options (influence", "--overwrite")
        self.run_fine("counterfactual", "--run", gan, *metric, *less, "--classifier", other)
        self.assert_refused(["validate", "--run", gan], "fid", "another in counterfactual.h5")

    def test_the_loss_of_a_classifier_is_a_metric(self):
        run = self.train("sgd", *small("classifier", instances=200, held_out=150, epochs=1, optimiser="sgd"))
        both = ("--run", run, "--metric", "loss,loss:3")
        self.run_fine("influence", *both)
        self.run_fine("counterfactual", *both, "--targets", "40")
        self.run_fine("validate", "--run", run)
        for row in read_json(os.path.join(run, "validation.json"))["rows"]:
            self.assertGreater(row["pearson"], 0.99, row)

    def test_bad_input_is_refused(self):
        self.assert_refused(["influence", "--run", self.gan, "--metric", "fid"], "--classifier")
        self.assert_refused(["influence", "--run", self.gan, "--metric", "fid", "--classifier", self.gan], "--classifier")
        self.assert_refused(["cleanse", "--run", self.gan, "--select", "influence:is", "--remove", "9"], "influence.h5",
                            folder=self.gan)
        self.assert_refused(["cleanse", "--run", self.gan, "--remove", "1000", "--select", "random"], "--remove")
        self.assert_refused(["cleanse", "--run", self.gan, "--select", "harm"], "--select")
        self.assert_refused(["train", "--out", self.path("x"), "--game", "dcgan"], "28 x 28")
        self.assert_refused(["train", "--out", self.path("x"), "--game", "classifier"], "labels")
        self.assert_refused(["train", "--out", self.path("x"), *small("dcgan", test=20000)], "--test")


class ForestTest(ProgramTest):
    def test_the_order_of_the_isolation_forest_is_scikit_learns(self):
        try:
            from sklearn.ensemble import IsolationForest
        except ImportError:
            raise unittest.SkipTest("no scikit-learn (tools/setup installs python3-sklearn)")
        random = np.random.default_rng(0)
        points = random.multivariate_normal([1, 1], [[1, 0.8], [0.8, 1]], 1200)
        planted = 40
        points[:planted] = random.normal(0, 0.2, (planted, 2)) + [5, -5]
        path = self.path("points.csv")
        np.savetxt(path, points, delimiter=",")
        run = self.train("run", *tiny(data="csv:" + path, instances=1000, held_out=100, test=100, epochs=1))
        self.run_fine("cleanse", "--run", run, "--select", "isolation-forest,random", "--remove", "30", "--quiet")
        file = arrays(os.path.join(run, "cleansing.h5"))
        ids = file["instance_id"]
        reference = np.mean([-IsolationForest(random_state=seed, max_samples=256).fit(points[ids]).score_samples(
            points[ids]) for seed in range(5)], axis=0)
        rank = stats.spearmanr(file["harm"][0], reference)[0]
        apart = np.abs(file["harm"][0] - reference).mean()
        print("rank correlation with scikit-learn: %.4f, mean difference of scores: %.4f" % (rank, apart))
        self.assertGreater(rank, 0.9)
        self.assertLess(apart, 0.02, "scores by the same formula; from trees of 16 instances they are .04 apart")
        outlier = ids < planted
        wins = (file["harm"][0][outlier][:, None] > file["harm"][0][~outlier]).mean()
        self.assertGreater(wins, 0.95, "planted outliers are more anomalous than the others")
        self.assertLess(abs(stats.spearmanr(file["harm"][1], reference)[0]), 0.2)


class TableTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.runs = []
        for seed in (0, 1, 2):
            run = cls.train("seed%d" % seed, *tiny(seed=seed, test=60))
            cls.run_fine("influence", "--run", run)
            cls.run_fine("cleanse", "--run", run, "--select", "influence:all,random", "--remove", "20,60", "--quiet")
            cls.runs.append(run)

    def test_means_spreads_and_p_values_agree_with_scipy(self):
        result = self.run_fine("cleanse-table", *(part for run in self.runs for part in ("--run", run)))
        rows = read_json(self.path("cleansing.json"))["rows"]
        self.assertEqual([(r["selection"], r["removed"]) for r in rows],
                         [(s, n) for s in ("influence:all", "random") for n in (20, 60)])
        files = [arrays(os.path.join(run, "cleansing.h5")) for run in self.runs]
        for i, row in enumerate(rows):
            changes = np.array([f["value"][i // 2, i % 2, 0] - f["baseline"][0] for f in files])
            self.assertAlmostEqual(row["change"], changes.mean(), delta=1e-12)
            self.assertAlmostEqual(row["change_std"], changes.std(ddof=1), delta=1e-12)
            self.assertAlmostEqual(row["change_ttest_p"], stats.ttest_1samp(changes, 0)[1], delta=1e-9)
            self.assertIn("%+.3e (%.2e)" % (changes.mean(), changes.std(ddof=1)), result.out)

    def test_samples_before_and_after_are_kept(self):

        file = arrays(os.path.join(self.runs[0], "cleansing.h5"))
        self.assertEqual(file["generated"].shape, (2, 2, 60, 2))
        self.assertEqual(file["instances"].shape, (300, 2))
        self.assertGreater(relative_difference(file["generated"][0, 1], file["generated_before"]), 1e-6)
        self.assertIn("cleansing.h5: whole", self.run_fine("verify", self.runs[0]).out)

    def test_bad_input_is_refused(self):
        without = self.train("without", *tiny())
        self.assert_refused(["cleanse", "--run", without, "--select", "random"], "--test", folder=without)
        self.assert_refused(["cleanse", "--run", self.runs[0], "--select", "random", "--remove", "10"], "cleansing.h5",
                            folder=self.runs[0])
        self.assert_refused(["cleanse-table", "--run", self.runs[0], "--run", self.runs[0] + "/"], self.runs[0])
        self.assert_refused(["cleanse-table", "--run", without], "cleansing.h5", "run whence cleanse --run " + without)
        self.assert_refused(["cleansing", "--run", self.runs[0]], "now called cleanse-table")


if __name__ == "__main__":
    main()
