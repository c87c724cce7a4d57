"""Jobs on an exported model that are stopped or killed go on to the same bytes, on 1, 2 and 3 ranks."""

import os
import random
import shutil
import signal

import numpy as np

import script_support
from interrupt_support import InterruptedTest, at_work, kill_when, read_when_there
from script_support import Fcgan
from support import Job, arrays, main, whence

GAN = ("--data", "normal2d", "--instances", 300, "--held-out", 50, "--batch", 10, "--rates", "0.1,0.2", "--dtype", "float64")
INFLUENCE = ("--metric", "all,gen-loss,disc-loss", "--epochs-back", "2,20", "--kink-width", "0")
COUNTERFACTUAL = ("--metric", "all,gen-loss", "--epochs-back", "1,2", "--targets", 24, "--replicas", 4)
TRACIN = ("--queries", "test:20", "--samples", 2, "--memory", 1, "--checkpoints", "last:6")


class ScriptResumeTest(InterruptedTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        script_support.export(Fcgan(2, 8), cls.place + "/gan.pt", 2)
        cls.run_folder = cls.train("run", "--game", "script:%s/gan.pt" % cls.place, *GAN, "--epochs", 20, "--record", "every:50")

    def whole(self, job, options):
        """The finished file of the run, made on one rank without an interruption."""
        path = os.path.join(self.run_folder, job + ".h5")
        if not os.path.exists(path):
            self.run_fine(job, "--run", self.run_folder, *options)
        return path

    def part_of(self, folder, job):
        return os.path.join(folder, job + ".h5.part")

    def fresh(self, name):
        target = self.path(name)
        shutil.rmtree(target, ignore_errors=True)
        os.makedirs(target)
        for file in ("run.cfg", "trajectory.h5"):
            shutil.copy(os.path.join(self.run_folder, file), target)
        return target

    def stop_and_go_on(self, job, options, ranks, number):
        """Stopped by a signal in the middle, in order; then to its end."""
        folder = self.fresh("%s-on-%d" % (job, ranks))
        self.stopped(job, "--run", folder, *options, ranks=ranks, number=number, to=[ranks - 1],
                     ready=lambda started: at_work(started, ranks))
        self.assertFalse(os.path.exists(os.path.join(folder, job + ".h5")))
        ended = whence(job, "--run", folder, *options, ranks=ranks, timeout=300)
        self.assertEqual(ended.code, 0, str(ended))
        return os.path.join(folder, job + ".h5")

    def test_stopped_trace_back(self):
        """The same bytes as without an interruption on as many ranks, and within rounding those of one."""
        for ranks in (1, 2, 3):
            path = self.stop_and_go_on("influence", INFLUENCE, ranks, signal.SIGUSR1)
            other = self.fresh("influence-whole-%d" % ranks)
            self.run_fine("influence", "--run", other, *INFLUENCE, ranks=ranks, timeout=300)
            self.assert_same_bytes(path, os.path.join(other, "influence.h5"))
            found = arrays(path)["influence"]
            one = found if ranks == 1 else one
            np.testing.assert_allclose(found, one, rtol=0, atol=1e-10 * np.abs(one).max())

    def killed_and_gone_on(self, job, options, ranks, sealed):
        """kill -9 of all when some blocks are sealed; finished, on another number of ranks."""
        folder, draw = self.fresh("%s-killed-%d" % (job, ranks)), random.Random(ranks)
        part = self.part_of(folder, job)

        def reached():
            seals = read_when_there(part, "seal")
            return seals is not None and np.count_nonzero(seals) >= sealed

        started = Job(job, "--run", folder, *options, ranks=ranks)
        self.assertTrue(kill_when(started, reached, False, draw), "the job ended before it could be killed")
        self.assertTrue(os.path.exists(part))
        ended = whence(job, "--run", folder, *options, ranks=ranks % 3 + 1, timeout=300)
        self.assertEqual(ended.code, 0, str(ended))
        self.assertIn("already finished", ended.err)
        return os.path.join(folder, job + ".h5")

    def test_killed_counterfactuals(self):
        for ranks in (1, 2, 3):
            path = self.killed_and_gone_on("counterfactual", COUNTERFACTUAL, ranks, 3)
            self.assert_same_bytes(path, self.whole("counterfactual", COUNTERFACTUAL))
        self.assertGreater(np.abs(arrays(path)["influence"]).max(), 0)

    def test_killed_tracin(self):
        for ranks in (1, 2, 3):
            path = self.killed_and_gone_on("tracin", TRACIN, ranks, 3)
            self.assert_same_bytes(path, self.whole("tracin", TRACIN))


if __name__ == "__main__":
    main()
