"""What `cmake --install` leaves runs without the clone."""

import os
import subprocess

from support import SOURCE, WHENCE, ProgramTest, main

BUILD = os.path.dirname(os.path.dirname(os.path.abspath(WHENCE)))


class InstallTest(ProgramTest):
    def setUp(self):
        self.prefix = self.path("some where")
        if not os.path.exists(self.prefix):
            subprocess.run(["cmake", "--install", BUILD, "--prefix", self.prefix], check=True, stdout=subprocess.DEVNULL)

    def done(self, *command):
        clean = {name: value for name, value in os.environ.items() if not name.startswith("WHENCE")}
        result = subprocess.run(command, cwd="/", env=clean, capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        return result.stdout

    def test_the_program_runs(self):
        self.assertIn("whence", self.done(os.path.join(self.prefix, "bin", "whence"), "--help"))

    def test_scripts_of_slurm_find_the_program(self):
        library = os.path.join(self.prefix, "share/whence/slurm/lib.sh")
        found = self.done("bash", "-c", 'source "$1"; echo "$WHENCE"', "bash", library).strip()
        self.assertTrue(os.path.samefile(found, os.path.join(self.prefix, "bin", "whence")), found)

    def test_tools_start(self):
        tools = os.path.join(self.prefix, "share/whence/tools")
        for name in ("report.py", "import_checkpoints.py"):
            self.assertIn("usage", self.done(os.path.join(tools, name), "--help"))

    def test_the_program_builds_without_googletest(self):
        found = self.done("cmake", "-S", SOURCE, "-B", self.path("build"), "-G", "Ninja",
                          "-DCMAKE_DISABLE_FIND_PACKAGE_GTest=ON")
        self.assertIn("Without tests: GoogleTest is not installed", found)
        targets = self.done("ninja", "-C", self.path("build"), "-t", "targets", "all")
        self.assertIn("bin/whence:", targets)
        self.assertNotIn("test_core", targets)

    def test_nothing_of_the_build_is_left_in_it(self):
        names = {os.path.relpath(os.path.join(folder, name), self.prefix)
                 for folder, _, files in os.walk(self.prefix) for name in files}
        for page in ("README.md", "jobs/options.md", "src/io/README.md", "tests/results/quickstart.png", "LICENSE"):
            self.assertIn("share/whence/" + page, names)
        self.assertIn("share/whence/slurm/train.sbatch", names)
        self.assertFalse([name for name in names if name.endswith((".pyc", "setup", "version.cmake"))])


if __name__ == "__main__":
    main()
