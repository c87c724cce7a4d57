"""The chain train, influence, counterfactual, validate: what its files hold, and that estimates meet the truth."""

import json
import os

import numpy as np
from scipy import stats

from support import ProgramTest, arrays, attributes, main, mnist_folder, read_json, tiny

SIGN = "V without j minus V with j"
FIELDS = ("kendall_tau", "jaccard", "spearman", "pearson")


def chain(test, name, options, influence=(), counterfactual=(), both=()):
    """Runs the first three jobs; returns the run folder."""
    folder = test.train(name, *options)
    test.run_fine("influence", "--run", folder, *both, *influence)
    test.run_fine("counterfactual", "--run", folder, *both, *counterfactual)
    return folder


def pairs(folder):
    """(metric, k, kink width) -> truth and estimate of the targets, from the files alone."""
    estimate, truth = (os.path.join(folder, name) for name in ("influence.h5", "counterfactual.h5"))
    e, t = arrays(estimate), arrays(truth)
    e_metrics, t_metrics = (attributes(path)["metrics"].split(",") for path in (estimate, truth))
    position = {id: at for at, id in enumerate(e["instance_id"])}
    targets = [position[id] for id in t["target_id"]]
    return {(metric, k, h): (t["influence"][m, i], e["influence"][w, e_metrics.index(metric), j][targets])
            for m, metric in enumerate(t_metrics) if metric in e_metrics
            for i, k in enumerate(t["epochs_back"]) for j, e_k in enumerate(e["epochs_back"]) if k == e_k
            for w, h in enumerate(e["kink_width"])}


