"""The documentation: every command line and Python snippet of every page runs at a small size, every option, file, link and
anchor that it names is there, and the page of options is what the program says.

A page's blocks run one after another in a folder of its own, which looks like a built clone. Sizes are cut by the table in
small_whence.py, and places that the reader fills in are those of PLACES. A block that cannot run says why in the line
before it: <!-- not run: REASON -->. What it needs beforehand and a reader has already is in <!-- first: COMMAND -->; the run
of the quickstart is there on every page that speaks of it."""

import glob
import gzip
import os
import re
import stat
import subprocess
import sys
import unittest

import numpy as np

import options_page
from at_hand import AtHand, run_script
from pages import pages
from support import SOURCE, WHENCE, ProgramTest, main, read_bytes, whence
from vae_support import write_idx

sys.path.insert(0, os.path.join(SOURCE, "tools"))  # of the snippets' forks
PAGES = pages(SOURCE)
# What the reader puts in place of these words in a block of commands.
PLACES = {"mnist:DIR": "mnist:%s/data", "idx:KMNIST:": "idx:%s/data/t10k-images-idx3-ubyte:", "cifar10:FILE": "cifar10:%s/data/cifar.bin"}
# Sizes of what is no command of the program: one seed of several.
SIZES = {"reproduce figure1-2d --out": "reproduce figure1-2d --dry-run --out",
         "figure1-2d-paper --out": "figure1-2d-paper --dry-run --out", "figure2-2d --small": "figure2-2d --dry-run",
         "--highest $n": "--highest 3", "k=10": "k=2", "--seeds 10 ": "--seeds 1 ", "in 0 1 2; do": "in 0; do",
         " --run runs/seed1 --run runs/seed2": ""}
BUILDING = ("setup", "build", "test", "bench")  # scripts of tools/ that did their work before this test
# Options of other programs, which the pages name (ctest and cmake, too, do nothing here).
OF_OTHERS = {"--help", "--version", "--prefix", "--install", "--test-dir", "--mpi", "--mca", "--output-on-failure", "--ntasks",
             "--jobs", "--mem", "--time", "--qos", "--constraint", "--parallel", "--target", "--dry-run", "--build"}
JOBS = [name for name, _ in options_page.jobs_in(whence("--help").out)]
LONGEST_FIRST_PAGE, LARGEST_PICTURE = 200, 100_000


def options_of_jobs():
    return {job: {"--" + name for name, _, _ in options_page.options_in(whence(job, "--help").out)} for job in JOBS}


def options_in_scripts():
    """All that the scripts of tools/, slurm/, tests/bench/ and tests/results/ take, or at least say."""
    text = b""
    for pattern in ("tools/*", "tools/*/*.py", "tools/*/*/*.py", "slurm/*", "tests/bench/*.cpp", "tests/bench/*.py", "tests/results/*.py"):
        text += b"".join(read_bytes(path) for path in glob.glob(os.path.join(SOURCE, pattern)) if os.path.isfile(path))
    return {word.decode() for word in re.findall(rb"--[a-z][a-z0-9-]+", text)} | {
        "--" + name.decode() for name in re.findall(rb'add_argument\(\s*"--([a-z-]+)', text)}


