"""Runs from other folders, moved runs, moved data, changed labels, and labels that only some rows have."""

import os
import shutil
import subprocess
from unittest import mock

import numpy as np

from support import ProgramTest, WHENCE, arrays, attributes, main, read_bytes, whence, write_bytes
from vae_support import write_idx

CLASSIFIER = ("--game", "classifier", "--instances", "20", "--held-out", "10", "--batch", "10", "--epochs", "1",
              "--optimiser", "sgd")
VAE = ("--game", "mlp-vae", "--instances", "40", "--held-out", "10", "--hidden", "4", "--latent", "1", "--batch", "10",
       "--steps", "5")


def whence_in(folder, *arguments):
    return subprocess.run([WHENCE, *arguments], cwd=folder, capture_output=True, text=True, timeout=60)


class PlacesTest(ProgramTest):
    def setUp(self):
        self.home = self.path(self.id().rsplit(".", 1)[1])
        os.makedirs(os.path.join(self.home, "d"))
        write_idx(os.path.join(self.home, "d", "x.idx"), np.random.default_rng(0).integers(0, 256, (60, 4, 4)))
        self.done("train", "--out", "probe", "--data", "idx:d/x.idx", *VAE, "--quiet")
        some = arrays(os.path.join(self.home, "probe", "trajectory.h5"))["instance_id"][:2]
        write_bytes(os.path.join(self.home, "d", "ids.txt"), b"%d\n%d\n" % tuple(some))
        self.done("train", "--out", "run", "--data", "idx:d/x.idx", "--without", "d/ids.txt",
                  "--plant", "idx:d/x.idx:2", *VAE, "--quiet")
        self.run_folder = os.path.join(self.home, "run")

    def done(self, *arguments, folder=None, code=0):
        result = whence_in(folder or self.home, *arguments)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stdout + result.stderr

    def score(self, run, *more, **options):
        return self.done("tracin", "--run", run, "--queries", "test:3", "--quiet", *more, **options)

    def test_a_run_is_used_from_any_folder(self):
        self.score(self.run_folder, folder="/")
        self.assertIn("whole", self.done("verify", self.run_folder, folder="/"))
        self.assertIn("already there", self.done("tracin", "--run", "run", "--queries", "test:3"))
        # The same command from elsewhere, by other names of the same files, is the same run.
        self.done("train", "--out", self.run_folder, "--data", "idx:x.idx", "--without", "ids.txt", "--plant",
                  "idx:x.idx:2", *VAE, "--quiet", folder=os.path.join(self.home, "d"))

    def test_folders_may_have_colons_in_their_names(self):
        # MPICH's MPI-IO, which Open MPI has as romio321, takes what stands before a colon for the kind of a file system.
        for io in ("ompio", "romio321"):
            run = os.path.join(self.home, "12:00", "every:5-" + io)
            for job in (("train", "--out", run, "--instances", "30", "--held-out", "10", "--batch", "10", "--epochs", "2"),
                        ("influence", "--run", run), ("counterfactual", "--run", run, "--targets", "2"), ("verify", run)):
                with mock.patch.dict(os.environ, OMPI_MCA_io=io):
                    result = whence(*job, ranks=2)
                self.assertEqual(result.code, 0, result)
        self.assert_refused(["tracin", "--run", self.run_folder, "--name", "a:b"], "--name", ("colon",))

    def test_a_run_moved_with_its_data_is_used_there(self):
        before = self.score(self.run_folder)
        scores = arrays(os.path.join(self.run_folder, "tracin.h5"))
        elsewhere = self.path("elsewhere", "deep")
        os.makedirs(os.path.dirname(elsewhere))
        os.rename(self.home, elsewhere)
        os.makedirs(self.home)  # so that nothing of the old place is left to be found
        run = os.path.join(elsewhere, "run")
        self.assertEqual(before, "")
        self.assertIn("tracin.h5: whole", self.done("verify", run))
        self.assertIn("already there", self.done("tracin", "--run", run, "--queries", "test:3"))
        self.score(run, "--overwrite")
        for name, values in arrays(os.path.join(run, "tracin.h5")).items():
            np.testing.assert_array_equal(values, scores[name])

    def test_moved_data_are_named_and_taken_from_where_they_are_said_to_lie(self):
        moved = self.path("moved")
        os.rename(os.path.join(self.home, "d"), moved)
        for place in (self.home, "/"):
            refusal = self.score(self.run_folder, folder=place, code=1)
            self.assertIn(os.path.join(self.home, "d", "x.idx"), refusal)
            self.assertIn("--data", refusal)
        text = self.done("verify", "run")
        self.assertIn("trajectory.h5: whole", text)
        self.assertIn("not compared", text)
        given = ("--data", "idx:moved/x.idx", "--without", "moved/ids.txt", "--plant", "idx:moved/x.idx:2")
        settings = read_bytes(os.path.join(self.run_folder, "run.cfg"))
        self.score(self.run_folder, *given, folder=self.place)
        self.assertNotIn("not compared", self.done("verify", self.run_folder, *given, folder=self.place))
        self.assertEqual(settings, read_bytes(os.path.join(self.run_folder, "run.cfg")))
        result = attributes(os.path.join(self.run_folder, "tracin.h5"))
        self.assertEqual(result["run_settings"], attributes(os.path.join(self.run_folder, "trajectory.h5"))["settings"])
        # Other data are refused wherever they lie.
        write_idx(os.path.join(moved, "x.idx"), np.random.default_rng(1).integers(0, 256, (60, 4, 4)))
        for job in (("tracin", "--run"), ("verify", "--run")):
            self.assertIn("other data", self.done(*job, self.run_folder, *given, folder=self.place, code=1))
        self.assertIn("other settings", self.done("verify", self.damaged_settings(), *given, folder=self.place, code=1))

    def damaged_settings(self):
        copy = self.copy_of(self.run_folder, "edited")
        path = os.path.join(copy, "run.cfg")
        write_bytes(path, read_bytes(path).replace(b"batch = 10", b"batch = 20"))
        return copy


