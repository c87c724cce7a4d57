"""Setting up without root (tools/setup --user) and the libraries that CMake finds or builds: no network is needed here."""

import hashlib
import os
import re
import shutil
import subprocess
import sys

from support import SOURCE, ProgramTest, main

LIBRARIES = os.path.join(SOURCE, "tools", "libraries")


class SetupTest(ProgramTest):
    def setUp(self):
        self.folder = self.path(self.id().rsplit(".", 1)[1])
        os.makedirs(self.folder)

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def run_in(self, *command, **environment):
        clean = {name: value for name, value in os.environ.items()
                 if not name.startswith("WHENCE") and name not in ("PYTHONPATH", "HDF5_ROOT")}
        return subprocess.run(command, cwd=self.folder, env={**clean, **environment}, capture_output=True, text=True, timeout=300)

    def configure(self, text, *options, **environment):
        """CMake on a project of `text`; its output with white space as single blanks."""
        self.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.22)\n" + text)
        done = self.run_in("cmake", "-S", ".", "-B", "build", "-G", "Ninja", *options, **environment)
        return done.returncode, " ".join((done.stdout + done.stderr).split())


class Help(SetupTest):
    def test_every_script_says_what_it_is_for_and_does_nothing(self):
        scripts = [os.path.join(folder, name) for folder in ("tools", "tools/libraries", "tools/recipes", "slurm")
                   for name in os.listdir(os.path.join(SOURCE, folder))]
        scripts = sorted(name for name in scripts
                         if os.path.isfile(os.path.join(SOURCE, name)) and os.access(os.path.join(SOURCE, name), os.X_OK))
        self.assertLessEqual({"tools/setup", "tools/test", "tools/quickstart", "tools/reproduce", "slurm/sweep.sh"}, set(scripts))
        for name in scripts:
            if name.endswith(".sbatch"):
                continue
            done = self.run_in(os.path.join(SOURCE, name), "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            self.assertGreater(len(done.stdout.split()), 8, name)
            self.assertNotIn("set -euo", done.stdout, name)
            self.assertEqual(os.listdir(self.folder), [], name)


class LookingAround(SetupTest):
    def tools(self, *names):
        """A PATH of these alone."""
        folder = os.path.join(self.folder, "bin")
        os.makedirs(folder)
        for name in names:
            os.symlink(sys.executable if name == "python3" else shutil.which(name), os.path.join(folder, name))
        return folder

    def test_the_table_says_what_is_here_and_leaves_nothing(self):
        done = self.run_in(os.path.join(SOURCE, "tools/setup"), "--user", "soft", "--look", "--tests")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        rows = {line[:18].strip(): line[18:].split()[0] for line in done.stdout.splitlines()}
        for name in ("Python", "CMake", "Ninja", "compiler", "MPI", "parallel HDF5", "boost", "fmt", "json", "zlib", "libdeflate",
                     "googletest"):
            self.assertEqual(rows.get(name), "found", done.stdout)
        self.assertEqual(os.listdir(self.folder), [])

    def test_what_only_a_module_can_bring_is_missing(self):
        tools = self.tools("bash", "sh", "python3", "cmake", "ninja", "dirname", "mktemp", "rm", "sed", "sort", "head", "grep", "env")
        done = self.run_in(os.path.join(SOURCE, "tools/setup"), "--user", os.path.join(self.folder, "soft"), PATH=tools)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("missing, and not to be had without root: compiler, MPI; load a module", done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse(os.path.exists(os.path.join(self.folder, "soft")))

    def look(self, **environment):
        done = self.run_in(os.path.join(SOURCE, "tools/setup"), "--user", "soft", "--look", **environment)
        return done.returncode, {line[:18].strip(): line[18:].strip() for line in done.stdout.splitlines()}, done.stderr

    def test_a_compiler_that_does_not_work_is_missing(self):
        old = self.write("g++-8", "#!/bin/sh\ncase \"$*\" in *CompilerId*) set -- \"$@\" -U__GNUC__ -D__GNUC__=8 ;; esac\n"
                         "exec c++ \"$@\"\n")
        os.chmod(old, 0o755)
        for compiler, words in (("nonsense", "CXX=nonsense is not there"), (shutil.which("false"), "does not get on with it"),
                                (old, "GNU 8.")):
            code, rows, said = self.look(CXX=compiler)
            self.assertEqual(code, 1, said)
            self.assertTrue(rows["compiler"].startswith("missing"), rows["compiler"])
            self.assertIn(words, rows["compiler"])
            self.assertIn("not to be had without root: compiler", said.splitlines()[-1])

    def test_a_torch_that_cannot_be_built_with_is_not_taken(self):
        code, rows, said = self.look(WHENCE_TORCH="/nowhere")
        self.assertEqual(code, 1, said)
        self.assertIn("WHENCE_TORCH=/nowhere: no torch from pip is there", rows["torch"])
        for name in ("version.py", "__init__.py"):  # a distribution's has no LibTorch in it
            self.write("packages/torch/" + name, "__version__ = '1.13.0'\n")
        packages = os.path.join(self.folder, "packages")
        self.assertTrue(self.look(PYTHONPATH=packages)[1]["torch"].startswith("will fetch"))
        self.write("packages/torch/share/cmake/Torch/TorchConfig.cmake", "")
        self.assertIn("found       1.13.0, " + packages, self.look(PYTHONPATH=packages)[1]["torch"])

    def test_where_there_is_no_apt_the_way_out_is_said(self):
        done = self.run_in(os.path.join(SOURCE, "tools/setup"), "--program", PATH=self.tools("bash", "dirname", "env"))
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertIn("this is no Debian; ./tools/setup --user takes", done.stderr)

    def test_a_wrong_argument(self):
        done = self.run_in(os.path.join(SOURCE, "tools/setup"), "--user", "--cuda")
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown argument '--cuda'", done.stderr)


class Fetching(SetupTest):
    """tools/libraries/fetch.cmake with one library, whose address is a file."""

    def setUp(self):
        super().setUp()
        content = self.write("published/one.tar.gz", "an archive")
        self.sum = hashlib.sha256(b"an archive").hexdigest()
        self.write("libraries/sources.cmake", "set(WHENCE_SOURCE_NAMES one)\nset(one_FILE one.tar.gz)\nset(one_SHA256 %s)\n"
                   "set(one_URL file://%s)\n" % (self.sum, content))
        shutil.copy(os.path.join(LIBRARIES, "fetch.cmake"), os.path.join(self.folder, "libraries"))

    def fetch(self, *options):
        return self.run_in("cmake", "-DTO=" + os.path.join(self.folder, "to"), *options, "-P", "libraries/fetch.cmake")

    def test_an_archive_is_fetched_once(self):
        self.assertEqual(self.fetch().returncode, 0)
        os.remove(os.path.join(self.folder, "published/one.tar.gz"))
        self.assertEqual(self.fetch().returncode, 0)
        self.assertEqual(os.listdir(os.path.join(self.folder, "to")), ["one.tar.gz"])

    def test_another_content_is_refused(self):
        self.write("to/one.tar.gz", "another")
        done = self.fetch()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("its SHA-256 is", done.stderr)
        self.assertIn(self.sum, done.stderr)

    def test_a_folder_of_its_name_is_left_alone(self):
        self.write("to/one/README", "unpacked")
        os.remove(os.path.join(self.folder, "published/one.tar.gz"))
        self.assertEqual(self.fetch().returncode, 0)

    def test_without_a_network_the_way_out_is_said(self):
        os.remove(os.path.join(self.folder, "published/one.tar.gz"))
        done = self.fetch()
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("put that file", " ".join(done.stderr.split()))
        self.assertEqual(os.listdir(os.path.join(self.folder, "to")), [])


class Building(SetupTest):
    PROJECT = """project(p LANGUAGES C CXX)
        include("%s/libraries.cmake")
        whence_build_libraries()
        whence_find_googletest()
        message(STATUS "googletest: ${GTest_FOUND}")
        add_executable(p p.cpp)
        target_link_libraries(p PRIVATE Boost::program_options fmt::fmt nlohmann_json::nlohmann_json ZLIB::ZLIB libdeflate)
        """ % LIBRARIES
    STAND_INS = {  # where each library's own archive has them
        "boost/libs/program_options/src/a.cpp": "int boost_() { return 1; }", "fmt/src/format.cc": "int fmt_() { return 2; }",
        "json/include/nlohmann/json.hpp": "inline int json_() { return 4; }",
        "zlib/inflate.c": "int zlib_(void) { return 8; }", "libdeflate/lib/crc32.c": "int deflate_(void) { return 16; }"}
    PROGRAM = """#include <nlohmann/json.hpp>
        int boost_(); int fmt_(); extern "C" int zlib_(); extern "C" int deflate_();
        int main() { return boost_() + fmt_() + json_() + zlib_() + deflate_(); }"""

    def test_sources_at_hand_are_built_and_linked(self):
        for name, text in self.STAND_INS.items():
            self.write("sources/" + name, text)
        self.write("p.cpp", self.PROGRAM)
        self.write("sources/googletest/googletest/src/gtest-all.cc", "")
        code, said = self.configure(self.PROJECT, "-DWHENCE_LIBRARIES=own", WHENCE_SOURCES=os.path.join(self.folder, "sources"))
        self.assertEqual(code, 0, said)
        self.assertIn("googletest: TRUE", said)
        done = self.run_in("ninja", "-C", "build")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(self.run_in("build/p").returncode, 31)

    def test_an_archive_of_another_content_is_refused(self):
        with open(os.path.join(LIBRARIES, "sources.cmake")) as file:
            names = dict(re.findall(r"set\((\w+)_FILE (.*)\)", file.read()))
        for name, text in self.STAND_INS.items():
            if not name.startswith("json"):
                self.write("sources/" + name, text)
        self.write("sources/" + names["json"], "not the published one")
        self.write("p.cpp", self.PROGRAM)
        code, said = self.configure(self.PROJECT, "-DWHENCE_LIBRARIES=own", "-DWHENCE_SOURCES=" + os.path.join(self.folder, "sources"))
        self.assertNotEqual(code, 0)
        self.assertRegex(said, "(?i)hash mismatch|does not match expected")

    def test_the_machines_alone(self):
        code, said = self.configure(self.PROJECT, "-DWHENCE_LIBRARIES=system", "-DCMAKE_DISABLE_FIND_PACKAGE_fmt=ON")
        self.assertNotEqual(code, 0)
        self.assertIn("fmt is not on this machine (Debian: libfmt-dev; ./tools/setup installs it)", said)
        code, said = self.configure(self.PROJECT, "-DWHENCE_LIBRARIES=mine")
        self.assertIn("WHENCE_LIBRARIES=mine: it has to be auto, system or own", said)


class LibTorchForCuda(SetupTest):
    """A LibTorch that would ask for the CUDA toolkit, where nothing is computed on GPUs."""
    PROJECT = """project(p LANGUAGES NONE)
        option(WHENCE_CUDA "" OFF)
        option(WHENCE_PIP_TORCH "" OFF)
        include("%s/torch.cmake")
        message(STATUS "libraries: ${TORCH_LIBRARIES}")
        """ % LIBRARIES

    def setUp(self):
        super().setUp()
        self.write("packages/torch/share/cmake/Torch/TorchConfig.cmake", 'message(FATAL_ERROR "Your installed Caffe2 uses CUDA")')
        for name in ("libtorch_cuda.so", "libtorch_cpu.so"):
            self.write("packages/torch/lib/" + name, "")

    def test_its_part_for_the_cpu_is_taken(self):
        packages = os.path.join(self.folder, "packages")
        for options, environment in ((["-DCMAKE_PREFIX_PATH=%s/torch/share/cmake" % packages], {}),
                                     (["-DCMAKE_PREFIX_PATH=%s/torch" % packages], {}),
                                     (["-DWHENCE_PIP_TORCH=ON"], {"WHENCE_TORCH": packages}),
                                     (["-DWHENCE_PIP_TORCH=ON"], {"WHENCE_TORCH": packages + "/torch"})):
            shutil.rmtree(os.path.join(self.folder, "build"), ignore_errors=True)
            code, said = self.configure(self.PROJECT, *options, **environment)
            self.assertEqual(code, 0, said)
            self.assertIn("libraries: %s/torch/lib/libtorch_cpu.so;" % packages, said)

    def test_one_of_the_old_abi_is_refused(self):
        self.write("packages/torch/share/cmake/Torch/TorchConfig.cmake", 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")')
        code, said = self.configure(self.PROJECT, "-DWHENCE_PIP_TORCH=ON", WHENCE_TORCH=os.path.join(self.folder, "packages"))
        self.assertNotEqual(code, 0)
        self.assertIn("is built for the C++ ABI before C++11", said)

    def test_where_there_is_none(self):
        code, said = self.configure(self.PROJECT, "-DWHENCE_PIP_TORCH=ON", WHENCE_TORCH="/nowhere")
        self.assertNotEqual(code, 0)
        self.assertIn("/nowhere: no LibTorch there; ./tools/setup --user, --torch2 or --cuda installs one", said)


if __name__ == "__main__":
    main()
