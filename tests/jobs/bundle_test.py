"""What starts a bundle (tools/bundle) finds torch and MPI, or says in one sentence what is missing."""

import os
import re
import shutil
import subprocess

from support import SOURCE, WHENCE, ProgramTest, main

FILES = os.path.join(SOURCE, "tools", "bundle_files")
STUB = '#!/bin/sh\necho "$(basename "$0") [$*] |$LD_LIBRARY_PATH| ${OPAL_PREFIX:-site}"\n'


class BundleTest(ProgramTest):
    CUDA = ""

    def setUp(self):
        self.bundle = self.path(self.id().rsplit(".", 1)[1], "a bundle")
        for name in ("whence", "mpirun", "environment"):
            with open(os.path.join(FILES, name)) as file:
                self.write("bin/" + name, file.read().replace("@TORCH@", "2.11.0").replace("@CUDA@", self.CUDA))
        self.write("libexec/whence", STUB)
        self.write("libexec/other", STUB)
        self.write("lib/mpi/bin/orterun", STUB)

    def write(self, name, text):
        path = os.path.join(self.bundle, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o755)
        return path

    def packages(self, version, folder="packages", cuda="Optional[str] = None"):
        self.write(folder + "/nvidia/nccl/lib/libnccl.so.2", "")
        self.write(folder + "/torch/__init__.py", "raise SystemExit('torch was imported')")
        text = "__version__ = '%s'\ncuda: %s\n" % (version, cuda)
        return os.path.dirname(os.path.dirname(self.write(folder + "/torch/version.py", text)))

    def start(self, program, *arguments, **environment):
        clean = {"PATH": "/usr/bin:/bin", "HOME": "/", **environment}
        return subprocess.run([os.path.join(self.bundle, "bin", program), *arguments], env=clean, cwd="/",
                              capture_output=True, text=True, timeout=60)

    def assert_refused(self, result, *words):
        self.assertEqual(result.returncode, 2, result)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        for word in words:
            self.assertIn(word, result.stderr)

    def test_torch_by_variable(self):
        packages = self.packages("2.11.0+cu130")
        environment = self.packages("2.11.0", "venv/lib/python3.12/site-packages")
        for given, found in ((packages, packages), (packages + "/torch", packages),
                             (os.path.join(self.bundle, "venv"), environment)):
            result = self.start("whence", "info", "two words", WHENCE_TORCH=given, LD_LIBRARY_PATH="/mine")
            self.assertEqual(result.returncode, 0, result)
            self.assertIn("whence [info two words] ", result.stdout)
            libraries = result.stdout.split("|")[1].split(":")
            self.assertEqual([os.path.realpath(folder) for folder in libraries],
                             [os.path.realpath(folder) for folder in
                              (found + "/torch/lib", found + "/nvidia/nccl/lib", self.bundle + "/lib/mpi", "/mine")])

    def test_torch_of_the_python_on_path_is_not_imported(self):
        packages = self.packages("2.11.0+cpu")
        result = self.start("whence", PYTHONPATH=packages)
        self.assertEqual(result.returncode, 0, result)
        self.assertIn("/torch/lib", result.stdout)

    def test_what_is_missing(self):
        self.assert_refused(self.start("whence", WHENCE_TORCH="/nowhere"), "WHENCE_TORCH=/nowhere", "no torch")
        self.assert_refused(self.start("whence", WHENCE_TORCH=self.packages("2.12.1")), "2.11.0", "2.12.1")
        no_torch = self.write("tools/python3", "#!/bin/sh\nexit 0\n")
        self.assert_refused(self.start("whence", PATH=os.path.dirname(no_torch) + ":/usr/bin:/bin"),
                            "pip install torch==2.11.0", "WHENCE_TORCH")
        self.assert_refused(self.start("mpirun", WHENCE_MPI="/nowhere"), "WHENCE_MPI=/nowhere", "libmpi.so.40")

    def test_the_bundles_mpi_and_the_sites(self):
        self.assertIn("orterun [-n 2] ", self.start("mpirun", "-n", "2").stdout)
        self.write("site/lib/x86_64-linux-gnu/libmpi.so.40", "")
        self.write("site/bin/mpirun", STUB)
        site = os.path.join(self.bundle, "site")
        self.assertRegex(self.start("mpirun", "-n", "2", WHENCE_MPI=site).stdout, r"mpirun \[-n 2\] .*site$")
        found = self.start("whence", WHENCE_MPI=site, WHENCE_TORCH=self.packages("2.11.0")).stdout
        self.assertIn(site + "/lib/x86_64-linux-gnu", found)
        self.assertNotIn("lib/mpi", found)

    def test_another_program_through_a_link(self):
        link = self.path("link")
        os.symlink(os.path.join(self.bundle, "bin", "whence"), link)
        result = subprocess.run([link], env={"PATH": "/usr/bin:/bin", "WHENCE_PROGRAM": "other",
                                             "WHENCE_TORCH": self.packages("2.11.0")}, capture_output=True, text=True)
        self.assertIn("other []", result.stdout, result.stderr)

    def test_a_build_without_pythons_torch_is_refused(self):
        build = os.path.dirname(os.path.dirname(os.path.abspath(WHENCE)))
        with open(os.path.join(build, "CMakeCache.txt")) as file:
            if re.search("^Torch_DIR.*site-packages", file.read(), re.M) or not shutil.which("git"):
                self.skipTest("this build has Python's torch")
        tools = self.path("tools")
        os.makedirs(tools, exist_ok=True)
        for name in ("patchelf", "ompi_info"):
            with open(os.path.join(tools, name), "w") as file:
                file.write("#!/bin/sh\n")
            os.chmod(os.path.join(tools, name), 0o755)
        result = subprocess.run([os.path.join(SOURCE, "tools", "bundle"), "--build", build, "-o", self.path("x.tar.xz")],
                                env={**os.environ, "PATH": tools + ":" + os.environ["PATH"]}, capture_output=True, text=True)
        self.assertEqual(result.returncode, 1)
        self.assertIn("was not built against Python's torch; ./tools/build torch2 (CPU) or cuda does", result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)


class BundleForGpusTest(BundleTest):
    CUDA = "13"

    def packages(self, version, folder="packages", cuda="Optional[str] = '13.0'"):
        return super().packages(version, folder, cuda)

    def test_torch_of_another_cuda_or_none_is_refused(self):
        for cuda, words in (("Optional[str] = '12.6'", "is built for CUDA 12"), ("Optional[str] = None", "is built for the CPU")):
            self.assert_refused(self.start("whence", WHENCE_TORCH=self.packages("2.11.0", cuda=cuda)),
                                "a torch built for CUDA 13", words)


if __name__ == "__main__":
    main()
