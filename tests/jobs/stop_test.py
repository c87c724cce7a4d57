"""SIGUSR1 and SIGTERM, at one rank or all: jobs leave in order with exit code 75, and go on to the same bytes."""

import os
import signal
import time

from support import Job, ProgramTest, arrays, main, read_json, tiny, whence

INTERRUPTED = 75


def catches_signals(pid):
    """Whether the process has a handler of its own for SIGUSR1 yet."""
    try:
        with open("/proc/%d/status" % pid) as status:
            caught = next(line for line in status if line.startswith("SigCgt:"))
    except (OSError, StopIteration):
        return False
    return int(caught.split()[1], 16) >> (signal.SIGUSR1 - 1) & 1 == 1


def at_work(job, ranks):
    """All ranks have begun, and had time for some steps."""
    pids = job.rank_pids()
    if len(pids) < ranks or not all(catches_signals(pid) for pid in pids):
        return False
    time.sleep(0.7)
    return True


class Stop(ProgramTest):
    def stopped(self, *arguments, ranks, number, to, ready):
        """Starts a job, waits until ready(), signals the ranks `to`; the job must leave in order."""
        job = Job(*arguments, ranks=ranks)
        while job.running() and not ready(job):
            time.sleep(0.02)
        self.assertTrue(job.running(), "ended before it could be stopped")
        pids = job.rank_pids()
        for rank in to:
            os.kill(pids[rank], number)
        begin = time.monotonic()
        result = job.wait(60)
        self.assertEqual(result.code, INTERRUPTED, str(result))
        self.assertLess(time.monotonic() - begin, 20, str(result))
        self.assertEqual(result.err.count("stopped by a signal at"), 1, str(result))
        self.assertIn(" interrupted: %d rank" % ranks, result.err)
        return result

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
        run = self.train("run-" + job, *tiny(epochs=60, generator_hidden="64,64", discriminator_hidden="64,64", **training))
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
                                              "--kink-width", "0,1e-3,2e-3,3e-3,4e-3"),
                       "going on from step", 2, [(signal.SIGUSR1, [1]), (signal.SIGTERM, [0, 1])], engine="torch")

    def test_counterfactuals(self):
        # Two blocks, each of many steps: both ranks leave theirs in the middle.
        self.check_job("counterfactual", "replica_steps", ("--targets", "240", "--replicas", "120", "--epochs-back", "60"),
                       "blocks of counterfactuals", 2, [(signal.SIGUSR1, [1]), (signal.SIGTERM, [0])])


if __name__ == "__main__":
    main()
