"""SIGUSR1 and SIGTERM, at one rank or all: jobs leave in order with exit code 75, and go on to the same bytes."""

import os
import signal

from interrupt_support import InterruptedTest, at_work
from support import arrays, main, read_json, tiny, whence


class Stop(InterruptedTest):
    def check_cost(self, run, other, job, unit, starts):
        """Over all starts nothing was computed twice."""
        one, whole = (read_json(os.path.join(folder, "summary.json"))[job] for folder in (run, other))
        self.assertEqual((one["starts"], one["finished"], one[unit]), (starts, True, whole[unit]))
        self.assertEqual([name for name in os.listdir(run) if ".part" in name or ".new" in name], [])

    def check_training(self, ranks, record, ways):
        options = tiny(epochs=300, engine="torch", record=record)
        whole = self.train("whole-%d" % ranks, *options, ranks=ranks)
        run = self.path("stopped-%d" % ranks)
        part = os.path.join(run, "trajectory.h5.part")
        before = 0

        def further(_):
            try:
                return arrays(part)["committed"][0] > before
            except (OSError, KeyError):
                return False

        for number, to in ways:
            self.stopped("train", "--out", run, *options, ranks=ranks, number=number, to=to, ready=further)
            self.assertFalse(os.path.exists(os.path.join(run, "trajectory.h5")))
            before = arrays(part)["committed"][0]
        ended = whence("train", "--out", run, *options, ranks=ranks)
        self.assertIn("going on from step %d of 4500" % before, ended.err, str(ended))
        self.assert_same_bytes(os.path.join(run, "trajectory.h5"), os.path.join(whole, "trajectory.h5"))
        self.check_cost(run, whole, "train", "steps", len(ways) + 1)

    def test_training_on_two_ranks(self):
        self.check_training(2, "every:37", [(signal.SIGUSR1, [1]), (signal.SIGTERM, [0, 1]), (signal.SIGUSR1, [0])])

    def test_training_alone(self):
        self.check_training(1, "last:1", [(signal.SIGTERM, [0]), (signal.SIGINT, [0]), (signal.SIGUSR1, [0])])

    def check_job(self, job, unit, options, shown, ranks, ways, **training):
        # Wide enough to be at work for some seconds.
        name = "-".join(["run", job, str(len(ways)), *training.values()])
        run = self.train(name, *tiny(epochs=60, generator_hidden="64,64", discriminator_hidden="64,64", **training))
        whole, stopped = self.copy_of(run, job + "-whole"), self.copy_of(run, job + "-stopped")
        self.run_fine(job, "--run", whole, *options, ranks=ranks)
        for number, to in ways:
            self.stopped(job, "--run", stopped, *options, ranks=ranks, number=number, to=to,
                         ready=lambda started: at_work(started, ranks))
            self.assertFalse(os.path.exists(os.path.join(stopped, job + ".h5")))
        ended = whence(job, "--run", stopped, *options, ranks=ranks)
        self.assertEqual(ended.code, 0, str(ended))
        self.assertIn(shown, ended.err)
        self.assert_same_bytes(os.path.join(stopped, job + ".h5"), os.path.join(whole, job + ".h5"))
        self.check_cost(stopped, whole, job, unit, len(ways) + 1)

    def test_trace_back(self):
        self.check_job("influence", "steps", ("--metric", "all,gen-loss,disc-loss", "--epochs-back", "10,60",
                                              "--kink-width", "0,1e-3,2e-3,3e-3,4e-3", "--crossings", "off"),
                       "going on from step", 2, [(signal.SIGUSR1, [1]), (signal.SIGTERM, [0, 1])], engine="torch")

    def test_counted_crossings(self):
        self.check_job("influence", "steps", ("--metric", "all,disc-loss", "--epochs-back", "4,25", "--crossings", "on"),
                       "going on from step", 2, [(signal.SIGUSR1, [0])], optimiser="momentum")

    def test_moves_that_are_carried_forward(self):
        self.check_job("influence", "steps", ("--epochs-back", "12", "--crossings", "on"), "steps that moves are carried over", 2,
                       [(signal.SIGUSR1, [1]), (signal.SIGTERM, [0, 1])])

    def test_counterfactuals(self):
        # Two blocks, each of many steps: both ranks leave theirs in the middle.
        self.check_job("counterfactual", "replica_steps", ("--targets", "240", "--replicas", "120", "--epochs-back", "60"),
                       "blocks of counterfactuals", 2, [(signal.SIGUSR1, [1]), (signal.SIGTERM, [0])])


if __name__ == "__main__":
    main()