def write_images(place, draw):
    """Data of the size of a few hands, in the forms that the pages speak of."""
    os.makedirs(os.path.join(place, "data"))
    for name, count in (("train", 120), ("t10k", 40)):
        write_idx(os.path.join(place, "data", name + "-images-idx3-ubyte"), draw.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        write_idx(os.path.join(place, "data", name + "-labels-idx1-ubyte"), (np.arange(count) % 3).astype(np.uint8))
    for path in glob.glob(os.path.join(place, "data", "*-ubyte")):
        with gzip.open(path + ".gz", "wb") as file:
            file.write(read_bytes(path))
    records = draw.integers(0, 256, (100, 3073), dtype=np.uint8)
    records[:, 0] = 1
    records.tofile(os.path.join(place, "data", "cifar.bin"))


def write_photos(place, draw):
    from PIL import Image
    for number in range(80):
        folder = os.path.join(place, "photos", ("cats", "dogs")[number % 2])
        os.makedirs(folder, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(os.path.join(folder, "%02d.png" % number))


def executable(path, text):
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)


class Clone:
    """A folder that looks like a built clone, with the program that cuts sizes."""

    def __init__(self, place):
        self.place = place
        for folder in ("build/bin", "tools", "slurm", "shims"):
            os.makedirs(os.path.join(place, folder))
        for folder in ("tools", "slurm"):
            for name in os.listdir(os.path.join(SOURCE, folder)):
                os.symlink(os.path.join(SOURCE, folder, name), os.path.join(place, folder, name))
        for name in ("tests", "src", "jobs"):
            os.symlink(os.path.join(SOURCE, name), os.path.join(place, name))
        for name in BUILDING:
            os.remove(os.path.join(place, "tools", name))
            executable(os.path.join(place, "tools", name), "#!/bin/sh\n")
        self._programs()
        self._pipelines()
        draw = np.random.default_rng(0)
        write_images(place, draw)
        write_photos(place, draw)

    def _programs(self):
        loaded = AtHand.of(WHENCE)
        real, self.more = loaded.as_rank() if loaded else (os.path.abspath(WHENCE), {})
        small = '#!/bin/sh\nexec "%s" -S -E "%s" "$@"\n' % (sys.executable, os.path.join(SOURCE, "tests/jobs/small_whence.py"))
        executable(os.path.join(self.place, "build/bin/whence"), small)
        executable(os.path.join(self.place, "shims/whence"), small)
        executable(os.path.join(self.place, "shims/mpirun"),  # what ranks do has tests of its own
                   '#!/bin/bash\nwhile [[ $1 == -* ]]; do [[ $1 != -n ]] || shift; shift; done\nexec "$@"\n')
        for name in ("ctest", "cmake"):
            executable(os.path.join(self.place, "shims", name), "#!/bin/sh\n")
        executable(os.path.join(self.place, "shims/seq"), '#!/bin/bash\n/usr/bin/seq "$@" | head -n 1\n')
        executable(os.path.join(self.place, "shims/python3"), '#!/bin/sh\nexec "%s" "$@"\n' % sys.executable)
        self.more.update(
            WHENCE_PROGRAM=real, WHENCE=os.path.join(self.place, "shims/whence"), PYTHONPATH=os.path.join(SOURCE, "tools"), OMP_NUM_THREADS="1", PYTHON=sys.executable,
            OMPI_MCA_ess_singleton_isolated="1", OMPI_MCA_orte_tmpdir_base=self.place, MPLCONFIGDIR=os.path.join(self.place, "matplotlib"),
            PATH=os.pathsep.join([os.path.join(self.place, "shims"), os.environ["PATH"]]), INSTANCES="40", EPOCHS="1", TARGETS="4")

    def _pipelines(self):
        """SLURM's scripts, which try out training and print what they would submit."""
        site = os.path.join(self.place, "site.conf")
        with open(site, "w") as file:
            file.write(read_bytes(os.path.join(SOURCE, "slurm/site.conf")).decode() + "\nWHENCE=%s/shims/whence\n" % self.place)
        self.more["WHENCE_SITE"] = site
        for path in glob.glob(os.path.join(self.place, "slurm", "*.sh")):
            if os.path.basename(path) != "lib.sh":
                real = os.path.realpath(path)
                os.remove(path)
                executable(path, '#!/bin/bash\nfirst=()\n[[ $1 == -* ]] || { first=("$1"); shift; }\n'
                                 'exec "%s" "${first[@]}" --dry-run "$@"\n' % real)

    def run(self, block):
        """Runs a block; what went wrong, or ""."""
        text = block.text
        for word, place in {**PLACES, **SIZES}.items():
            text = text.replace(word, place % self.place if "%s" in place else place)
        made = os.path.exists(os.path.join(self.place, "runs/quickstart"))
        for command in (["tools/quickstart"] if "runs/quickstart" in text and not made else []) + block.first:
            failed = self.shell(command.replace("DIR", self.place + "/data"))
            if failed:
                return failed
        return self.python(text) if block.language == "python" else self.shell(text)

    def shell(self, text):
        # With -x the last command that began is known.
        done = subprocess.run(["bash", "-eux", "-o", "pipefail", "-c", text], cwd=self.place, env={**os.environ, **self.more},
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        return "" if done.returncode == 0 else "exit %d: %s" % (done.returncode, done.stderr[-1500:])

    def python(self, text):
        path, before = os.path.join(self.place, "snippet.py"), os.getcwd()
        with open(path, "w") as file:
            file.write(text)
        os.chdir(self.place)
        try:
            done = run_script(path)
        finally:
            os.chdir(before)
        return "" if done.returncode == 0 else done.stderr[-1500:]


class CommandsTest(ProgramTest):
    """One test a page, below."""

    def run_page(self, page):
        runnable = [block for block in page.blocks if block.language in ("sh", "python") and not block.not_run]
        clone = Clone(self.path(page.path.replace("/", "-"))) if runnable else None
        for block in runnable:
            failed = clone.run(block)
            self.assertEqual(failed, "", "%s\n%s" % (page.where(block.line), block.text))


for _page in PAGES:
    setattr(CommandsTest, "test_" + re.sub(r"\W", "_", _page.path), lambda self, page=_page: self.run_page(page))


class NamesTest(ProgramTest):
    """What the pages name is there."""

    def test_blocks_have_a_language_that_says_whether_they_run(self):
        for page in PAGES:
            for block in page.blocks:
                self.assertIn(block.language, ("sh", "python", "cpp", "csv", ""), page.where(block.line))
                if not block.language:  # something printed
                    self.assertNotRegex(block.text, r"(?m)^(\$ |\./|tools/|whence |mpirun |build/bin)", page.where(block.line))

    def test_every_option_is_one(self):
        of_jobs = options_of_jobs()
        known = set().union(OF_OTHERS, options_in_scripts(), *of_jobs.values())
        wrong = []
        for page in PAGES:
            pieces = list(page.code()) + [(block.line, re.sub(r"\\\n", " ", block.text)) for block in page.blocks if block.language == "sh"]
            for line, text in pieces:
                for command in text.splitlines():
                    wrong += ["%s: %s" % (page.where(line), what) for what in self.wrong_options(command, of_jobs, known)]
        self.assertEqual(wrong, [])

    def wrong_options(self, command, of_jobs, known):
        command = command.split(" #")[0]
        for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", command):
            if option not in known:
                yield option
        for job, rest in re.findall(r"whence (%s) ((?:(?! whence ).)*)" % "|".join(JOBS), command):
            for option in re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", rest.split(" -- ")[0]):
                if option not in of_jobs[job]:
                    yield "whence %s has no %s" % (job, option)

    def test_every_link_and_anchor_leads_somewhere(self):
        of = {os.path.join(SOURCE, page.path): page for page in PAGES}
        for page in PAGES:
            for line, target in page.links():
                if target.startswith(("https://", "mailto:")):
                    continue
                path, _, anchor = target.partition("#")
                whole = os.path.normpath(os.path.join(SOURCE, os.path.dirname(page.path), path)) if path else os.path.join(SOURCE, page.path)
                self.assertTrue(os.path.exists(whole), "%s: %s" % (page.where(line), target))
                if anchor:
                    self.assertIn(anchor, of[whole].anchors(), "%s: %s" % (page.where(line), target))

    def test_every_file_named_is_there(self):
        tops = tuple(name + "/" for name in ("src", "tests", "tools", "jobs", "slurm", "include", ".ci"))
        for page in PAGES:
            own = os.path.join(SOURCE, os.path.dirname(page.path))
            for line, text in page.code():
                for word in re.findall(r"[\w./*-]+", text):
                    if word.startswith(tops) or (re.search(r"\w\.(py|md|sh|cpp|h)$", word) and "/" in word and word[0] not in "/."):
                        pattern = re.sub(r"(?<![A-Za-z])[A-Z]{2,}(?![a-z])", "*", word.rstrip("./"))
                        places = (SOURCE, own, own + "/whence", SOURCE + "/include/whence")
                        self.assertTrue(any(glob.glob(os.path.join(place, pattern)) for place in places),
                                        "%s: %s" % (page.where(line), word))

    def test_scripts_that_are_called_can_be(self):
        called = 0
        for page in PAGES:
            for line, text in ((block.line, text) for block in page.blocks for text in block.lines):
                for word in re.findall(r"(?:^|[;(|&] *|\b[A-Z0-9_]+=\S+ +)(?:\./)?((?:tools|tests|slurm)/[\w./-]+)", text.strip()):
                    if os.path.isfile(os.path.join(SOURCE, word)):
                        called += 1
                        self.assertTrue(os.access(os.path.join(SOURCE, word), os.X_OK), page.where(line) + ": " + word)
        self.assertGreater(called, 30)

    def test_each_page_is_found_from_the_first(self):
        reached, waiting = set(), ["README.md"]
        of = {page.path: page for page in PAGES}
        while waiting:
            path = waiting.pop()
            if path in reached or path not in of:
                continue
            reached.add(path)
            waiting += [os.path.normpath(os.path.join(os.path.dirname(path), target.partition("#")[0]))
                        for _, target in of[path].links() if not target.startswith(("http", "#"))]
        # A bundle's is its own first page.
        self.assertEqual(set(of) - reached, {"tools/bundle_files/README.md"} - reached)

    def test_the_first_page_is_short_and_shows_a_picture(self):
        page = next(page for page in PAGES if page.path == "README.md")
        self.assertLessEqual(len(page.lines), LONGEST_FIRST_PAGE)
        pictures = [target for _, target in page.links() if target.endswith(".png")]
        self.assertEqual(len(pictures), 1)
        self.assertLess(os.path.getsize(os.path.join(SOURCE, pictures[0])), LARGEST_PICTURE)

    def test_the_version_is_one(self):
        version = whence("--version").out.split()[1]
        for path, pattern in (("CMakeLists.txt", r"project\(whence VERSION (\S+)"), ("CITATION.cff", r"(?m)^version: (\S+)"),
                              ("tools/pyproject.toml", r'(?m)^version = "([^"]+)"'), ("CHANGELOG.md", r"(?m)^## (\d\S*)")):
            self.assertEqual(re.search(pattern, read_bytes(os.path.join(SOURCE, path)).decode())[1], version, path)


class OptionsTest(ProgramTest):
    def test_the_page_of_options_is_what_the_program_says(self):
        page = options_page.page(whence("--help").out, lambda job: whence(job, "--help").out)
        there = read_bytes(os.path.join(SOURCE, "jobs/options.md")).decode()
        self.assertEqual(there.splitlines(), page.splitlines(), "tests/jobs/options_page.py > jobs/options.md")

    def test_every_job_has_what_is_said_of_all(self):
        for job, options in options_of_jobs().items():
            self.assertLessEqual({"--help", "--config", "--dry-run", "--quiet"}, options, job)

    def test_no_default_is_left_to_be_guessed(self):
        for job in JOBS:
            for name, default, what in options_page.options_in(whence(job, "--help").out):
                self.assertNotIn("preset", default.replace("with --preset", ""), "whence %s --%s" % (job, name))
                self.assertTrue(what, name)

    def test_defaults_are_those_that_a_run_takes(self):
        for game, more in (("fcgan", ()), ("fcgan", ("--preset", "paper")), ("fcgan", ("--optimiser", "rmsprop"))):
            run = self.path("defaults-%d" % len(os.listdir(self.place)))
            self.run_fine("train", "--out", run, "--game", game, *more, "--epochs", "1", "--instances", "200", "--record", "last:1")
            settings = dict(line.split(" = ", 1) for line in read_bytes(run + "/run.cfg").decode().splitlines())
            owners = (game, settings["optimiser"])
            for name, default, _ in options_page.options_in(whence("train", "--help").out):
                if not default or default[0] == "`" or settings.get(name, "none") in ("none", "preset") or name == "optimiser":
                    continue
                self.assertEqual(float_or_text(settings[name]), float_or_text(default_of(default, owners, "paper" in more)), name)


def default_of(words, owners, paper):
    """Of "0, or 0.001 with --preset paper (fcgan); 0 (classifier)" the value of one of these owners."""
    for part in words.split("; "):
        value, _, named = part.partition(" (")
        if not named or set(owners) & set(re.split(r", |\)", named)):
            usual, _, other = value.partition(", or ")
            return other.split(" with ")[0] if paper and other else usual
    raise AssertionError("%s has no default in '%s'" % (owners, words))


def float_or_text(text):
    try:
        return float(text)
    except ValueError:
        return text


if __name__ == "__main__":
    main()
