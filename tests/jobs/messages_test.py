"""What users mistype, forget and paste: each is named, with what was perhaps meant."""

import gzip
import os
import subprocess

import numpy as np

from support import ProgramTest, WHENCE, arrays, attributes, main, tiny, whence, write_bytes
from vae_support import vae, write_idx

MARK = b"\xef\xbb\xbf"


class WordsTest(ProgramTest):
    def refused(self, *arguments, says):
        sentence = self.assert_refused(list(arguments), says)
        self.assertFalse(os.path.exists(self.path("run")))
        return sentence

    def training(self, *words, says):
        return self.refused("train", "--out", self.path("run"), *words, says=says)

    def test_forgotten_values(self):
        self.training("--epochs", "--l2", "0", says="--epochs: a value is missing")
        self.training("--instances", "1000", "200", says="'200': options begin with --")
        self.training("--epochs", says="--epochs: a value is missing")
        for value in ("1e3", "1_000", "+5", "5.0", "0x10", "", " ", "5 "):
            self.training("--epochs", value, says="--epochs: ")
            self.training("--seed", value, says="--seed: '%s' is not a whole number" % value)
        self.training("--epochs", "1e3", says="--epochs: '1e3' is not a whole number")

    def test_limits(self):
        for option, value, says in (("--seed", "-1", "--seed is -1, but must be at least 0"),
                                    ("--instances", "0", "--instances: 0 is not a positive whole number"),
                                    ("--instances", "99999999999999999999", "--instances: 99999999999999999999 is more"),
                                    ("--rate-generator", "1e400", "--rate-generator: 1e400 is beyond"),
                                    ("--rate-generator", "0,5", "--rate-generator"),
                                    ("--generator-hidden", "1,,2", "--generator-hidden: '1,,2' has an empty element")):
            self.training(option, value, says=says)

    def test_what_was_perhaps_meant(self):
        for words, says in ((("--optimizer", "adam"), "did you mean --optimiser?"),
                            (("--lr", "1"), "did you mean --rate"), (("--epoch", "3"), "did you mean --epochs?"),
                            (("--batch-size", "3"), "did you mean --batch?"), (("--n", "3"), "did you mean --instances?"),
                            (("--game", "gan"), "did you mean fcgan or dcgan?"),
                            (("--dtype", "float"), "did you mean float32?"),
                            (("--data", "mnist"), "did you mean mnist:DIR?"),
                            (("--optimiser", "SGD"), "did you mean sgd?"),
                            (("-epochs", "3"), "did you mean --epochs?")):
            with self.subTest(words=words):
                self.training(*words, says=says)
        self.refused("trian", says="no such job; did you mean train?")
        self.refused("--quiet", "train", says="the job comes first")
        self.refused("influence", "RUN", says="did you mean --run RUN?")

    def test_the_program_without_a_job(self):
        alone = whence()
        self.assertEqual((alone.code, alone.out), (2, ""))
        self.assertIn("Usage", alone.err)
        for words in (("help",), ("--help",), ("-h",)):
            self.assertIn("Usage", whence(*words).out)
        for words in (("help", "train"), ("--help", "train"), ("train", "-h"), ("train", "--help")):
            done = whence(*words)
            self.assertEqual(done.code, 0)
            self.assertIn("--rate-generator", done.out)
        for words in (("--version",), ("version",), ("-V",)):
            self.assertRegex(whence(*words).out, r"^whence \d+\.\d+\.\d+ \(")
        self.assert_refused(["trian"], "no such job")

    def test_config_files(self):
        config = self.path("a.cfg")
        write_bytes(config, MARK + b"instances = 300\r\n\r\nepochs = 3  # few\r\nepoch = 3\r\n")
        self.training("--config", config, says="a.cfg, line 4: epoch: train has no such option; did you mean epochs?")
        write_bytes(config, b"seed = 0\nseed = 1\n")
        self.training("--config", config, says="a.cfg, line 2: seed is given twice, first in line 1")
        write_bytes(config, b"seed\n")
        self.training("--config", config, says="a.cfg, line 1: 'seed' is not of the form name = value")

        write_bytes(config, MARK + b"epochs = 1e3\n")
        self.training("--config", config, says="a.cfg, line 1: --epochs: '1e3' is not a whole number")
        write_bytes(config, b"\nbatch = 0\nepochs = x\n")
        self.training("--epochs", "1e3", "--config", config, "--batch", "3", says=": --epochs: '1e3'")

    def test_other_settings_are_named(self):
        run = self.train("known", *tiny())
        self.assert_refused(["train", "--out", run, *tiny(epochs=4, seed=3)],
                            "other settings: epochs is 3 there and 4 here; seed is 0 there and 3 here", folder=run)
        self.run_fine("train", "--out", run, *tiny(rate_generator="1e-3"))
        self.run_fine("influence", "--run", run, "--crossings", "off")
        sentence = self.assert_refused(["influence", "--run", run, "--epochs-back", "2", "--crossings", "off"],
                                       "made with other options (epochs-back is 1 there and 2 here)", folder=run)
        self.assertIn("--overwrite", sentence)
        self.assert_refused(["influence", "--run", run, "--metric", "ALL"], "did you mean all?", folder=run)


