"""What the tests on a real SLURM share: a cluster, pipelines on it, and the same jobs without it."""

import os
import re
import sys
import time
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "jobs"))

from cluster import Cluster, missing_programs
from support import SOURCE, WHENCE, ProgramTest, arrays

SCRIPTS = os.path.join(SOURCE, "slurm")
SITE = """source {scripts}/site.conf
WHENCE={whence}
NODES=2
RANKS=2
TIME=00:05:00
export OMPI_MCA_odls_base_sigkill_timeout=2 OMPI_MCA_mpi_yield_when_idle=1
# A test that makes this file has jobs wait here while it is there; `held` says how many signals the script has met.
prepare() {{ while [ -e {place}/hold ]; do echo "$asked" >{place}/held; sleep .1 || true; done; }}
"""


class SlurmTest(ProgramTest):
    """The tests of a class share a SLURM of two nodes that exists only for them."""

    credential = 120  # seconds that a job may take to be launched

    @classmethod
    def setUpClass(cls):
        missing = missing_programs()
        if missing:
            raise unittest.SkipTest("SLURM is not installed here: no %s (tools/setup installs it)" % ", ".join(missing))
        if os.getuid() != 0:
            raise unittest.SkipTest("slurmd runs jobs only as root")
        super().setUpClass()
        cls.cluster = Cluster(4, cls.credential)
        cls.addClassCleanup(cls.cluster.stop)
        cls.site = os.path.join(cls.place, "site.conf")
        with open(cls.site, "w") as file:
            file.write(SITE.format(scripts=SCRIPTS, whence=WHENCE, place=cls.place))

    def script(self, name, *arguments, check=True):
        """Calls a script of slurm/."""
        return self.cluster.call(os.path.join(SCRIPTS, name), *[str(a) for a in arguments], check=check, cwd=self.place,
                                 env={"WHENCE_SITE": self.site})

    def submit(self, name, *arguments):
        """Calls a pipeline; stage -> id of the array it submitted, and what it printed."""
        out = self.script(name, *arguments).stdout
        return dict(re.findall(r"^([\w-]+) +job (\d+):", out, re.M)), out

    def state(self, job):
        """State and number of restarts of 'ARRAY_INDEX'."""
        return self.cluster.jobs().get(job, ("", -1))

    @staticmethod
    def progress(path, name):
        """Sum of an array of a file that is being written; 0 where there is none yet."""
        try:
            return arrays(path)[name].sum()
        except (OSError, KeyError):
            return 0

    def wait_for_progress(self, path, name, more, seconds=200):
        """Until the sum of that array has grown by so much from what it is now."""
        least = self.progress(path, name) + more
        self.cluster.wait_for("%s of %s to reach %s" % (name, path, least), lambda: self.progress(path, name) >= least, seconds)

    def log(self, out, name):
        with open(os.path.join(out, "slurm", "log", name), errors="replace") as file:
            return file.read()

    def interrupt(self, job, *how):
        """Signals a running job, which must have left within 20 s, and waits until it runs again. The job must be seen at
        work since it was started: a signal before the first lines of its script ends it, and SLURM calls it FAILED."""
        restarts = self.state(job)[1]
        self.cluster.call("scancel", *how, job)
        begin = time.monotonic()
        self.cluster.wait_for(job + " to leave", lambda: self.state(job)[0] != "RUNNING", 25)
        self.assertLess(time.monotonic() - begin, 20)

        def runs_again():
            state, now = self.state(job)
            return state == "RUNNING" and now > restarts  # by more than 1 where a late signal of SLURM met the next start
        self.cluster.wait_for(job + " to run again", runs_again, 60,
                              lambda: self.state(job)[0] not in ("FAILED", "COMPLETED", "CANCELLED", "NODE_FAIL"))

    def tell_logs(self, out):
        """All logs of a pipeline, for the message of a failing test."""
        folder = os.path.join(out, "slurm", "log")
        return "\n".join("--- %s\n%s" % (name, self.log(out, name)[-1500:]) for name in sorted(os.listdir(folder)))

    def assert_same_runs(self, one, other, *files):
        for name in files:
            self.assertTrue(os.path.exists(os.path.join(one, name)), self.tell_logs(os.path.dirname(one)))
            self.assert_same_bytes(os.path.join(one, name), os.path.join(other, name))
