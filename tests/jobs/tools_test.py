"""The Python package and its scripts: installed, from other folders, with other Pythons, locales and places."""

import os
import re
import shutil
import subprocess
import sys
import unittest

from support import SOURCE, ProgramTest, main, read_bytes, tiny

TOOLS = os.path.join(SOURCE, "tools")
SCRIPTS = sorted(name for name in os.listdir(TOOLS) if name.endswith(".py") and name != "setup.py")
WITHOUT_PACKAGES = ("sweep_table.py", "bench_table.py")


def call(*command, cwd="/", **environment):
    done = subprocess.run(command, cwd=cwd, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    done.stdout, done.stderr = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
    return done


class ToolsTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_folder = cls.train("run", *tiny())
        cls.run_fine("influence", "--run", cls.run_folder, "--metric", "disc-loss")
        cls.run_fine("counterfactual", "--run", cls.run_folder, "--metric", "disc-loss", "--targets", "20")
        cls.run_fine("validate", "--run", cls.run_folder, "--critical", "3")

    def bare_python(self, name="bare"):
        """A Python of its own without any packages, called python3."""
        place = self.path(name)
        if not os.path.exists(place):
            done = call(sys.executable, "-m", "venv", "--without-pip", place)
            self.assertEqual(done.returncode, 0, done.stderr)
        return os.path.join(place, "bin", "python3")

    def copy(self, name, debians=None):
        """A copy of tools/, which may take another Python for the one that has everything."""
        place = self.path(name)
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(TOOLS, place, ignore=shutil.ignore_patterns("__pycache__"))
        if debians is None:
            return place
        starter = os.path.join(place, "whence", "starter.py")
        with open(starter, encoding="utf-8") as file:
            text = file.read()
        changed = re.sub(r'(?m)^DEBIANS = "[^"]*"', 'DEBIANS = "%s"' % debians, text)
        self.assertNotEqual(changed, text)
        with open(starter, "w", encoding="utf-8") as file:
            file.write(changed)
        return place

    def test_each_script_runs_under_a_python_without_packages(self):
        python = self.bare_python()
        for script in SCRIPTS:
            done = call(python, os.path.join(TOOLS, script), "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), script)
            self.assertIn("usage: " + script, done.stdout)
        page = self.path("by-bare.html")
        done = call(python, os.path.join(TOOLS, "report.py"), self.run_folder, "-o", page)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(b"<svg", read_bytes(page))

    def test_where_no_python_has_a_package_one_sentence_names_it(self):
        python = self.bare_python()
        for debians in (self.path("absent"), python, self.bare_python("other")):
            place = self.copy("copied", debians)
            for script in SCRIPTS:
                done = call(python, os.path.join(place, script), "--help")
                if script in WITHOUT_PACKAGES:
                    self.assertEqual(done.returncode, 0, done.stderr)
                    continue
                self.assert_names_a_package(done, script[:-3], debians if debians.startswith(self.path("other")) else python)
        for module, name in (("whence.report", "report"), ("whence.checkpoints", "import_checkpoints"), ("whence", "tracin")):
            more = [name] if module == "whence" else []
            self.assert_names_a_package(call(python, "-m", module, *more, "--help", PYTHONPATH=TOOLS), name, python)

    def assert_names_a_package(self, done, name, python):
        self.assertEqual((done.returncode, done.stdout, len(done.stderr.splitlines())), (1, "", 1), done.stderr)
        self.assertRegex(done.stderr, "^%s: needs the Python package (h5py|jinja2|numpy|torch|matplotlib|scipy) " % name)
        self.assertIn(python, done.stderr)

    def test_a_damaged_package_is_named(self):
        for code in ("import absent_c_part", "raise ValueError('numpy.dtype size changed, may indicate binary incompatibility')"):
            with open(os.path.join(self.copy("damaged", self.path("absent")), "h5py.py"), "w") as file:
                file.write(code)
            done = call(sys.executable, self.path("damaged", "report.py"), "--help")
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), done.stderr)
            self.assertIn("report: needs the Python package " + ("numpy" if "numpy" in code else "absent_c_part"), done.stderr)

    def test_from_any_folder_by_a_symlink_in_a_path_with_spaces_and_odd_letters(self):
        odd = self.path("my tools \u03bb")
        shutil.copytree(TOOLS, odd, ignore=shutil.ignore_patterns("__pycache__"))
        link = self.path("a link")
        os.symlink(os.path.join(odd, "report.py"), link)
        folder = self.copy_of(self.run_folder, "a run \u03bb")
        for locale in ("C", "C.UTF-8"):
            for script in (link, os.path.join(odd, "report.py")):
                page = self.path("page \u03bb.html")
                done = call(sys.executable, script, folder, "-o", page, cwd=self.place, LC_ALL=locale, PYTHONSAFEPATH="1")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("a run \u03bb</h1>", read_bytes(page).decode())
                os.remove(page)
            done = call(sys.executable, os.path.join(odd, "show_validation.py"), folder, cwd=self.place, LC_ALL=locale)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("disc-loss", done.stdout)
        # An encoding that has not the letter, and a name that is no text at all.
        done = call(sys.executable, os.path.join(TOOLS, "show_validation.py"), folder, PYTHONIOENCODING="latin-1")
        self.assertEqual(done.returncode, 0, done.stderr)
        raw = self.path(os.fsdecode(b"run \xff"))
        shutil.copytree(folder, raw)
        done = call(sys.executable, os.path.join(TOOLS, "report.py"), raw, "-o", self.path("raw.html"), LC_ALL="C.UTF-8")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_source_folder_that_nobody_may_write_to(self):
        place = self.copy("read-only")
        if subprocess.run(["mount", "--bind", place, place], stderr=subprocess.DEVNULL).returncode != 0:
            raise unittest.SkipTest("cannot mount a folder here")
        self.addCleanup(subprocess.run, ["umount", "-l", place])
        subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        with self.assertRaises(OSError):
            open(os.path.join(place, "new"), "w")
        done = call(sys.executable, os.path.join(place, "report.py"), self.run_folder, "-o", self.path("read-only.html"))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(self.installed(place, "from-read-only").returncode, 0)

    def test_show_validation_says_what_is_missing(self):
        for name in ("validation.json", "influence.h5", "counterfactual.h5"):
            folder = self.copy_of(self.run_folder, "lacking")
            os.remove(os.path.join(folder, name))
            done = call(sys.executable, os.path.join(TOOLS, "show_validation.py"), folder)
            self.assertEqual((done.returncode, len(done.stderr.splitlines())), (1, 1), done.stderr)
            self.assertIn(name, done.stderr)

    def installed(self, tools, name):
        """pip install of a folder into a fresh virtual environment."""
        if call(sys.executable, "-m", "pip", "--version").returncode != 0:
            raise unittest.SkipTest("no pip for %s (Debian: python3-pip)" % sys.executable)
        place = self.path(name)
        made = call(sys.executable, "-m", "venv", "--system-site-packages", "--without-pip", place)
        self.assertEqual(made.returncode, 0, made.stderr)
        return call(sys.executable, "-m", "pip", "--python", os.path.join(place, "bin", "python3"), "install", "--quiet",
                    "--no-deps", "--no-build-isolation", "--disable-pip-version-check", tools)

    def test_pip_installs_the_package_and_leaves_nothing_in_the_source(self):
        place = self.copy("to-install")
        before = sorted(os.walk(place))
        done = self.installed(place, "venv")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(os.walk(place)), before)
        shutil.rmtree(place)
        python, page = self.path("venv", "bin", "python3"), self.path("installed.html")
        where = call(python, "-c", "import whence, importlib.metadata as m; print(whence.__file__, m.version('whence'))").stdout
        self.assertIn(self.path("venv"), where)
        with open(os.path.join(SOURCE, "CMakeLists.txt")) as file:
            self.assertEqual(where.split()[-1], re.search(r"project\(whence VERSION ([\d.]+)", file.read())[1])
        done = call(python, "-m", "whence.report", self.run_folder, "-o", page, cwd=self.place)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn(b"<svg", read_bytes(page))
        self.assertIn("usage: python3 -m whence tracin", call(python, "-m", "whence", "tracin", "--help").stdout)
        self.assertEqual(call(python, "-m", "whence", "absent").returncode, 1)
        done = call(python, "-m", "whence.checkpoints", self.run_folder, "--out", self.path("no"), "--", cwd=self.place)
        self.assertIn("import_checkpoints: %s: holds no checkpoints" % self.run_folder, done.stderr)

    def test_files_of_the_package_stay_short(self):
        for folder, _, names in os.walk(TOOLS):
            for name in names:
                if name.endswith(".py"):
                    with open(os.path.join(folder, name), encoding="utf-8") as file:
                        self.assertLess(len(file.readlines()), 300, name)


if __name__ == "__main__":
    main()
