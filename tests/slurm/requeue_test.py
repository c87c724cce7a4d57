"""Jobs that SLURM interrupts, requeues or loses a node of go on where they were, to the same bytes."""

import os

from slurm_support import SlurmTest
from support import main, read_json, tiny

# Few steps that cost much, so that ranks do not spend their time waiting for each other where there are few cores.
STEPS, PER_EPOCH = 5000, 10
TRAIN = tiny(instances=4000, epochs=STEPS // PER_EPOCH, batch=400, engine="torch", record="every:7", generator_hidden="64",
             discriminator_hidden="64")
BACK = ("--metric", "all", "--epochs-back", "60")
# Blocks enough that the log tells of one when most of them are still to come.
TARGETS = ("--targets", "40", "--replicas", "5")
EARLY = "interrupted (before the ranks were started)"


class Requeue(SlurmTest):
    credential = 5

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.reference = os.path.join(cls.place, "reference")
        cls.run_fine("train", "--out", cls.reference, "--seed", "0", *TRAIN, ranks=2, timeout=400)

    def test_interrupted_jobs_end_in_the_same_bytes(self):
        out = self.path("interrupted")
        ids, said = self.submit("validation.sh", "--out", out, "--seeds", "1", *BACK, *TARGETS, *TRAIN)
        run = os.path.join(out, "seed0")
        part, job = os.path.join(run, "trajectory.h5.part"), ids["train"] + "_0"
        # Three times: as --signal=B:USR1@60 does before the time is up, to one rank's node alone, as preemption does.
        for how in (("--signal=USR1", "--batch"), ("--signal=USR1", "--full"), ("--signal=TERM", "--full")):
            self.wait_for_progress(part, "committed", STEPS // 16)
            self.interrupt(job, *how)
        self.cluster.wait_for("training to end", lambda: self.state(job)[0] == "COMPLETED", 300)
        # A start that only a late signal of SLURM met has requeued itself, and said so.
        self.assertEqual(self.state(job)[1], 3 + self.log(out, "seed0.train.log").count(EARLY))
        self.check(run, "train", "steps", STEPS, 4, self.reference, "trajectory.h5")

        self.cluster.wait_for("counterfactuals", lambda: self.state(ids["counterfactual"] + "_0")[0] == "RUNNING", 60)
        job = ids["counterfactual"] + "_0"
        self.wait_for_log(out, "seed0.counterfactual.log", "blocks of counterfactuals")
        self.interrupt(job, "--signal=USR1", "--batch")
        self.cluster.wait_until_empty(300)
        self.run_fine("influence", "--run", self.reference, *BACK, ranks=2, timeout=400)
        self.run_fine("counterfactual", "--run", self.reference, *BACK, *TARGETS, ranks=2, timeout=400)
        steps = read_json(os.path.join(self.reference, "summary.json"))["counterfactual"]["replica_steps"]
        self.check(run, "counterfactual", "replica_steps", steps, 2, self.reference, "counterfactual.h5")
        self.check(run, "influence", "steps", 600, 1, self.reference, "influence.h5")
        self.assertEqual([name for name in os.listdir(run) if ".part" in name or ".new" in name], [])
        self.assertTrue(os.path.exists(os.path.join(out, "validation.json")))

    def test_a_signal_before_the_ranks_were_started_is_not_lost(self):
        out, hold, held = self.path("early"), os.path.join(self.place, "hold"), os.path.join(self.place, "held")
        for name in ("USR1", "TERM"):
            open(hold, "w").close()
            job = self.submit("sweep.sh", self.grid(), "--out", out + name, "--", "train", *tiny())[0]["train"] + "_0"
            self.cluster.wait_for("the job to prepare", lambda: os.path.exists(held), 60)
            self.cluster.call("scancel", "--signal=" + name, "--full", job)
            # scancel returns before the signal has arrived; let go only then, or it meets the ranks instead.
            self.cluster.wait_for("the signal to arrive", lambda: self.signals(held) >= 1, 60)
            os.remove(hold)
            self.cluster.wait_until_empty(100)
            os.remove(held)
            early = self.log(out + name, "seed=0.train.log").count(EARLY)
            self.assertGreaterEqual(early, 1)
            self.assertEqual(self.state(job), ("COMPLETED", early))

    @staticmethod
    def signals(held):
        """How many signals the waiting script has said it met; 0 while it is just writing that."""
        with open(held) as file:
            return int(file.read().strip() or 0)

    def check(self, run, job, unit, units, starts, reference, name):
        """The same bytes as without interruption, and no step computed twice."""
        self.assert_same_runs(run, reference, name)
        entry = read_json(os.path.join(run, "summary.json"))[job]
        self.assertEqual((entry[unit], entry["starts"], entry["finished"]), (units, starts, True))

    def wait_for_log(self, out, name, words):
        def said():
            try:
                return words in self.log(out, name)
            except OSError:
                return False
        self.cluster.wait_for("%s in %s" % (words, name), said, 100)

    def test_a_node_is_drained_and_another_lost_in_the_middle(self):
        out = self.path("lost")
        self.addCleanup(self.cluster.restore_nodes)
        ids, said = self.submit("sweep.sh", self.grid(), "--out", out, "--", "train", *TRAIN)
        job, run = ids["train"] + "_0", os.path.join(out, "seed=0")
        self.wait_for_progress(os.path.join(run, "trajectory.h5.part"), "committed", STEPS // 10)
        self.cluster.call("scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=test")
        self.cluster.kill_node("n2")
        # As slurmctld does by itself when slurmd has been silent for SlurmdTimeout (seen here after 26 s for 5).
        self.cluster.call("scontrol", "update", "NodeName=n2", "State=DOWN", "Reason=lost")
        self.cluster.wait_for("the job to be requeued", lambda: self.state(job)[0] == "PENDING", 60)
        self.assertFalse(os.path.exists(os.path.join(run, "trajectory.h5")))
        self.cluster.restore_nodes()
        self.cluster.wait_until_empty(300)
        self.assertEqual(self.state(job), ("COMPLETED", 1))
        self.assert_same_runs(run, self.reference, "trajectory.h5")
        self.assertIn("going on from step", self.log(out, "seed=0.train.log"))

    def grid(self):
        path = self.path("grid.csv")
        with open(path, "w") as file:
            file.write("seed\n0\n")
        return path


if __name__ == "__main__":
    main()
