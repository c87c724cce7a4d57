"""whence validate and cleanse-table: ties, rows without an order, groups of one setting, few targets, and what the jobs
that look at files share."""

import os
import subprocess
import sys
import zlib

import h5py
import numpy as np

from support import SOURCE, ProgramTest, arrays, main, read_json, tiny

TARGETS = ("--targets", "40")


def critical(values, order, extremes):
    order = np.lexsort((order, values))
    return set(order[:extremes]) | set(order[-extremes:])


def broken_at_random(truth, estimate, extremes, draw):
    """Jaccard index of the critical sets with ties broken at random."""
    a, b = (critical(values, draw.random(len(values)), extremes) for values in (truth, estimate))
    return len(a & b) / len(a | b)


def left_open(values, extremes, draw, times=400):
    """The indices that are in the critical set of some ways to break ties, and not of others."""
    sets = [critical(values, draw.random(len(values)), extremes) for _ in range(times)]
    return set.union(*sets) - set.intersection(*sets)


def shuffled(truth, estimate, draw):
    """The estimates of targets that are not 0 in both, among each other."""
    values, told = estimate.copy(), np.flatnonzero((truth != 0) | (estimate != 0))
    values[told] = draw.permutation(estimate[told])
    return values


class ValidateTest(ProgramTest):
    """One run of few targets whose files the tests rewrite: figures by hand, without training anew."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.runs = {}
        for name, changes in (("seed0", {}), ("seed1", {"seed": 1}), ("seed2", {"seed": 2}), ("wide", {"latent": 3})):
            run = cls.train(name, *tiny(test=40, **changes))
            cls.run_fine("influence", "--run", run, "--metric", "all,disc-loss")
            cls.run_fine("counterfactual", "--run", run, "--metric", "all,disc-loss", *TARGETS)
            cls.run_fine("cleanse", "--run", run, "--select", "random", "--remove", "20", "--quiet")
            cls.runs[name] = run

    def of(self, *names):
        return [part for name in names for part in ("--run", self.runs[name])]

    def validated(self, *arguments):
        """Standard output and the JSON."""
        out = self.path("validated.json")
        result = self.run_fine("validate", *arguments, "--out", out)
        return result.out, read_json(out)

    def changed(self, run, name, truth=None, estimate=None):
        """A copy of the run with its influences on ALL changed by functions of arrays."""
        copy = self.copy_of(self.runs[run], name)
        for file, place, change in (("counterfactual.h5", (0, 0), truth), ("influence.h5", (0, 0, 0), estimate)):
            if change is None:
                continue
            with h5py.File(os.path.join(copy, file), "r+") as opened:
                array = opened["influence"]
                array[place] = change(array[place])
                array.attrs["crc32"] = np.uint32(zlib.crc32(array[...].tobytes()))
        return copy

    def row(self, rows, metric, group="all runs"):
        found = [row for row in rows if (row["metric"], row["group"]) == (metric, group)]
        self.assertEqual(len(found), 1, rows)
        return found[0]

    def test_ties_count_as_broken_at_random_and_are_told(self):
        position = arrays(os.path.join(self.runs["seed0"], "counterfactual.h5"))["target_position"]

        def truth(values):
            return np.where(np.arange(len(values)) < 19, 0, np.argsort(np.argsort(values)) - 12.5)

        def estimate(values):
            values = values.copy()
            values[position[:19]] = 0
            return values

        copy = self.changed("seed0", "ties", truth, estimate)
        out, found = self.validated("--run", copy)
        row = self.row(found["rows"], "all")
        draw = np.random.default_rng(0)
        real = arrays(os.path.join(copy, "counterfactual.h5"))["influence"][0, 0]
        mine = arrays(os.path.join(copy, "influence.h5"))["influence"][0, 0, 0][position]
        self.assertEqual(((real == 0) & (mine == 0)).sum(), 19)
        index = [broken_at_random(real, mine, 10, draw) for _ in range(4000)]
        chance = [broken_at_random(real, shuffled(real, mine, draw), 10, draw) for _ in range(4000)]
        for name, values in (("jaccard", index), ("jaccard_chance", chance)):
            self.assertLess(abs(row[name] - np.mean(values)), 5 * np.std(values) / np.sqrt(len(values)) + 1e-9, name)
        self.assertGreater(abs(row["jaccard_chance"] - self.row(found["rows"], "disc-loss")["jaccard_chance"]), 1e-3)
        tied = len(left_open(real, 10, draw) | left_open(mine, 10, draw))
        self.assertGreaterEqual(tied, 19)
        self.assertEqual((row["tied_at_edge"], self.row(found["rows"], "disc-loss")["tied_at_edge"]), (tied, 0))
        self.assertRegex(out, r"\nall +1 +0.001 +1 +40 +10\+10 +%d " % tied)

    def test_a_constant_row_leaves_the_others(self):
        for name, change, words in (("truth", {"truth": np.zeros_like}, "the 40 true influences are equal"),
                                    ("estimate", {"estimate": np.ones_like}, "the 40 estimated influences are equal")):
            copy = self.changed("seed0", "constant-" + name, **change)
            out, found = self.validated("--run", copy)
            row = self.row(found["rows"], "all")
            for figure in ("kendall_tau", "kendall_p", "jaccard", "jaccard_chance", "spearman", "pearson", "critical"):
                self.assertIsNone(row[figure], figure)
            self.assertEqual(row["note"], "all at k = 1: " + words)
            self.assertIn("\nall at k = 1: %s\n" % words, out)
            self.assertRegex(out, r"\nall +1 +0.001 +1 +40 +- +- +- +- +- +- +- +-\s")
            plain = self.row(self.validated(*self.of("seed0"))[1]["rows"], "disc-loss")
            self.assertEqual(self.row(found["rows"], "disc-loss"), plain)

            out, found = self.validated("--run", copy, *self.of("seed1", "seed2"))
            row = self.row(found["rows"], "all")
            self.assertEqual((row["runs"], row["runs_with_tau"]), (3, 2))
            two = [self.row(self.validated(*self.of(seed))[1]["rows"], "all") for seed in ("seed1", "seed2")]
            self.assertAlmostEqual(row["kendall_tau"], np.mean([one["kendall_tau"] for one in two]), delta=1e-12)
            self.assertEqual(row["note"], "all at k = 1: %s (%s)" % (words, copy))
            self.assertRegex(out, r"\nall +1 +0.001 +2 of 3 ")
            self.tools_take(copy)

    def tools_take(self, copy):
        """Tools that read validation.json show a row without figures."""
        self.run_fine("validate", "--run", copy, "--quiet")
        shown = subprocess.run([sys.executable, os.path.join(SOURCE, "tools", "show_validation.py"), copy],
                               capture_output=True, text=True)
        self.assertEqual(shown.returncode, 0, shown.stderr)
        self.assertRegex(shown.stdout, r"\nall +1 +0.001 +- +- +- +- +-")
        page, told = self.report(copy)
        self.assertEqual(told, "")
        self.assertIn("the 40 ", page)

    def test_runs_of_other_settings_are_not_averaged(self):
        out, found = self.validated(*self.of("seed0", "wide", "seed1", "seed2"))
        groups = ["latent 10", "latent 3"]
        self.assertEqual([(group["name"], group["settings"], len(group["runs"])) for group in found["groups"]],
                         [(groups[0], {"latent": "10"}, 3), (groups[1], {"latent": "3"}, 1)])
        self.assertEqual(self.row(found["rows"], "all", groups[1]),
                         {**self.row(self.validated(*self.of("wide"))[1]["rows"], "all"), "group": groups[1]})
        seeds = self.row(self.validated(*self.of("seed0", "seed1", "seed2"))[1]["rows"], "all")
        self.assertEqual(self.row(found["rows"], "all", groups[0]), {**seeds, "group": groups[0]})
        for group in groups:
            self.assertIn("\n%s:\n" % group, out)

        result = self.run_fine("cleanse-table", *self.of("seed0", "wide", "seed1"))
        rows = read_json(self.path("cleansing.json"))["rows"]
        self.assertEqual([(row["group"], row["runs"]) for row in rows], [(groups[0], 2), (groups[1], 1)])
        for group in groups:
            self.assertIn("%s:\n" % group, result.out)

    def test_which_steps_are_recorded_is_no_other_setting(self):
        run = self.train("last", *tiny(seed=7, test=40, record="last:1"))
        for job in (("influence",), ("counterfactual", *TARGETS)):
            self.run_fine(*job, "--run", run, "--metric", "all,disc-loss")
        self.assertEqual(len(self.validated(*self.of("seed0"), "--run", run)[1]["groups"]), 1)

    def test_two_runs_or_equal_ones_are_not_tested(self):
        out, found = self.validated(*self.of("seed0", "seed1"))
        for row in found["rows"]:
            self.assertIsNotNone(row["kendall_tau_std"])
            self.assertIsNone(row["kendall_tau_ttest_p"])
        self.assertNotIn("0.0e+00", out)

    def test_the_sizes_used_stand_in_the_table(self):
        run = self.copy_of(self.runs["seed0"], "few")
        for targets, size in ((21, 10), (20, None), (19, 4)):
            self.run_fine("counterfactual", "--run", run, "--targets", targets, "--overwrite")
            out, found = self.validated("--run", run)
            row = self.row(found["rows"], "all")
            self.assertEqual((row["critical"], row["targets"]), (size, targets))
            self.assertIsNotNone(row["kendall_tau"])
            if size is None:
                self.assertEqual((row["jaccard"], row["jaccard_chance"]), (None, None))
                self.assertIn("the 10 smallest and the 10 largest are all 20 targets", out)
            else:
                self.assertIn(" %d+%d " % (size, size), out)
                self.assertLess(row["jaccard_chance"], 1)
        self.run_fine("counterfactual", "--run", run, "--targets", 1, "--overwrite")
        self.assertIn("all at k = 1: 1 target has no order\n", self.validated("--run", run)[0])

    def test_what_is_missing_is_named_with_its_job(self):
        for name, job, reader in (("influence.h5", "influence", "validate"), ("trajectory.h5", "train", "validate"),
                                  ("counterfactual.h5", "counterfactual", "validate"),
                                  ("cleansing.h5", "cleanse", "cleanse-table")):
            copy = self.copy_of(self.runs["seed0"], "without-" + job)
            os.remove(os.path.join(copy, name))
            option = "--out" if job == "train" else "--run"
            self.assert_refused([reader, "--run", copy], name, "run whence %s %s %s" % (job, option, copy))
            self.assert_refused([reader, "--run", copy, "--dry-run"], name, "run whence %s %s %s" % (job, option, copy))
        self.assert_refused(["cleansing", "--run", self.runs["seed0"]], "now called cleanse-table")

    def test_jobs_that_look_at_files_can_be_quiet_or_only_say_what_they_would_do(self):
        run = self.copy_of(self.runs["seed0"], "quiet")
        for job, result in ((("validate", "--run", run), "validation.json"),
                            (("cleanse-table", "--run", run), "cleansing.json"),
                            (("verify", run), None), (("info", run), None),
                            (("info", os.path.join(run, "influence.h5")), None)):
            before = sorted(os.listdir(run))
            said = self.run_fine(*job, "--dry-run").out
            self.assertEqual(sorted(os.listdir(run)), before, job)
            self.assertIn("read  %s" % run, said)
            self.assertEqual("write " + os.path.join(run, str(result)) in said, result is not None, said)
            self.assertEqual(self.run_fine(*job, "--quiet").out, "", job)
            if result:
                self.assertTrue(os.path.exists(os.path.join(run, result)))
        os.remove(os.path.join(run, "influence.h5"))
        self.assert_refused(["validate", "--run", run, "--quiet"], "influence.h5")

    def test_info_of_a_folder_says_what_it_holds(self):
        run = self.copy_of(self.runs["seed1"], "told")
        os.remove(os.path.join(run, "cleansing.h5"))
        said = self.run_fine("info", run).out
        for words in ("a run of fcgan on normal2d, finished, 45 of 45 steps", "seed: 1\n", "instances = 300",
                      "data: normal2d N=300", "40 targets",
                      "estimated influence of every instance: metrics all,disc-loss; epochs back 1; 300 instances"):
            self.assertIn(words, said)
        self.assertRegex(said, r"cleansing.h5 +- +not there \(whence cleanse\)")
        with open(os.path.join(run, "influence.h5"), "wb") as file:
            file.write(b"no HDF5")
        self.assertRegex(self.run_fine("info", run).out, r"influence.h5 .*cannot be read \(")
        self.assertIn("runs in it: ", self.run_fine("info", self.place).out)
        self.assert_refused(["info", os.path.join(SOURCE, "slurm")], "holds nothing that a job of whence has made")

    def test_the_cleansing_table_has_digits_of_any_size(self):
        for scale in (1, 1e-9, 1e9):
            run = self.copy_of(self.runs["seed0"], "scaled-%g" % scale)
            with h5py.File(os.path.join(run, "cleansing.h5"), "r+") as file:
                for name, values in (("baseline", np.array([scale])), ("value", scale * np.array([[[1.2345678]]]))):
                    file[name][...] = values
                    file[name].attrs["crc32"] = np.uint32(zlib.crc32(file[name][...].tobytes()))
            said = self.run_fine("cleanse-table", "--run", run).out
            self.assertIn({1: "+0.2346", 1e-9: "+2.346e-10", 1e9: "+2.346e+08"}[scale], said)
            self.assertNotIn("+0.0000", said)
            lines = said.splitlines()
            self.assertEqual(len(lines[1]), len(lines[2]), "columns are aligned:\n" + said)


if __name__ == "__main__":
    main()
