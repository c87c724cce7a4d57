"""tools/reproduce: small experiments run to what is expected of them, go on where they were, and say what differs."""

import os
import shlex
import shutil
import subprocess
import sys
import unittest

import options_page
from support import DATA, SOURCE, WHENCE, ProgramTest, main, read_json, whence

sys.path.insert(0, os.path.join(SOURCE, "tools"))
from whence.experiments.catalogue import CATALOGUE
from whence.experiments.running import commands_of

PLACES = {"mnist": os.path.join(DATA, "mnist"), "cifar10": os.path.join(DATA, "cifar10"),
          "kmnist": os.path.join(DATA, "kmnist", "extra1000-images-idx3-ubyte.gz")}


def reproduce(*arguments, tools=os.path.join(SOURCE, "tools"), cwd=None):
    return subprocess.run([sys.executable, os.path.join(tools, "reproduce"), *arguments], cwd=cwd, env={**os.environ, "WHENCE": WHENCE},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)


class Reproduce(ProgramTest):
    def small(self, name, *data):
        out = self.path(name)
        done = reproduce(name, "--small", "--ranks", "1", "--out", out, *data)
        self.assertEqual(done.returncode, 0, done.stdout)
        rows = read_json(os.path.join(out, "reproduced.json"))["figures"]
        self.assertTrue(rows)
        for row in rows:
            self.assertTrue(row["as_expected"], row)
            self.assertIn(row["what"], done.stdout)
        self.assertNotIn("  differs\n", done.stdout)
        return out

    def test_agreement_of_the_first_figure_and_the_second_call(self):
        out = self.small("figure1-2d")
        trained = os.stat(os.path.join(out, "seed0", "trajectory.h5")).st_mtime_ns
        self.small("figure1-2d")
        self.assertEqual(os.stat(os.path.join(out, "seed0", "trajectory.h5")).st_mtime_ns, trained)

    def test_cleansing_of_the_second_figure(self):
        self.small("figure2-2d")

    @unittest.skipUnless(DATA, "WHENCE_DATA is not set")
    def test_planted_images_of_table_8(self):
        self.small("table8-vae", "--mnist", PLACES["mnist"], "--kmnist", PLACES["kmnist"])

    @unittest.skipUnless(DATA, "WHENCE_DATA is not set")
    def test_lds_of_groups(self):
        self.small("lds-vae", "--mnist", PLACES["mnist"])

    def test_a_figure_that_differs_is_marked_and_ends_in_status_1(self):
        tools = self.path("tools")
        shutil.copytree(os.path.join(SOURCE, "tools"), tools, ignore=shutil.ignore_patterns("__pycache__"))
        catalogue = os.path.join(tools, "whence", "experiments", "catalogue.py")
        with open(catalogue, encoding="utf-8") as file:
            text = file.read()
        changed = text.replace("{1: 1.0, 3: 1.0}, within=.02", "{1: 1.0, 3: 0.9}, within=.02")
        self.assertNotEqual(changed, text)
        with open(catalogue, "w", encoding="utf-8") as file:
            file.write(changed)
        done = reproduce("optimisers-2d", "--small", "--ranks", "1", "--out", self.path("differs"), tools=tools)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertEqual(done.stdout.count("  differs\n"), 1, done.stdout)

    def test_each_experiment_names_options_that_there_are(self):
        known = {job: {"--" + name for name, _, _ in options_page.options_in(whence(job, "--help").out)}
                 for job in ("train", "influence", "counterfactual", "cleanse", "cleanse-table", "validate", "tracin")}
        for experiment in CATALOGUE:
            for small in (False, True):
                for line in commands_of(experiment, small, "out", PLACES):
                    job, *words = shlex.split(line)
                    if job == "tracin.py":
                        continue
                    self.assertEqual({word for word in words if word.startswith("--")} - known[job], set(), line)
                    self.assertNotIn("{", line)

    def test_what_is_wrong_is_said_in_one_sentence(self):
        for words, sentence in ((("figure9",), "'figure9' is none of figure1-2d, "), ((), "'' is none of "),
                                (("figure1-mnist",), "--mnist: where the data of figure1-mnist lie"),
                                (("figure1-mnist", "--mnist", "/nowhere"), "--mnist: /nowhere: not there"),
                                (("figure1-2d", "--ranks", "0"), "--ranks 0 is not a number from 1 on")):
            done = reproduce(*words, cwd=self.place)
            self.assertEqual((done.returncode, done.stdout.count("\n")), (1, 1), done.stdout)
            self.assertIn("reproduce: " + sentence, done.stdout)
        self.assertEqual(reproduce("--list").returncode, 0)

    def test_a_command_that_fails_is_named(self):
        out = self.path("taken")
        os.makedirs(os.path.join(out, "seed0"))
        with open(os.path.join(out, "seed0", "trajectory.h5"), "w") as file:
            file.write("no trajectory")
        done = reproduce("figure1-2d", "--small", "--ranks", "1", "--out", out)
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("+ train --out", done.stdout)
        self.assertIn("reproduce: this command ended with status", done.stdout)


if __name__ == "__main__":
    main()
