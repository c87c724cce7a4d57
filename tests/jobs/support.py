"""What the tests of the program share: running it, making small runs, looking into its files."""

import contextlib
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"

import h5py
import numpy as np

from at_hand import AtHand
from processes import descendants, kill_now, state_of

WHENCE = os.environ.get("WHENCE", "build/bin/whence")
# The options are Open MPI's; other launchers are given none.
MPIRUN = shlex.split(os.environ.get("MPIRUN", "mpirun")) + shlex.split(
    os.environ.get("MPIRUN_OPTIONS", "--allow-run-as-root --oversubscribe"))
DATA = os.environ.get("WHENCE_DATA", "")
SOURCE = os.environ.get("WHENCE_SOURCE", os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
# WHENCE_TEST_FULL=1: every case also on 3 ranks, and many more damaged bytes (about 40 minutes).
FULL = os.environ.get("WHENCE_TEST_FULL", "") == "1"

# "[host:pid] ..." and "[host][[job,step],rank][file:line:function] ...": Open MPI about itself and its network; "Abort(1) on
# node 0 ...": MPICH about a rank that ends all
MPIRUN_LINE = re.compile(r"\[[^\s\]]+(:\d+\] |\]\[\[\d+,\d+\],\d+\]\[)|Abort\(\d+\) on node ")
FINAL_NAMES = ("trajectory.h5", "influence.h5", "counterfactual.h5", "validation.json")


def tiny(**changes):
    """Options of a run that trains in a fraction of a second, with changes: tiny(batch=10, rate_decay="...")."""
    values = {"instances": 300, "held_out": 50, "epochs": 3, "batch": 20, "generator_hidden": 8,
              "discriminator_hidden": 8, **changes}
    return [text for name, value in values.items() for text in ("--" + name.replace("_", "-"), str(value))]


class Result:
    """How a command ended. `code`: exit status, negative for a signal."""

    def __init__(self, command, code, out, err, seconds):
        self.command, self.code, self.out, self.err, self.seconds = command, code, out, err, seconds

    def __str__(self):
        return "%s\n  exit %s after %.1f s\n  stdout: %s\n  stderr: %s" % (
            " ".join(self.command), self.code, self.seconds, self.out[-2000:], self.err[-2000:])

    def lines(self):
        """What the program wrote to stderr, without mpirun's own reports."""
        kept, inside = [], False
        for line in self.err.splitlines():
            if line.startswith("-----"):
                inside = not inside
            elif line.strip(" \t\0") and not inside and not MPIRUN_LINE.match(line):
                kept.append(line)
        return kept


def command_of(arguments, ranks):
    start = [] if ranks == 1 else MPIRUN + ["-n", str(ranks)]
    return start + [WHENCE] + [str(argument) for argument in arguments]


class Job:
    """The program in the background."""

    def __init__(self, *arguments, ranks=1, loaded=None):
        self.command, self.ranks = command_of(arguments, ranks), ranks
        command, more = self.command, {}
        if loaded and ranks > 1:
            program, more = loaded.as_rank()
            command = [program if word == WHENCE else word for word in command]
        self._out, self._err = tempfile.TemporaryFile("w+"), tempfile.TemporaryFile("w+")
        self._ranks, self._held = [], []
        self._begin = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self._out, stderr=self._err,
                                        env={**os.environ, **more})

    def running(self):
        return self.process.poll() is None

    def rank_pids(self):
        """Process ids of the ranks (mpirun itself is not among them)."""
        if self.ranks == 1:
            return [self.process.pid]
        ranks = []
        for pid in descendants(self.process.pid):
            with contextlib.suppress(OSError):
                if os.path.samefile("/proc/%d/exe" % pid, WHENCE):
                    ranks.append(pid)
        return ranks

    def hold(self):
        """Stops every rank where it is, until release() or a kill."""
        if len(self._ranks) < self.ranks:
            self._ranks = self.rank_pids()
        self._held = self._ranks
        for pid in self._held:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        for pid in self._held:
            while state_of(pid) not in "TZX":
                time.sleep(0.0005)

    def release(self):
        for pid in self._held:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        self._held = []

    def kill_all(self):
        """kill -9 of every rank and of mpirun."""
        kill_now(*descendants(self.process.pid), self.process.pid)
        return self.wait()

    def kill_one(self, which):
        kill_now(self.rank_pids()[which])
        self.release()
        return self.wait()

    def wait(self, timeout=60):
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            kill_now(*descendants(self.process.pid), self.process.pid)
            self.process.wait()
            raise AssertionError("no end within %d s: %s" % (timeout, " ".join(self.command)))
        self._out.seek(0)
        self._err.seek(0)
        result = Result(self.command, self.process.returncode, self._out.read(), self._err.read(),
                        time.monotonic() - self._begin)
        self._out.close()
        self._err.close()
        return result