class LabelsTest(ProgramTest):
    """Labels are data: they are part of the fingerprint, and all of them are counted."""

    def setUp(self):
        self.images = self.path(self.id().rsplit(".", 1)[1] + ".x.idx")
        self.labels = self.path(self.id().rsplit(".", 1)[1] + ".y.idx")
        write_idx(self.images, np.random.default_rng(0).integers(0, 256, (40, 28, 28)))

    def classifier(self, name, labels, *more):
        write_idx(self.labels, np.asarray(labels))
        return self.train(name, "--data", "idx:%s,%s" % (self.images, self.labels), *CLASSIFIER, *more)

    def test_changed_labels_are_other_data(self):
        labels = np.arange(40) % 5
        run = self.classifier("labelled", labels)
        self.assertIn(" labels=", attributes(os.path.join(run, "trajectory.h5"))["data"])
        self.run_fine("influence", "--run", run, "--metric", "loss")
        write_idx(self.labels, np.roll(labels, 1))
        for job in (["influence", "--run", run, "--metric", "loss", "--overwrite"], ["verify", "--run", run]):
            self.assert_refused(job, "other data", folder=run)

    def test_a_label_that_is_only_held_out_is_a_class(self):
        # The highest label stands in one row; for some seed it is held out, or in no set.
        labels = np.arange(40) % 3
        labels[11] = 7
        sizes = set()
        for seed in ("1", "2", "3", "4"):
            run = self.classifier("seed" + seed, labels, "--seed", seed)
            sizes.add(arrays(os.path.join(run, "trajectory.h5"))["params"].shape[1])
            self.run_fine("influence", "--run", run, "--metric", "loss")
        self.assertEqual(len(sizes), 1)


class SettingsTest(ProgramTest):
    def test_what_is_wrong_in_run_cfg_is_said_of_it(self):
        folder = self.train("run", "--instances", 20, "--held-out", 5, "--batch", 10, "--epochs", 1)
        path = os.path.join(folder, "run.cfg")
        whole = read_bytes(path).decode()
        for name, value in (("generator-output", ""), ("generator-hidden", "0"), ("record", "sometimes"), ("engine", "x"),
                            ("optimiser", "x")):
            lines = [("%s = %s" % (name, value)) if line.startswith(name + " =") else line for line in whole.splitlines()]
            self.assertNotEqual(lines, whole.splitlines(), name)
            write_bytes(path, ("\n".join(lines) + "\n").encode())
            result = whence("influence", "--run", folder, "--quiet")
            self.assertEqual(result.code, 1, "%s: %s" % (name, result))
            self.assert_one_sentence(result, "influence", "run.cfg")
        os.remove(path)
        os.mkfifo(path)
        self.assert_one_sentence(whence("influence", "--run", folder, "--quiet"), "influence", "run.cfg: is not a file")


class SiteTest(ProgramTest):
    def test_a_folder_is_tried_and_left_as_it_was(self):
        place = self.path("site")
        os.makedirs(place)
        for ranks in (1, 2):
            result = whence("info", "--site", place, ranks=ranks)
            self.assertEqual(result.code, 0, str(result))
            self.assertEqual(result.out.splitlines()[-1], "ready")
            self.assertIn("%d rank" % ranks, result.out)
            self.assertIn("has locks", result.out)
            self.assertEqual(os.listdir(place), [])

    def test_what_is_no_folder_for_runs(self):
        self.assert_refused(["info", "--site", self.path("nowhere")], "--site", ("is no folder",), ranks=(1, 2))
        result = whence("info", "--site", "/proc", ranks=2)
        self.assert_one_sentence(result, "info", "/proc", "cannot write it")


if __name__ == "__main__":
    main()
