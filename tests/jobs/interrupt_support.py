"""What tests of interruptions share: jobs that are killed, or stopped by a signal, at a chosen moment."""

import os
import signal
import time

import h5py

from support import Job, ProgramTest

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
    job.release()
    time.sleep(0.7)
    job.hold()
    return job.running()


def read_when_there(path, name):
    """An array of a file that may just be in the making; None while it is."""
    try:
        with h5py.File(path, "r") as file:
            return file[name][...]
    except (OSError, KeyError):
        return None


def watched_until(job, reached, draw=None):
    """Runs the job in short slices until `reached()`, and leaves it stopped then; False when it ended before.

    While somebody looks, no process of the job moves: a slow look, on a busy machine, cannot come too late.
    """
    begin = time.monotonic()
    while job.running():
        job.hold()
        try:
            if reached():
                return True
            if time.monotonic() - begin > 200:
                raise AssertionError("has not come so far within 200 s: %s" % " ".join(job.command))
        except BaseException:
            job.kill_all()
            raise
        job.release()
        time.sleep(draw.uniform(0.005, 0.05) if draw else 0.02)
    return False


def kill_when(job, reached, one_rank, draw):
    """kill -9 of all processes or of one rank when `reached()`; False when the job ended before.

    After the kill of one rank the others go on until the launcher has ended them, which may take it seconds.
    """
    if not watched_until(job, reached, draw):
        job.wait()
        return False
    if one_rank:
        job.kill_one(draw.randrange(job.ranks))
    else:
        job.kill_all()
    return True


class InterruptedTest(ProgramTest):
    """Jobs that are stopped in order."""

    def stopped(self, *arguments, ranks, number, to, ready):
        """Starts a job, waits until ready(), signals the ranks `to`; the job must leave in order."""
        job = Job(*arguments, ranks=ranks)
        self.assertTrue(watched_until(job, lambda: ready(job)), "ended before it could be stopped")
        pids = job.rank_pids()
        for rank in to:
            os.kill(pids[rank], number)
        job.release()
        begin = time.monotonic()
        result = job.wait(60)
        self.assertEqual(result.code, INTERRUPTED, str(result))
        self.assertLess(time.monotonic() - begin, 20, str(result))
        self.assertEqual(result.err.count("stopped by a signal at"), 1, str(result))
        self.assertIn(" interrupted: %d rank" % ranks, result.err)
        return result
