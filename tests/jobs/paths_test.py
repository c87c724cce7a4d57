"""How far estimates are to be believed: |u| on the way back, the spread over retrained paths, retraining where it counts, one order of both."""

import os
import shutil
import signal

import numpy as np
from scipy.stats import kendalltau, pearsonr

from interrupt_support import InterruptedTest, at_work
from support import arrays, attributes, main, read_json, tiny, whence, write_bytes


class PathsTest(InterruptedTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.smooth = cls.train("smooth", *tiny(epochs=5, instances=100, batch=10, activation="tanh", held_out=30, record="every:7"))
        cls.traced = os.path.join(cls.place, "traced")
        cls.said = cls.trace(cls.smooth, cls.traced)

    OPTIONS = ("--metric", "all,disc-loss", "--epochs-back", "1,4", "--kink-width", "0", "--paths", "2")

    @classmethod
    def trace(cls, folder, copy, *options, ranks=1):
        """Traces a copy of the run; returns what that said."""
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy)
        done = whence("influence", "--run", copy, *(options or cls.OPTIONS), ranks=ranks, timeout=300)
        if done.code != 0:
            raise AssertionError(str(done))
        return done.err

    def test_any_ranks_find_the_same_spread(self):
        alone = arrays(self.traced + "/influence.h5")
        self.assertEqual(alone["spread"].shape, alone["influence"].shape)
        # Of the last step's instances nothing reaches the generator, along any path.
        self.assertGreaterEqual(alone["spread"].min(), 0)
        self.assertGreater(np.mean(alone["spread"][:, :, 1] > 0), 0.9)
        self.assertLess(alone["spread"].max(), np.abs(alone["influence"]).max())
        self.assertIn("agreement between paths, Kendall's tau between the estimates along 3 of them: all ", self.said)
        self.assertNotIn("it does not see kinks", self.said)
        self.assertIn("largest growth of |u| over 25 steps: all ", self.said)
        for ranks in (2, 3):
            other = self.path("on-%d" % ranks)
            self.trace(self.smooth, other, ranks=ranks)
            found = arrays(other + "/influence.h5")
            for name in ("spread", "path_tau", "path_id"):
                np.testing.assert_array_equal(found[name], alone[name], "%s on %d ranks" % (name, ranks))
            np.testing.assert_allclose(found["adjoint_norm"], alone["adjoint_norm"], rtol=1e-10)
            self.assertEqual([name for name in os.listdir(other) if ".part" in name], [])
            self.run_fine("verify", other)
        # Without paths the estimates and norms are the same, and one k has the same spread by itself.
        without, one = self.path("without"), self.path("one")
        self.trace(self.smooth, without, *self.OPTIONS[:-2])
        self.trace(self.smooth, one, "--metric", "all,disc-loss", "--epochs-back", "4", "--kink-width", "0", "--paths", "2")
        plain, single = arrays(without + "/influence.h5"), arrays(one + "/influence.h5")
        self.assertNotIn("spread", plain)
        for name in ("influence", "adjoint_norm", "norm_steps_back"):
            np.testing.assert_array_equal(plain[name], alone[name])
        np.testing.assert_array_equal(single["path_id"][0], alone["path_id"][1])
        np.testing.assert_allclose(single["spread"][:, :, 0], alone["spread"][:, :, 1], rtol=1e-9)

    def test_kinks_are_said_not_to_be_seen(self):
        folder = self.train("kinked", *tiny(epochs=2))
        said = whence("influence", "--run", folder, "--paths", "1").err
        self.assertIn("it does not see kinks, which this game has", said)
        counted = arrays(folder + "/influence.h5")
        self.assertEqual(attributes(folder + "/influence.h5")["crossings"], "1")
        whence("influence", "--run", folder, "--paths", "1", "--crossings", "off", "--overwrite")
        off = arrays(folder + "/influence.h5")
        np.testing.assert_array_equal(counted["spread"], off["spread"])
        self.assertTrue(np.any(counted["influence"] != off["influence"]))

    def test_bursts_are_warned_of(self):
        # Rates at which this game's training is unstable.
        folder = self.train("burst", *tiny(epochs=3, activation="tanh", rate_generator="0.1", rate_discriminator="3", record="all"))
        said = whence("influence", "--run", folder, "--epochs-back", "3", "--kink-width", "0").err
        found = arrays(folder + "/influence.h5")
        norms, back = found["adjoint_norm"][0, 0], found["norm_steps_back"]
        self.assertEqual(back.tolist(), list(range(0, 46, 5)))
        growth = np.max(norms[5:] / norms[:-5])
        self.assertGreater(growth, 1.5)
        self.assertRegex(said, r"all at k = 3: \|u\| grew \S+-fold between \d+ and \d+ steps before the end; over 1.5-fold")
        self.assertAlmostEqual(float(said.split("|u| grew ")[1].split("-fold")[0]), growth, delta=0.006 * growth)
        page, _ = self.report(folder)
        self.assertIn("The queries on their way back", page)

    def test_stopped_traces_go_on_to_the_same_bytes(self):
        run = self.train("long", *tiny(epochs=40, generator_hidden="64,64", discriminator_hidden="64,64", engine="torch", activation="tanh"))
        options = ("--metric", "all,gen-loss", "--epochs-back", "40", "--kink-width", "0", "--paths", "2")
        whole, stopped = self.path("whole"), self.copy_of(run, "stopped")
        self.trace(run, whole, *options, ranks=2)
        seen = set()
        for number, part in ((signal.SIGUSR1, "influence.h5.part"), (signal.SIGTERM, "influence-paths.h5.part"), (signal.SIGUSR1, "influence-paths.h5.part")):
            at_paths = os.path.join(stopped, part)
            self.stopped("influence", "--run", stopped, *options, ranks=2, number=number, to=[1],
                         ready=lambda job: at_work(job, 2) and (part == "influence.h5.part" or os.path.exists(at_paths)))
            self.assertFalse(os.path.exists(os.path.join(stopped, "influence.h5")))
            seen |= {name for name in os.listdir(stopped) if ".part" in name}
            self.run_fine("verify", stopped)
        self.assertTrue(any(name.startswith("influence-paths.h5.part.") for name in seen), seen)
        job = whence("influence", "--run", stopped, *options, ranks=2, timeout=300)
        self.assertEqual(job.code, 0, str(job))
        self.assert_same_bytes(os.path.join(stopped, "influence.h5"), os.path.join(whole, "influence.h5"))
        self.assertEqual([name for name in os.listdir(stopped) if ".part" in name], [])

    def test_targets_by_spread_and_one_order_of_truth_and_estimates(self):
        folder = self.copy_of(self.traced, "merged")
        common = ("--metric", "disc-loss", "--epochs-back", "4")
        self.run_fine("counterfactual", "--run", folder, *common, "--targets", "40")
        self.run_fine("counterfactual", "--run", folder, *common, "--targets", "12", "--noise-draws", "3", "--name", "drawn")
        found = arrays(folder + "/influence.h5")
        spread, estimate = found["spread"][0, 1, 1], found["influence"][0, 1, 1]
        truth = arrays(folder + "/counterfactual.h5")
        among = truth["target_position"]
        by_spread = sorted(among, key=lambda j: -spread[j])
        by_size = sorted(among, key=lambda j: -abs(estimate[j]))
        write_bytes(self.path("among"), "".join("%d\n" % i for i in truth["target_id"]).encode())
        self.run_fine("counterfactual", "--run", folder, *common, "--targets", "uncertain:8", "--among", "40", "--name", "uncertain")
        self.run_fine("counterfactual", "--run", folder, *common, "--targets", "both:7", "--among", self.path("among"), "--name", "both")
        self.run_fine("counterfactual", "--run", folder, *common, "--targets", "uncertain:5", "--name", "anywhere")
        uncertain = arrays(folder + "/counterfactual-uncertain.h5")
        self.assertEqual(uncertain["target_position"].tolist(), by_spread[:8])
        expected = []
        for j in (j for pair in zip(by_spread, by_size) for j in pair):
            if j not in expected:
                expected.append(j)
        self.assertEqual(arrays(folder + "/counterfactual-both.h5")["target_position"].tolist(), expected[:7])
        anywhere = arrays(folder + "/counterfactual-anywhere.h5")["target_position"]
        self.assertEqual(anywhere.tolist(), np.argsort(-spread, kind="stable")[:5].tolist())
        said = self.run_fine("validate", "--run", folder, "--critical", 3, "--merged").out
        rows = {os.path.basename(row["file"]): row for row in read_json(folder + "/validation.json")["merged"]}
        true = truth["influence"][0, 0]
        # A metric over other draws is another quantity.
        self.assertIn("counterfactual-uncertain.h5", rows)
        self.assertNotIn("counterfactual-drawn.h5", rows)
        for file in ("uncertain", "both"):
            row = rows["counterfactual-%s.h5" % file]
            retrained = arrays(folder + "/counterfactual-%s.h5" % file)["target_position"]
            merged = np.where(np.isin(among, retrained), true, estimate[among])
            self.assertEqual((row["retrained"], row["targets"], row["metric"], row["epochs_back"]), (len(retrained), 40, "disc-loss", 4))
            self.assertAlmostEqual(row["kendall_tau"], kendalltau(true, merged).statistic, 12)
            self.assertAlmostEqual(row["pearson"], pearsonr(true, merged)[0], 12)
            self.assertAlmostEqual(row["estimate_kendall_tau"], kendalltau(true, estimate[among]).statistic, 12)
            draw = np.random.default_rng(3)
            random = []
            for _ in range(2000):
                chosen = np.isin(np.arange(40), draw.choice(40, len(retrained), replace=False))
                random.append(kendalltau(true, np.where(chosen, true, estimate[among])).statistic)
            self.assertAlmostEqual(row["random_kendall_tau"], np.mean(random), delta=5 * np.std(random) / 10)
        self.assertIn("merged with counterfactual-uncertain.h5 (8 of 40 targets true): tau ", said)
        # show orders by all that was retrained, and marks it; how good estimates are it says by the random targets alone.
        shown = self.run_fine("show", "--run", folder, "--metric", "disc-loss", "--epochs-back", "4", "--top", "50", "--merged", "--csv").out
        marked = {int(line.split(",")[6]): (line.split(",")[10], float(line.split(",")[9] or line.split(",")[8])) for line in shown.splitlines()[1:]}
        ids = found["instance_id"]
        self.assertEqual(len(marked), 100)
        retrained = {int(ids[j]): value for file in ("", "-anywhere") for j, value in zip(
            arrays(folder + "/counterfactual%s.h5" % file)["target_position"], arrays(folder + "/counterfactual%s.h5" % file)["influence"][0, 0])}
        for instance, (by, value) in marked.items():
            self.assertEqual(by, "truth" if instance in retrained else "estimate")
            self.assertEqual(value, retrained.get(instance, estimate[list(ids).index(instance)]))
        values = [marked[int(line.split(",")[6])][1] for line in shown.splitlines()[1:51]]
        self.assertIn(values, (sorted(values), sorted(values, reverse=True)))
        shown = self.run_fine("show", "--run", folder, "--metric", "disc-loss", "--epochs-back", "4")
        self.assertIn("counterfactual-drawn.h5: its metrics are means over other --noise-draws (3 in place of 1)", shown.out + shown.err)
        said = shown.out
        self.assertIn("of 40 retrained: Kendall's tau", said)

    def test_what_cannot_be_is_refused(self):
        folder = self.copy_of(self.traced, "refused")
        for options, words in ((("--targets", "uncertain:101"), "100 training instances"), (("--targets", "uncertain:9", "--among", "8"), "--among"),
                               (("--targets", "9", "--among", "8"), "--among"), (("--targets", "uncertain:x"), "--targets"),
                               (("--among", "nowhere"), "--among: 'nowhere'"), (("--groups", "2", "--among", "8"), "--among"),
                               (("--targets", "uncertain:9", "--metric", "gen-loss"), "gen-loss")):
            self.assert_refused(("counterfactual", "--run", folder, *options), words)
        self.trace(self.smooth, folder, "--epochs-back", "4")
        self.assert_refused(("counterfactual", "--run", folder, "--epochs-back", "4", "--targets", "uncertain:9"), "influence --paths")
        self.run_fine("counterfactual", "--run", folder, "--epochs-back", "4", "--targets", "9")
        self.assert_refused(("validate", "--run", folder, "--merged"), "--merged")
        for options, words in ((("--paths", "-1"), "--paths"), (("--paths", "101"), "--paths: 101"), (("--paths", "1", "--memory", "1x"), "--memory")):
            self.assert_refused(("influence", "--run", folder, "--overwrite", *options), words)
        wide = self.train("wide", *tiny(epochs=1, generator_hidden="128,128", discriminator_hidden="128,128", record="all"))
        self.assert_refused(("influence", "--run", wide, "--paths", "1", "--memory", "1"), "--memory", "retrained path")
        self.assertEqual([name for name in os.listdir(wide) if name.startswith("influence")], [])
        needs = self.run_fine("influence", "--run", folder, "--overwrite", "--epochs-back", "2,4", "--paths", "3", "--dry-run").out
        self.assertIn("3 retrained paths for each k", needs)


if __name__ == "__main__":
    main()