class DefaultsTest(ProgramTest):
    """What need not be typed fits the run."""

    def test_of_a_vae(self):
        images = self.path("images")
        write_idx(images, np.random.default_rng(0).integers(0, 256, (160, 6, 6)))
        run = self.train("vae", *vae("idx:" + images, epoch_steps=12))
        for job, result, more in (("influence", "influence.h5", ()), ("counterfactual", "counterfactual.h5", ("--targets", "3"))):
            self.run_fine(job, "--run", run, *more)
            found = attributes(os.path.join(run, result))
            self.assertEqual(found["metrics"], "loss")
            self.assertIn("\nmetric = loss\n", found["settings"])
            self.assertIn("already there", whence(job, "--run", run, "--metric", "loss", *more).err)
        self.run_fine("tracin", "--run", run)
        path = os.path.join(run, "tracin.h5")
        self.assertIn("\nqueries = test:20\n", attributes(path)["settings"])
        self.assertEqual(arrays(path)["score"].shape, (20, 120))
        self.assertIn("already there", whence("tracin", "--run", run, "--queries", "test:20").err)
        self.assert_refused(["influence", "--run", run, "--metric", "all"], "(it has loss, loss:0)", folder=run)

    def test_of_a_gan(self):
        run = self.train("gan", *tiny())
        self.run_fine("influence", "--run", run)
        self.assertIn("\nmetric = all\n", attributes(os.path.join(run, "influence.h5"))["settings"])


class TablesTest(ProgramTest):
    """Tables and lists as other programs write them."""

    def density(self, name, content, *options):
        path = self.path(name)
        write_bytes(path, content)
        done = whence("density", "--out", self.path(name + ".run"), "--data", "csv:" + path + "".join(options),
                      "--estimator", "gmm" if options else "kde", "--quiet")
        self.assertEqual(done.code, 0, str(done))
        return arrays(self.path(name + ".run", "density.h5")), done.out

    def test_a_header_of_numbers_is_no_point(self):
        found, text = self.density("pandas.csv", b"0,1\n0.5,2\n1.5,2.5\n0.7,1.1\n-0.3,0.2\n")
        self.assertEqual(found["points"].tolist(), [[0.5, 2], [1.5, 2.5], [0.7, 1.1], [-0.3, 0.2]])
        self.assertIn("pandas.csv: 4 points of 2 numbers, with a header (0, 1)", text)

    def test_a_mark_costs_no_point(self):
        found, text = self.density("one.csv", MARK + b"0.5\n1.5\n0.7\n-0.3\n")
        self.assertEqual(found["points"].tolist(), [[0.5], [1.5], [0.7], [-0.3]])
        self.assertIn("one.csv: 4 points of 1 number, without a header", text)
        rows = b"0,1\n0,1.1\n0,1.3\n1,4\n1,4.1\n1,4.3\n"
        for name, header in (("marked.csv", MARK + b"cluster,x\n"), ("quoted.csv", b'"cluster","x"\n')):
            found, _ = self.density(name, header + rows, ",cluster")
            self.assertEqual(found["cluster"].tolist(), [0, 0, 0, 1, 1, 1])
        found, _ = self.density("packed.csv.gz", gzip.compress(MARK + b"0.5,2\n1.5,2.5\n0.7,1.1\n"))
        self.assertEqual(found["points"].tolist(), [[0.5, 2], [1.5, 2.5], [0.7, 1.1]])

    def test_numbers_do_not_depend_on_the_locale(self):
        path, runs = self.path("numbers.csv"), []
        write_bytes(path, b"0.5,2.25\n1.5,-2.5\n1e-3,3\n")
        for number, locale in enumerate(("C", "de_DE.UTF-8")):
            run = self.path("locale%d" % number)
            done = subprocess.run([WHENCE, "density", "--out", run, "--data", "csv:" + path, "--estimator", "kde",
                                   "--sigma", "0.5"], env={**os.environ, "LC_ALL": locale}, capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            runs.append((arrays(os.path.join(run, "density.h5"))["influence_exact"].tobytes(), done.stdout))
        self.assertEqual(*runs)

    def test_lists_of_ids(self):
        run = self.train("listed", *tiny())
        ids = self.path("ids.txt")
        write_bytes(ids, MARK + b"3\r\n5\r\n\r\n")
        self.run_fine("counterfactual", "--run", run, "--targets", ids)
        # The same list by another name is the same list.
        os.rename(ids, self.path("renamed.txt"))
        self.run_fine("counterfactual", "--run", run, "--targets", self.path("renamed.txt"))
        write_bytes(ids, b"3\n5\n7\n")
        self.assert_refused(["counterfactual", "--run", run, "--targets", ids], "made with other options (targets",
                            folder=run)


if __name__ == "__main__":
    main()
