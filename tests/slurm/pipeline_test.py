"""Pipelines and sweeps on two nodes of a real SLURM end as the same jobs do without it."""

import csv
import os

import numpy as np

from slurm_support import SlurmTest
from support import main, read_json, tiny, whence
from vae_support import vae, write_idx

TRAIN = tiny(epochs=3)
SAME = ("--metric", "all,disc-loss", "--epochs-back", "1,2")
TARGETS = ("--targets", "20")


class Validation(SlurmTest):
    def test_two_seeds_on_two_nodes_equal_the_same_jobs_without_slurm(self):
        out, here = self.path("validation"), self.path("here")
        command = ("validation.sh", "--out", out, "--seeds", "2", *SAME, *TARGETS, "--critical", "5", *TRAIN)
        before = self.cluster.jobs()
        said = self.script(*command, "--dry-run").stdout
        self.assertEqual(said.count("\nsbatch ") + said.startswith("sbatch "), 4, said)
        self.assertFalse(os.path.exists(out), "a dry run made something")
        self.assertEqual(self.cluster.jobs(), before)

        ids, said = self.submit(*command)
        self.assertEqual(set(ids), {"train", "influence", "counterfactual", "validate"}, said)
        # While they are in the queue, the same command has nothing to add.
        self.assertEqual(self.submit(*command)[0], {})
        runs = []  # the same here, while SLURM is at it
        for seed in ("0", "1"):
            run = os.path.join(here, "seed" + seed)
            runs += ["--run", run]
            self.run_fine("train", "--out", run, "--seed", seed, *TRAIN, ranks=2)
            self.run_fine("influence", "--run", run, *SAME, ranks=2)
            self.run_fine("counterfactual", "--run", run, *SAME, *TARGETS, ranks=2)
        self.cluster.wait_until_empty(300)
        for seed in ("0", "1"):
            self.assert_same_runs(os.path.join(out, "seed" + seed), os.path.join(here, "seed" + seed), "trajectory.h5",
                                  "influence.h5", "counterfactual.h5")
        table = self.log(out, "../../validation.txt")
        compared = self.run_fine("validate", *runs, "--critical", "5")
        self.assertEqual(table, compared.out)
        self.assertEqual(read_json(os.path.join(out, "validation.json"))["rows"],
                         read_json(os.path.join(here, "validation.json"))["rows"])
        self.check_accounting(out)
        print("\n" + said + "\n" + table)

        self.assertEqual(self.submit(*command)[0], {}, "everything was there")
        # One result is lost: only it is made again, and the table.
        os.remove(os.path.join(out, "seed1", "influence.h5"))
        ids, said = self.submit(*command)
        self.assertEqual(set(ids), {"influence", "validate"}, said)
        self.assertIn("influence       job %s: seed1\n" % ids["influence"], said)
        self.cluster.wait_until_empty(60)
        self.assert_same_runs(os.path.join(out, "seed1"), os.path.join(here, "seed1"), "influence.h5")

    def test_groups_in_place_of_targets_end_in_a_table_of_lds(self):
        out, here = self.path("groups"), self.path("groups-here", "seed0")
        groups = ("--groups", "6", "--fraction", "0.02,0.1")
        command = ("validation.sh", "--out", out, "--seeds", "1", "--metric", "all", *groups, *TRAIN)
        ids, said = self.submit(*command)
        self.assertEqual(set(ids), {"train", "influence", "counterfactual", "validate"}, said)
        self.run_fine("train", "--out", here, "--seed", "0", *TRAIN, ranks=2)
        self.run_fine("influence", "--run", here, "--metric", "all", ranks=2)
        self.run_fine("counterfactual", "--run", here, "--metric", "all", *groups, ranks=2)
        self.cluster.wait_until_empty(300)
        self.assert_same_runs(os.path.join(out, "seed0"), here, "influence.h5", "groups.h5")
        self.assertEqual(self.log(out, "../../validation.txt"), self.run_fine("validate", "--run", here).out)
        self.assertIn("LDS", self.log(out, "../../validation.txt"))
        self.assertEqual(self.submit(*command)[0], {}, "everything was there")

    def check_accounting(self, out):
        for seed in ("seed0", "seed1"):
            summary = read_json(os.path.join(out, seed, "summary.json"))
            for job, unit in (("train", "steps"), ("influence", "steps"), ("counterfactual", "replica_steps")):
                entry = summary[job]
                self.assertEqual((entry["ranks"], entry["nodes"], entry["starts"], entry["finished"]), (2, 2, 1, True))
                self.assertAlmostEqual(entry[unit + "_per_second"] * entry[unit + "_seconds"], entry[unit], delta=1e-6 * entry[unit])
                self.assertGreater(entry["bytes_written"], 0)
                self.assertGreater(entry["peak_bytes_a_rank"], 50 << 20)
                last = self.log(out, "%s.%s.log" % (seed, job)).splitlines()[-1]
                for words in (job + " done: 2 ranks on 2 nodes", " a second", " written", "peak memory"):
                    self.assertIn(words, last)

    def test_pipelines_of_later_jobs_submit_them_in_order(self):
        for name, stages, tables in (("cleansing.sh", ("train", "influence", "cleanse"), 1),
                                     ("tracin.sh", ("train", "tracin"), 0)):
            with self.subTest(name):
                out = self.path(name)
                said = self.script(name, "--out", out, "--seeds", "3", "--at-once", "2", "--dry-run", "--", "train", *TRAIN,
                                   "--", stages[-1], "--run-with", "x").stdout
                lines = [line for line in said.splitlines() if line.startswith("sbatch ")]
                self.assertEqual(len(lines), len(stages) + tables, said)
                if tables:
                    self.assertIn("--dependency=afterany:ID1:ID2:ID3 ", lines.pop())
                for number, (stage, line) in enumerate(zip(stages, lines)):
                    self.assertIn("/%s.sbatch" % stage, line)
                    self.assertIn("--array=0\\,1\\,2%2", line)
                    self.assertEqual("--dependency=aftercorr:ID%d " % number in line, number > 0)
                self.assertTrue(lines[-1].endswith("%s.sbatch --run-with x" % stages[-1]), lines[-1])

    def test_cleansing_of_two_seeds_ends_in_the_table_of_the_same_jobs_without_slurm(self):
        out, train = self.path("cleansing"), (*TRAIN, "--test", "50")
        estimate, cleanse = ("--metric", "all"), ("--select", "influence:all,random", "--remove", "20,60")
        command = ("cleansing.sh", "--out", out, "--seeds", "2", "--", "train", *train, "--", "influence", *estimate,
                   "--", "cleanse", *cleanse)
        ids, said = self.submit(*command)
        self.assertEqual(set(ids), {"train", "influence", "cleanse", "cleanse-table"}, said)
        here = [self.path("cleansed/seed%d" % seed) for seed in range(2)]
        for seed, run in enumerate(here):
            self.run_fine("train", "--out", run, "--seed", str(seed), *train, ranks=2)
            self.run_fine("influence", "--run", run, *estimate, ranks=2)
            self.run_fine("cleanse", "--run", run, *cleanse, ranks=2)
        self.cluster.wait_until_empty(300)
        for seed, run in enumerate(here):
            self.assert_same_runs(os.path.join(out, "seed%d" % seed), run, "trajectory.h5", "influence.h5", "cleansing.h5")
        self.assertEqual(self.log(out, "../../cleansing.txt"),
                         self.run_fine("cleanse-table", "--run", here[0], "--run", here[1]).out)
        self.assertEqual(self.submit(*command)[0], {}, "everything was there")

    def test_tracin_of_two_seeds_and_other_queries_of_the_same_runs(self):
        images = self.path("images")
        write_idx(images, np.random.default_rng(0).integers(0, 256, (160, 6, 6)))
        out, train = self.path("tracin"), vae("idx:" + images)
        command = ("tracin.sh", "--out", out, "--seeds", "2", "--nodes", "1", "--", "train", *train, "--", "tracin")
        for options, name in ((("--queries", "test:5"), "tracin.h5"), (("--queries", "self", "--name", "own"), "tracin-own.h5")):
            ids, said = self.submit(*command, *options)
            self.assertEqual(set(ids), {"train", "tracin"} if name == "tracin.h5" else {"tracin"}, said)
            self.assertIn("seed*/" + name, said)
            for seed in ("0", "1"):
                run = self.path("here/vae" + seed)
                if name == "tracin.h5":
                    self.run_fine("train", "--out", run, "--seed", seed, *train, ranks=2)
                self.run_fine("tracin", "--run", run, *options, ranks=2)
            self.cluster.wait_until_empty(120)
            self.assertEqual(self.submit(*command, *options)[0], {}, "everything was there")
            for seed in ("0", "1"):
                self.assert_same_runs(os.path.join(out, "seed" + seed), self.path("here/vae" + seed), "trajectory.h5", name)

    def test_mistakes_are_refused_before_anything_is_submitted(self):
        grid = self.path("bad.csv")
        with open(grid, "w") as file:
            file.write("batch,batch\n1,2\n")
        out = self.path("refused")
        for command, word in (
                (("validation.sh", "--out", out, "--seeds", "0"), "--seeds"),
                (("validation.sh", "--out", out, "--seeds", "1", "--no-such-option", "1"), "--no-such-option"),
                (("validation.sh", "--out", out, "--batch", "0"), "--batch"),
                (("validation.sh", "--seeds", "1"), "--out"),
                (("validation.sh", "--out", out, "--ranks", "many"), "--ranks"),
                (("validation.sh", "--out", out + " x"), "space"),
                (("cleansing.sh", "--out", out, "--", "tracin"), "tracin"),
                (("sweep.sh", self.path("none.csv"), "--out", out, "--", "train"), "none.csv"),
                (("sweep.sh", grid, "--out", out, "--", "train"), "batch twice")):
            with self.subTest(" ".join(command)):
                done = self.script(*command, check=False)
                self.assertEqual(done.returncode, 2, done.stdout + done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertIn(word, done.stderr)
                self.assertFalse(os.path.exists(out))
        self.assertEqual([job for job, (state, _) in self.cluster.jobs().items() if state in ("PENDING", "RUNNING")], [])


class Sweep(SlurmTest):
    # The third run diverges: its gradients are not finite after a few steps.
    GRID = (("1e-3", "20"), ("1e-3", "30"), ("1e300", "20"), ("2e-3", "20"), ("2e-3", "30"))
    COLUMNS = ("rate-generator", "batch")

    def test_a_sweep_of_four_and_a_failing_one(self):
        grid, out = self.path("grid.csv"), self.path("sweep")
        with open(grid, "w", newline="") as file:
            csv.writer(file).writerows((self.COLUMNS,) + self.GRID)
        sections = ("--", "train", *tiny(epochs=3, batch=20)[:6], *("--generator-hidden", "8", "--discriminator-hidden", "8"),
                    "--", "influence", *SAME, "--", "counterfactual", *SAME, *TARGETS)
        command = ("sweep.sh", grid, "--out", out, "--nodes", "1", "--at-once", "3", *sections)
        ids, said = self.submit(*command)
        self.assertEqual(set(ids), {"train", "influence", "counterfactual", "sweep_table"}, said)
        most = self.most_at_once(ids["train"])
        self.cluster.wait_until_empty(300)
        self.assertLessEqual(most, 3)

        jobs = self.cluster.jobs()
        self.assertEqual([jobs["%s_%d" % (ids["train"], i)][0] for i in range(5)],
                         ["COMPLETED", "COMPLETED", "FAILED", "COMPLETED", "COMPLETED"],
                         self.tell_logs(out) + self.cluster.report())
        self.assertEqual(jobs[ids["sweep_table"]][0], "FAILED")
        text = self.log(out, "../../sweep.txt")
        failed = "rate-generator=1e300_batch=20"
        self.assertIn("not complete:\n%s: whence train: rank " % failed, text)
        self.assertEqual(text.count("whence "), 1, text)
        self.check_table(out)
        print("\n" + text)

        # Again: only what failed, and what waits for it.
        ids, said = self.submit(*command)
        for stage in ("train", "influence", "counterfactual"):
            self.assertIn("%-15s job %s: %s\n" % (stage, ids[stage], failed), said)
        self.cluster.wait_until_empty(60)

    def most_at_once(self, array):
        most = 0
        def ended():
            nonlocal most
            states = [state for job, (state, _) in self.cluster.jobs().items() if job.startswith(array + "_")]
            most = max(most, states.count("RUNNING"))
            return len(states) == len(self.GRID) and not {"PENDING", "RUNNING"} & set(states)
        self.cluster.wait_for("the runs of the sweep", ended, 120)
        return most

    def check_table(self, out):
        """The table against each run's own validation, made here once more."""
        with open(os.path.join(out, "sweep.csv"), newline="") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(len(rows), 4 * 4 + 1)
        for rate, batch in self.GRID:
            folder = os.path.join(out, "rate-generator=%s_batch=%s" % (rate, batch))
            found = [row for row in rows if (row["rate-generator"], row["batch"]) == (rate, batch)]
            if rate == "1e300":
                self.assertEqual([(row["state"], row["kendall_tau"]) for row in found], [("missing", "")])
                continue
            json = self.path("again.json")
            self.run_fine("validate", "--run", folder, "--out", json)
            wanted = {(row["metric"], row["epochs_back"]): row["kendall_tau"] for row in read_json(json)["rows"]}
            self.assertEqual({(row["metric"], int(row["k"])): float(row["kendall_tau"]) for row in found}, wanted)
            config = whence("info", os.path.join(folder, "trajectory.h5")).out
            self.assertIn("batch = %s" % batch, config)


if __name__ == "__main__":
    main()
