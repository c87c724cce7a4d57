#!/usr/bin/env python3
"""The kernels, which are written with GCC's vector types, are Clang's C++ too. Skipped where there is no Clang."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("WHENCE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
AVX2 = ["-mavx2", "-mfma"]
AVX512 = AVX2 + ["-mavx512f", "-mavx512dq", "-mavx512bw", "-mavx512vl"]
FLAGS = {"portable": [], "avx2": AVX2, "avx512": AVX512, "avx512_narrow": AVX512}


def complaints(clang, path, flags):
    """What Clang says about a file; "" for one that it takes."""
    done = subprocess.run([clang, "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror", "-I", SOURCE / "include",
                           *flags, path], capture_output=True, text=True)
    return done.stderr if done.returncode != 0 else ""


class ClangTest(unittest.TestCase):
    clang = shutil.which("clang++")

    def test_takes_every_variant_of_the_kernels(self):
        machine = os.uname().machine
        seen = 0
        for path in sorted((SOURCE / "src" / "native").glob("*.cpp")):
            kind, _, variant = path.stem.partition("_")
            if kind not in ("kernels", "conv") or variant not in FLAGS or (machine != "x86_64" and FLAGS[variant]):
                continue
            seen += 1
            with self.subTest(path.name):
                self.assertEqual(complaints(self.clang, path, FLAGS[variant]), "")
        self.assertGreaterEqual(seen, 7 if machine == "x86_64" else 2)

    def test_what_is_gccs_alone_is_seen(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "gcc.cpp")
            path.write_text("typedef int V __attribute__((vector_size(16)));\nV f(V a) { return __builtin_shuffle(a, a); }\n")
            self.assertIn("__builtin_shuffle", complaints(self.clang, path, []))


if __name__ == "__main__":
    if ClangTest.clang is None:
        print("skipped: there is no clang++")
        sys.exit(77)
    unittest.main()
