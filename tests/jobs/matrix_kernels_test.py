#!/usr/bin/env python3
"""The kernels of OpenBLAS that compute matrix products: chosen where OpenBLAS does not know the processor, said, left to
the user where OPENBLAS_CORETYPE is set."""

import os
import subprocess
from unittest import mock

from support import MPIRUN, WHENCE, ProgramTest, main, read_json, tiny, whence

USERS = "OPENBLAS_CORETYPE"


def has_avx2():
    with open("/proc/cpuinfo") as file:
        return any(line.startswith("flags") and " avx2 " in line for line in file)


def with_kernels(name):
    """The environment with the user's choice, or without one."""
    patched = mock.patch.dict(os.environ)
    patched.start()
    os.environ.pop(USERS, None)
    if name:
        os.environ[USERS] = name
    return patched


class MatrixKernelsTest(ProgramTest):
    def setUp(self):
        self.addCleanup(with_kernels("").stop)
        if "OpenBLAS" not in self.in_use() or not has_avx2():
            self.skipTest("LibTorch's products here are not those of an OpenBLAS with a choice of kernels")

    def in_use(self):
        out = whence("info", "--devices").out
        line = next(line for line in out.splitlines() if line.startswith("matrix products on the cpu: "))
        return line[len("matrix products on the cpu: "):]

    def train_saying(self, name, kernels=""):
        """The log of a training and its kernels by summary.json."""
        patched = with_kernels(kernels)
        result = whence("train", "--out", self.path(name), *tiny())
        patched.stop()
        self.assertEqual(result.code, 0, str(result))
        return result.err, read_json(self.path(name, "summary.json"))["train"]["matrix_products"]

    def test_are_modern_ones_whatever_openblas_took(self):
        library, kernels, speed = self.in_use().split(", ", 2)
        self.assertRegex(library, r"^OpenBLAS \d+\.\d+")
        self.assertNotEqual(kernels, "Prescott")
        self.assertRegex(speed, r"^[1-9]\d* GFLOP/s")
        said, recorded = self.train_saying("chosen")
        self.assertEqual(recorded, "%s, %s" % (library, kernels))
        if "took the kernels" in whence("info", "--devices").out:
            self.assertIn("took the kernels", said)
            self.assertIn(" and %s" % kernels, said)
        else:
            self.assertNotIn("matrix products", said)

    def test_of_the_user_are_left_alone_and_said(self):
        said, recorded = self.train_saying("users", "Prescott")
        self.assertTrue(recorded.endswith(", Prescott"), recorded)
        self.assertIn("with the kernels Prescott (", said)
        self.assertIn(" of OPENBLAS_CORETYPE, left alone; ", said)

    def test_are_said_by_jobs_that_work_and_by_no_others(self):
        patched = with_kernels("Prescott")
        refused = whence("train", "--out", self.path("refused"), *tiny(), "--batch", "0")
        again = whence("train", "--out", self.path("again"), *tiny(), "--quiet")
        patched.stop()
        self.assert_one_sentence(refused, "train", "--batch")
        self.assertEqual((again.code, again.err), (0, ""))

    def test_that_differ_between_ranks_are_said(self):
        one = ["-n", "1"]
        command = MPIRUN + [*one, WHENCE, "train", "--out", self.path("mixed"),
                            *tiny(), ":", *one, "-x", USERS + "=Prescott", WHENCE, "train", "--out", self.path("mixed"), *tiny()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("rank 1 use", done.stderr)
        self.assertIn("other kernels than rank 0 (OpenBLAS", done.stderr)


if __name__ == "__main__":
    main()