def jaccard(truth, estimate, extremes, draws=4000):
    """Jaccard index of the sets of the smallest and the largest values, ties broken at random: the mean of so many
    draws, and its standard error (0 where no tie reaches over an edge of the sets)."""
    ends = extremes if len(truth) >= 2 * extremes else max(1, len(truth) // 4)
    generator, found = np.random.default_rng(0), []
    for _ in range(draws):
        critical = []
        for values in (truth, estimate):
            order = np.lexsort((generator.random(len(values)), values))
            critical.append(set(order[:ends]) | set(order[-ends:]))
        found.append(len(critical[0] & critical[1]) / len(critical[0] | critical[1]))
    return np.mean(found), np.std(found) / np.sqrt(draws)


def jaccard_by_chance(n, m):
    return sum(k / (2 * m - k) * stats.hypergeom.pmf(k, n, m, m) for k in range(m + 1))


def figures(truth, estimate, extremes=10):
    tau = stats.kendalltau(truth, estimate)
    return {"kendall_tau": tau[0], "kendall_p": tau[1], "jaccard": jaccard(truth, estimate, extremes)[0],
            "spearman": stats.spearmanr(truth, estimate)[0], "pearson": stats.pearsonr(truth, estimate)[0]}


class Normal2dTest(ProgramTest):
    def check_files(self, folder, instances, targets, metrics, horizons, widths=1):
        trajectory, influence, truth = (os.path.join(folder, name + ".h5")
                                        for name in ("trajectory", "influence", "counterfactual"))
        for path, schema in ((trajectory, "whence.trajectory"), (influence, "whence.influence"),
                             (truth, "whence.counterfactual")):
            marks = attributes(path)
            self.assertEqual((marks["schema"], marks["schema_version"]), (schema, "1"))
            self.assertIn(SIGN, marks["sign_convention"])
            for name in ("whence_version", "git_sha", "seed", "data", "settings"):
                self.assertTrue(marks[name], name)
        self.assertEqual(attributes(influence)["run"], attributes(truth)["run"])
        with open(os.path.join(folder, "run.cfg")) as config:
            self.assertEqual(attributes(trajectory)["settings"], config.read())

        e, t = arrays(influence), arrays(truth)
        self.assertEqual(e["influence"].shape, (widths, metrics, horizons, instances))
        self.assertEqual(e["value"].shape, (metrics,))
        self.assertEqual(t["influence"].shape, (metrics, horizons, targets))
        self.assertEqual(t["baseline"].shape, (metrics, horizons, targets))
        self.assertEqual(t["distance"].shape, (horizons,))
        np.testing.assert_array_equal(e["instance_id"][t["target_position"]], t["target_id"])
        self.assertEqual(len(set(t["target_id"])), targets)
        for values in (*e.values(), *t.values()):
            self.assertTrue(np.isfinite(values).all())
        # Retraining without removal leads back to the recorded end, where V has the recorded value.
        scale = np.abs(arrays(trajectory)["params"][-1]).max()
        precision = 1e-5 if arrays(trajectory)["params"].dtype == np.float32 else 1e-12
        self.assertLess(t["distance"].max(), precision * scale)
        np.testing.assert_allclose(t["baseline"], np.broadcast_to(e["value"][:, None, None], t["baseline"].shape),
                                   rtol=100 * precision)

    def check_layout(self, folder):
        """The layout attribute tiles the parameters."""
        path = os.path.join(folder, "trajectory.h5")
        end = 0
        for part in json.loads(attributes(path)["layout"]):
            self.assertEqual(part["offset"], end)
            self.assertIn(part["player"], ("generator", "discriminator"))
            end += int(np.prod(part["shape"]))
        self.assertEqual(arrays(path)["params"].shape[1], end)

    def check_validation(self, folder, keys, targets):
        result = self.run_fine("validate", "--run", folder)
        validation = read_json(os.path.join(folder, "validation.json"))
        self.assertIn(SIGN, validation["sign_convention"])
        self.assertIn(SIGN, result.out)
        self.assertEqual([(r["metric"], r["epochs_back"]) for r in validation["rows"]], keys)
        for row in validation["rows"]:
            self.assertEqual((row["runs"], row["targets"]), (1, targets))
            pair = pairs(folder)[(row["metric"], row["epochs_back"], row["kink_width"])]
            error_of = {"jaccard": 5 * jaccard(*pair, 10)[1]}
            for name, value in figures(*pair).items():
                self.assertAlmostEqual(row[name], value, delta=1e-9 + error_of.get(name, 0), msg=name)
        return {(r["metric"], r["epochs_back"]): r["kendall_tau"] for r in validation["rows"]}

    def check_chain(self, name, targets=40, **changes):
        folder = chain(self, name, tiny(**changes), both=("--metric", "disc-loss,gen-loss,all", "--epochs-back", "2,1"),
                       counterfactual=("--targets", targets))
        self.check_files(folder, 300, targets, 3, 2)
        self.check_layout(folder)
        tau = self.check_validation(folder, [(metric, k) for metric in ("all", "disc-loss", "gen-loss")
                                             for k in (1, 2)], targets)
        for key, value in tau.items():
            self.assertGreater(value, 0.3, "%s, k = %d" % key)
        return folder

    def test_the_published_preset_meets_the_truth(self):
        self.check_chain("published", preset="published")

    def test_the_paper_preset_with_a_penalty_meets_the_truth(self):
        folder = self.check_chain("paper", preset="paper", l2="1e-2", rate_decay="inverse-sqrt")
        rate = arrays(os.path.join(folder, "trajectory.h5"))["rate"]
        np.testing.assert_allclose(rate, 1e-3 / np.sqrt(np.arange(1, 46))[:, None].repeat(2, 1), rtol=1e-14)

    def test_alternating_updates_meet_the_truth(self):
        folder = self.check_chain("alternating", update="alternating", rate_generator="2e-3")
        rate = arrays(os.path.join(folder, "trajectory.h5"))["rate"]
        expected = np.zeros((45, 2))
        expected[0::2, 1], expected[1::2, 0] = 1e-3, 2e-3
        np.testing.assert_array_equal(rate, expected)

    def test_float32_has_every_file_and_finite_values(self):
        folder = chain(self, "float32", tiny(dtype="float32", preset="paper", update="alternating"),
                       both=("--metric", "gen-loss,all"), counterfactual=("--targets", 30))
        self.assertEqual(arrays(os.path.join(folder, "trajectory.h5"))["params"].dtype, np.float32)
        self.check_files(folder, 300, 30, 2, 1)
        self.check_validation(folder, [("all", 1), ("gen-loss", 1)], 30)

    def test_several_kink_widths_make_a_row_each(self):
        folder = chain(self, "kinks", tiny(), influence=("--kink-width", "0,1e-3"), counterfactual=("--targets", 30))
        self.check_files(folder, 300, 30, 1, 1, widths=2)
        self.check_validation(folder, [("all", 1), ("all", 1)], 30)
        rows = read_json(os.path.join(folder, "validation.json"))["rows"]
        self.assertEqual([row["kink_width"] for row in rows], [0.0, 1e-3])

    def test_target_files_choose_the_targets(self):
        folder = self.train("targets", *tiny())
        ids = arrays(os.path.join(folder, "trajectory.h5"))["instance_id"][[7, 3, 250]]
        with open(self.path("targets.txt"), "w") as file:
            file.write("".join("%d\n" % id for id in ids))
        self.run_fine("counterfactual", "--run", folder, "--targets", self.path("targets.txt"))
        truth = arrays(os.path.join(folder, "counterfactual.h5"))
        np.testing.assert_array_equal(truth["target_id"], ids)
        np.testing.assert_array_equal(truth["target_position"], [7, 3, 250])


class SeveralRunsTest(ProgramTest):
    RATES = dict(rate_generator="0.05", rate_discriminator="0.05")  # large, so that estimates miss here and there

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.runs = [chain(cls, "seed-%d" % seed, tiny(seed=seed, **cls.RATES),
                          both=("--metric", "all,disc-loss", "--epochs-back", "3"), influence=("--crossings", "off"),
                          counterfactual=("--targets", 40)) for seed in (0, 1, 2)]

    def test_means_spreads_and_p_values_agree_with_scipy(self):
        self.run_fine("validate", *(part for run in self.runs for part in ("--run", run)))
        validation = read_json(self.path("validation.json"))
        self.assertEqual(len(validation["rows"]), 2)
        for row in validation["rows"]:
            self.assertEqual((row["runs"], row["targets"]), (3, 40))
            each = [figures(*pairs(run)[(row["metric"], row["epochs_back"], row["kink_width"])]) for run in self.runs]
            chance = jaccard_by_chance(40, 20)
            self.assertAlmostEqual(row["jaccard_chance"], chance, delta=1e-12)
            self.assertAlmostEqual(row["kendall_p"], np.mean([f["kendall_p"] for f in each]), delta=1e-12)
            for name in FIELDS:
                values = np.array([f[name] for f in each])
                self.assertGreater(np.std(values), 0)
                self.assertAlmostEqual(row[name], values.mean(), delta=1e-10)
                self.assertAlmostEqual(row[name + "_std"], values.std(ddof=1), delta=1e-10)
                p = stats.ttest_1samp(values, chance if name == "jaccard" else 0)[1]
                self.assertAlmostEqual(row[name + "_ttest_p"], p, delta=1e-9)

    def test_one_run_has_no_spreads(self):
        out = self.path("one.json")
        self.run_fine("validate", "--run", self.runs[0], "--critical", "5", "--out", out)
        for row in read_json(out)["rows"]:
            self.assertEqual([name for name in row if name.endswith(("_std", "_ttest_p"))], [])
            truth, estimate = pairs(self.runs[0])[(row["metric"], 3, row["kink_width"])]
            self.assertAlmostEqual(row["jaccard"], jaccard(truth, estimate, 5)[0], delta=1e-12)

    def test_the_same_run_twice_is_refused(self):
        self.assert_refused(["validate", "--run", self.runs[0], "--run", self.runs[0] + "/"], self.runs[0],
                            folder=self.place)

    def test_info_names_what_a_file_holds(self):
        for name, words in (("trajectory.h5", ("whence.trajectory", "45 of 45 steps", "params", "[46, ")),
                            ("influence.h5", ("whence.influence", "[1, 2, 1, 300]", "disc-loss")),
                            ("counterfactual.h5", ("whence.counterfactual", "[2, 1, 40]", "target_id"))):
            text = self.run_fine("info", os.path.join(self.runs[0], name)).out
            for word in (*words, SIGN, "seed: 0", "instances = 300"):
                self.assertIn(word, text)

    def test_verify_says_that_each_file_is_whole(self):
        text = self.run_fine("verify", self.runs[0]).out
        for name in ("trajectory.h5", "influence.h5", "counterfactual.h5"):
            self.assertIn(name + ": whole", text)

    def test_the_same_job_again_changes_nothing(self):
        before = {name: os.stat(os.path.join(self.runs[0], name)).st_mtime_ns
                  for name in ("trajectory.h5", "influence.h5", "counterfactual.h5")}
        self.run_fine("train", "--out", self.runs[0], *tiny(seed=0, **self.RATES))
        self.run_fine("influence", "--run", self.runs[0], "--metric", "all,disc-loss", "--epochs-back", "3", "--crossings", "off")
        self.run_fine("counterfactual", "--run", self.runs[0], "--metric", "all,disc-loss",
                      "--epochs-back", "3", "--targets", "40")
        for name, time in before.items():
            self.assertEqual(os.stat(os.path.join(self.runs[0], name)).st_mtime_ns, time, name)

    def test_run_cfg_replays_the_run(self):
        again = self.path("again")
        self.run_fine("train", "--out", again, "--config", os.path.join(self.runs[1], "run.cfg"))
        self.assert_same_arrays(os.path.join(again, "trajectory.h5"), os.path.join(self.runs[1], "trajectory.h5"))


class MnistTest(ProgramTest):
    def test_estimates_of_both_losses_meet_the_truth(self):
        folder = chain(self, "mnist", [
            "--data", "mnist:" + mnist_folder(), "--instances", "2000", "--held-out", "200", "--epochs", "2", "--batch",
            "100", "--generator-hidden", "64", "--discriminator-hidden", "64", "--generator-output", "tanh"],
                       both=("--metric", "disc-loss,gen-loss"), counterfactual=("--targets", 20))
        self.run_fine("validate", "--run", folder)
        tau = {key[0]: figures(*pair)["kendall_tau"] for key, pair in pairs(folder).items()}
        for metric in ("disc-loss", "gen-loss"):
            self.assertGreater(tau[metric], 0.5, metric)
        for row in read_json(os.path.join(folder, "validation.json"))["rows"]:
            self.assertAlmostEqual(row["kendall_tau"], tau[row["metric"]], delta=1e-10)


if __name__ == "__main__":
    main()
