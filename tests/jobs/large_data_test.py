#!/usr/bin/env python3
"""Data that stay in their files: the same bits as of data that are held, on any number of ranks; and what happens to files."""
import glob
import os
import shutil
import subprocess

import h5py
import numpy as np

from interrupt_support import watched_until
from support import MPIRUN, WHENCE, Job, ProgramTest, arrays, attributes, fill_disk, main, small_disk, whence

FROM_FILES = ["--data-memory", "0"]
MODEL = ["--game", "mlp-vae", "--latent", "2", "--hidden", "8", "--batch", "20", "--epochs", "2", "--seed", "3"]


def write_images(path, number=300, seed=1, **storage):
    random = np.random.default_rng(seed)
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=random.integers(0, 256, size=(number, 3, 8, 8), dtype=np.uint8), **storage)
        file["labels"] = np.arange(number) % 3


class LargeDataTest(ProgramTest):
    def setUp(self):
        self.folder = self.path(self.id().rsplit(".", 1)[1])
        os.makedirs(self.folder)
        self.file = self.in_folder("images.h5")
        self.cache = ["--data-cache", self.in_folder("cache")]

    def in_folder(self, *names):
        return os.path.join(self.folder, *names)

    def options(self, file=None):
        return [*MODEL, "--data", "hdf5:" + (file or self.file), "--instances", "200", "--held-out", "60", "--test", "20"]

    def hidden(self):
        return [name for name in os.listdir(self.folder) if name.startswith(".images.h5.whence-")]

    def test_results_are_those_of_data_that_are_held(self):
        write_images(self.file)
        held = self.in_folder("held")
        self.run_fine("train", "--out", held, *self.options())
        self.assertEqual(os.listdir(self.folder).count("cache") + len(self.hidden()), 0, "small data leave nothing behind")
        jobs = (["tracin", "--queries", "self", "--samples", "2"], ["tracin", "--queries", "test:5", "--samples", "2", "--name", "test"],
                ["influence", "--metric", "loss", "--epochs-back", "1"],
                ["counterfactual", "--metric", "loss", "--epochs-back", "1", "--targets", "10"],
                ["cleanse", "--metric", "loss", "--select", "isolation-forest,random", "--remove", "10"])
        for job, *more in jobs:
            self.run_fine(job, "--run", held, *more)
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                read = self.in_folder("read%d" % ranks)
                self.run_fine("train", "--out", read, *self.options(), *FROM_FILES, *self.cache, ranks=ranks)
                self.assertEqual(len(self.hidden()), 1)
                self.assertEqual(attributes(held + "/trajectory.h5")["data"], attributes(read + "/trajectory.h5")["data"])
                if ranks > 1:  # the same steps, as a mini-batch in parts rounds otherwise
                    os.rename(read, read + ".trained")
                    self.run_fine("train", "--out", read, *self.options(), *FROM_FILES, *self.cache)
                for job, *more in jobs:
                    self.run_fine(job, "--run", read, *more, *FROM_FILES, *self.cache, ranks=ranks)
                for name in ("trajectory", "tracin", "tracin-test", "counterfactual", "cleansing"):
                    self.assert_same_arrays(held + "/%s.h5" % name, read + "/%s.h5" % name)
                first, second = (arrays(folder + "/influence.h5")["influence"] for folder in (held, read))
                np.testing.assert_allclose(second, first, rtol=1e-4, atol=1e-6 * np.abs(first).max())
        self.assertFalse(os.path.exists(self.in_folder("cache")))

    def test_packed_data_are_unpacked_once(self):
        write_images(self.file, chunks=(7, 3, 8, 8), compression="gzip")
        plain = self.in_folder("plain.h5")
        write_images(plain)
        # Two jobs at once, of two ranks each.
        jobs = [Job("train", "--out", self.in_folder("run%d" % i), *self.options(), *FROM_FILES, *self.cache, ranks=2)
                for i in range(2)]
        results = [job.wait(120) for job in jobs]
        for result in results:
            self.assertEqual(result.code, 0, str(result))
        self.assertLessEqual(sum("unpacking" in result.err for result in results), 1)
        self.assertEqual(len([name for name in os.listdir(self.in_folder("cache")) if name.endswith(".rows")]), 1)
        self.run_fine("train", "--out", self.in_folder("held"), *self.options(plain))
        of = [attributes(self.in_folder(name, "trajectory.h5"))["data"] for name in ("run0", "run1", "held")]
        self.assertEqual(len(set(of)), 1, of)
        later = whence("influence", "--run", self.in_folder("run0"), "--metric", "loss", *FROM_FILES, *self.cache)
        self.assertEqual(later.code, 0, str(later))
        self.assertNotIn("unpacking", later.err)

    def test_a_folder_that_cannot_be_written_into(self):
        data = self.in_folder("data")
        os.makedirs(data)
        file = os.path.join(data, "images.h5")
        write_images(file)
        with small_disk(data + "-full", 700):
            full = os.path.join(data + "-full", "images.h5")
            write_images(full)
            fill_disk(data + "-full", 0)
            self.run_fine("train", "--out", self.in_folder("run"), *self.options(full), *FROM_FILES, *self.cache)
            self.assertEqual([name for name in os.listdir(data + "-full") if "whence" in name], [])
            kept = [name for name in os.listdir(self.in_folder("cache")) if name.startswith(".images.h5.whence-")]
            self.assertEqual(len(kept), 1)
        # A cache that is full: a sentence that says what to do.
        write_images(file, chunks=(7, 3, 8, 8), compression="gzip")
        with small_disk(self.in_folder("small"), 40) as small:
            self.assert_refused(["train", "--out", self.in_folder("none"), *self.options(file), *FROM_FILES,
                                 "--data-cache", small], small, "--data-cache", ranks=(1, 2))
            self.assertEqual([name for name in os.listdir(small) if not name.endswith(".lock")], [])

    def test_other_data_under_the_same_name_are_refused(self):
        write_images(self.file)
        run = self.in_folder("run")
        self.run_fine("train", "--out", run, *self.options(), *FROM_FILES)
        times = os.stat(self.file)
        write_images(self.file, seed=2)
        os.utime(self.file, ns=(times.st_atime_ns, times.st_mtime_ns))
        self.assertEqual(os.stat(self.file).st_size, times.st_size)
        for more in (FROM_FILES, []):
            result = whence("influence", "--run", run, "--metric", "loss", *more, "--quiet")
            self.assert_one_sentence(result, "influence", "was recorded with other data")

    def test_other_packed_data_under_the_same_name_are_refused(self):
        chunks = {"chunks": (7, 3, 8, 8)}
        write_images(self.file, **chunks)
        run = self.in_folder("run")
        self.run_fine("train", "--out", run, *self.options(), *FROM_FILES, *self.cache)
        times = os.stat(self.file)
        for replaced in (False, True):  # written over, and another file moved there
            with self.subTest(replaced=replaced):
                other = self.file + ".other" if replaced else self.file
                write_images(other, seed=2 + replaced, **chunks)
                os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
                os.rename(other, self.file)
                self.assertEqual(os.stat(self.file).st_size, times.st_size)
                self.assertEqual(os.stat(self.file).st_mtime_ns, times.st_mtime_ns)
                result = whence("influence", "--run", run, "--metric", "loss", *FROM_FILES, *self.cache, "--quiet")
                self.assert_one_sentence(result, "influence", "was recorded with other data")

    def test_a_wrong_limit_is_refused_once_by_all_ranks(self):
        for job in ("influence", "tracin", "counterfactual", "cleanse"):
            metric = [] if job == "tracin" else ["--metric", "loss"]
            self.assert_refused([job, "--run", self.in_folder("none"), *metric, "--device-memory", "-1"], "--device-memory", ranks=(2,))

    def test_data_cut_short_while_a_job_runs_end_it_in_a_sentence(self):
        write_images(self.file)
        options = self.options()
        options[options.index("--epochs") + 1] = "100000"
        for ranks in (1, 2):
            write_images(self.file)
            run = self.in_folder("cut%d" % ranks)
            job = Job("train", "--out", run, *options, "--record", "last:1", "--watch-every", "never", *FROM_FILES, "--quiet", ranks=ranks)
            watched_until(job, lambda: glob.glob(os.path.join(run, "trajectory.h5.part")))
            os.truncate(self.file, 20000)
            job.release()
            self.assert_one_sentence(job.wait(60), "train", "images.h5: was changed while this job was reading it")

    def test_nodes_may_have_copies_of_their_own_but_of_the_same_data(self):
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
            self.skipTest("cannot give a rank another view of files here")

        def on_two(name, theirs):
            """Rank 1 sees the file `theirs` where rank 0 has its own, as on another node."""
            job = [WHENCE, "train", "--out", self.in_folder(name), "--quiet", *self.options(), *FROM_FILES]
            view = ["unshare", "-m", "bash", "-c", 'mount --bind "$0" "$1" && shift && exec "$@"', theirs, self.file]
            command = [*MPIRUN, "--allow-run-as-root", "--oversubscribe", "-n", "1", *job, ":", "-n", "1", *view, *job]
            return subprocess.run(command, capture_output=True, text=True, timeout=120)

        write_images(self.file)
        copy, other = self.in_folder("copy.h5"), self.in_folder("other.h5")
        shutil.copy(self.file, copy)
        write_images(other, seed=2)
        same = on_two("same", copy)
        self.assertEqual(same.returncode, 0, same.stderr)
        differing = on_two("differing", other)
        self.assertNotEqual(differing.returncode, 0)
        self.assertIn("--data", differing.stderr)


if __name__ == "__main__":
    main()