def whence(*arguments, ranks=1, timeout=60):
    """Runs the program to its end."""
    loaded = AtHand.of(WHENCE)
    if loaded and ranks == 1:
        command, begin = command_of(arguments, 1), time.monotonic()
        try:
            done = loaded.run(command, timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError("no end within %d s: %s" % (timeout, " ".join(command)))
        if done:
            code, *texts = done
            return Result(command, code, *(text.decode() for text in texts), time.monotonic() - begin)
    return Job(*arguments, ranks=ranks, loaded=loaded).wait(timeout)


def read_bytes(path):
    with open(path, "rb") as file:
        return file.read()


def write_bytes(path, content):
    with open(path, "wb") as file:
        file.write(content)


def read_json(path):
    with open(path) as file:
        return json.load(file)


def arrays(path):
    """All arrays of an HDF5 file by name."""
    with h5py.File(path, "r") as file:
        return {name: file[name][...] for name in file}


def attributes(path):
    """Text attributes of an HDF5 file."""
    with h5py.File(path, "r") as file:
        return {name: value.decode() if isinstance(value, bytes) else str(value)
                for name, value in file.attrs.items()}


def crc(*pieces):
    """CRC-32 of arrays' bytes one after another, as the int32 that Whence stores."""
    value = 0
    for piece in pieces:
        value = zlib.crc32(np.ascontiguousarray(piece).tobytes(), value)
    return int(np.uint32(value).astype(np.int32))


def relative_difference(a, b):
    """Largest difference over the largest magnitude."""
    return np.abs(a - b).max() / np.abs(b).max()


def finals(folder):
    """The result files in a folder: name -> digest of the content."""
    return {name: hashlib.sha256(read_bytes(os.path.join(folder, name))).hexdigest()
            for name in FINAL_NAMES if os.path.isfile(os.path.join(folder, name))}


class ProgramTest(unittest.TestCase):
    """A test with a temporary folder for its class, and claims about the program's ends."""

    maxDiff = 2000

    @classmethod
    def setUpClass(cls):
        cls.place = tempfile.mkdtemp(prefix="whence-test-")
        cls.addClassCleanup(shutil.rmtree, cls.place, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.place, *names)

    @classmethod
    def run_fine(cls, *arguments, ranks=1, timeout=120):
        """Runs a job that must succeed; no progress lines."""
        quiet = ["--quiet"] if arguments[0] in ("train", "influence", "counterfactual") else []
        result = whence(*arguments, *quiet, ranks=ranks, timeout=timeout)
        if result.code != 0:
            raise AssertionError("this should have succeeded: %s" % result)
        return result

    @classmethod
    def train(cls, name, *options, ranks=1):
        """Trains a run into the folder `name` of the class; returns its path."""
        folder = os.path.join(cls.place, name)
        cls.run_fine("train", "--out", folder, *options, ranks=ranks)
        return folder

    def copy_of(self, folder, name):
        """A copy of a run folder, replacing an earlier one of that name."""
        target = self.path(name)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder, target)
        return target

    def assert_one_sentence(self, result, job, *names):
        """The command failed with one sentence that names each of `names` (a tuple: one of them)."""
        lines = result.lines()
        self.assertNotEqual(result.code, 0, "should have been refused: %s" % result)
        self.assertGreater(result.code, 0, "ended by a signal: %s" % result)
        for words in ("exited on signal", "Process received signal", "Segmentation fault"):
            self.assertNotIn(words, result.err, "ended by a signal: %s" % result)
        self.assertEqual(len(lines), 1, "not exactly one sentence: %s" % result)
        self.assertTrue(lines[0].startswith("whence %s: " % job), str(result))
        self.assertEqual(lines[0].count("whence %s: " % job), 1, "says its name twice: %s" % result)
        self.assertEqual(result.out, "", str(result))
        for name in names:
            choices = name if isinstance(name, tuple) else (name,)
            self.assertTrue(any(choice in lines[0] for choice in choices), "names none of %s: %s" % (choices, result))
        return lines[0]

    def assert_refused(self, arguments, *names, folder=None, ranks=(1,)):
        """`arguments` (job first) end in one sentence, on each number of ranks, and change no result file."""
        job = str(arguments[0])
        before = finals(folder) if folder and os.path.isdir(folder) else {}
        sentence = ""
        for count in ranks:
            result = whence(*arguments, ranks=count, timeout=30)
            sentence = self.assert_one_sentence(result, job, *names)
            after = finals(folder) if folder and os.path.isdir(folder) else {}
            self.assertEqual(before, after, "result files changed: %s" % result)
        return sentence

    def report(self, *folders):
        """The page that tools/report.py makes of the folders, and what it says is missing."""
        page = self.path("report.html")
        done = subprocess.run([sys.executable, os.path.join(SOURCE, "tools", "report.py"), *folders, "-o", page],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return read_bytes(page).decode(), done.stderr

    def assert_same_bytes(self, path, other):
        a, b = (np.frombuffer(read_bytes(p), dtype=np.uint8) for p in (path, other))
        self.assertEqual(len(a), len(b), "sizes of %s and %s" % (path, other))
        differing = np.flatnonzero(a != b)
        self.assertEqual(len(differing), 0, "%s and %s differ in %d bytes, the first at %s" % (
            path, other, len(differing), differing[:24].tolist()))

    def assert_same_arrays(self, a, b, but=()):
        first, second = arrays(a), arrays(b)
        self.assertEqual(set(first), set(second))
        for name in set(first) - set(but):
            np.testing.assert_array_equal(first[name], second[name], "%s of %s and %s" % (name, a, b))


@contextlib.contextmanager
def small_disk(folder, kilobytes):
    """A file system of this size mounted at `folder`; skips the test where that is not possible."""
    os.makedirs(folder, exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=%dk" % kilobytes, "whence-test", folder],
                          stderr=subprocess.PIPE, text=True) if shutil.which("mount") else None
    if done is None or done.returncode != 0:
        raise unittest.SkipTest("cannot mount a small file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder])


def fill_disk(folder, leave_kilobytes):
    """Fills the file system at `folder` but for so many kB; returns the file that does."""
    path = os.path.join(folder, "filler")
    status = os.statvfs(folder)
    write_bytes(path, b"x" * max(0, status.f_bavail * status.f_frsize - 1024 * leave_kilobytes))
    return path


def mnist_folder():
    """MNIST's folder; skips the test where it is missing."""
    folder = os.path.join(DATA, "mnist") if DATA else ""
    if not folder or not os.path.isdir(folder):
        raise unittest.SkipTest("no MNIST in WHENCE_DATA")
    return folder


def main():
    """unittest.main, with the exit code 77 (skipped, for CTest) when nothing but skips happened."""
    program = unittest.main(module="__main__", exit=False)
    result = program.result
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(77 if result.testsRun and len(result.skipped) == result.testsRun else 0)
