"""Instances from HDF5, NumPy and CSV files: the same run as from IDX and CIFAR-10 files, what the job says of them, what
it refuses, and damaged files (more of those: tests/fuzz/data.py)."""

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz"))

import h5py
import numpy as np

import data as fuzz
from support import ProgramTest, arrays, attributes, main, whence, write_bytes
from vae_support import vae, write_idx

CASES = 40  # damaged files of each format


def write_h5(path, **arrays_by_name):
    with h5py.File(path, "w") as file:
        for name, values in arrays_by_name.items():
            file[name] = values


class SameRunTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        draw = np.random.default_rng(0)
        cls.images = draw.integers(0, 256, (160, 4, 4), dtype=np.uint8)
        cls.labels = draw.integers(0, 3, 160).astype(np.uint8)
        os.makedirs(cls.place, exist_ok=True)
        for name, values in (("x.idx", cls.images), ("y.idx", cls.labels)):
            write_idx(os.path.join(cls.place, name), values)
        cls.reference = cls.run_of("idx", "idx:%s,%s" % (cls.at("x.idx"), cls.at("y.idx")))

    @classmethod
    def at(cls, name):
        return os.path.join(cls.place, name)

    @classmethod
    def run_of(cls, name, data, *more, **changes):
        return cls.train(name, *vae(data, steps=12, hidden="6,5", latent=2, **changes), *more)

    def assert_same_run(self, run):
        self.assert_same_arrays(os.path.join(run, "trajectory.h5"), os.path.join(self.reference, "trajectory.h5"))
        said, reference = (attributes(os.path.join(r, "trajectory.h5"))["data"].split(" ", 1)[1]
                           for r in (run, self.reference))
        self.assertEqual(said, reference)

    def test_hdf5_of_every_layout(self):
        layouts = {"plain": {}, "chunked": {"chunks": (7, 4, 2)}, "packed": {"compression": "gzip", "shuffle": True}}
        for name, how in layouts.items():
            with h5py.File(self.at(name + ".h5"), "w") as file:
                file.create_dataset("group/pictures", data=self.images, **how)
                file.create_dataset("group/kinds", data=self.labels.astype(">i8"))
            self.assert_same_run(self.run_of(name, "hdf5:%s:group/pictures,group/kinds" % self.at(name + ".h5")))

    def test_hdf5_by_its_usual_names(self):
        write_h5(self.at("usual.h5"), X=self.images, labels=self.labels, other=self.images[:, :2])
        self.assert_same_run(self.run_of("usual", "hdf5:" + self.at("usual.h5")))
        write_h5(self.at("only.h5"), pictures=self.images, labels=self.labels, numbers=np.arange(7))
        self.assert_same_run(self.run_of("only", "hdf5:" + self.at("only.h5")))

    def test_npy_of_bytes_and_of_floats(self):
        np.save(self.at("y.npy"), self.labels.astype(">i4"))
        pixels = self.images / 255.0
        for name, values in (("bytes", self.images), ("doubles", pixels), ("swapped", pixels.astype(">f8"))):
            np.save(self.at(name + ".npy"), values)
            run = self.run_of("npy-" + name, "npy:%s,%s" % (self.at(name + ".npy"), self.at("y.npy")))
            self.assert_same_run(run)
        write_h5(self.at("float.h5"), X=pixels, labels=self.labels)
        self.assert_same_run(self.run_of("h5-float", "hdf5:" + self.at("float.h5")))

    def test_csv(self):
        with open(self.at("x.csv"), "w") as file:
            for row, label in zip(self.images.reshape(160, -1) / 255.0, self.labels):
                file.write(",".join(map(repr, map(float, row))) + ",%d\n" % label)
        self.assert_same_run(self.run_of("csv", "csv:%s,17" % self.at("x.csv")))

    def test_turned_images(self):
        write_h5(self.at("turned.h5"), X=self.images.transpose(0, 2, 1), labels=self.labels)
        run = self.run_of("turned", "hdf5:" + self.at("turned.h5"), "--orient", "transpose")
        self.assert_same_run(run)
        write_idx(self.at("turned.idx"), self.images.transpose(0, 2, 1))
        run = self.run_of("turned-idx", "idx:%s,%s" % (self.at("turned.idx"), self.at("y.idx")), "--orient", "transpose")
        self.assert_same_run(run)

    def test_the_report_shows_the_first_instances(self):
        write_h5(self.at("shown.h5"), X=self.images, labels=self.labels)
        np.save(self.at("shown.npy"), self.images.transpose(0, 2, 1))
        pictures = []
        for name, data, more in (("a", "hdf5:" + self.at("shown.h5"), ()), ("b", "hdf5:%s:X" % self.at("shown.h5"), ()),
                                 ("c", "npy:" + self.at("shown.npy"), ("--orient", "transpose")), ("d", "npy:" + self.at("shown.npy"), ()),
                                 ("e", "idx:%s,%s" % (self.at("x.idx"), self.at("y.idx")), ())):
            page, _ = self.report(self.run_of("shown-" + name, data, *more))
            self.assertIn("The first 14 training instances", page)
            pictures.append(page.split("base64,")[1].split('"')[0])
        self.assertEqual(len({pictures[0], pictures[1], pictures[2], pictures[4]}), 1)
        self.assertNotEqual(pictures[3], pictures[0])

    def test_colour_images_as_from_cifar(self):
        draw = np.random.default_rng(1)
        pixels, labels = draw.integers(0, 256, (50, 3, 32, 32), dtype=np.uint8), draw.integers(0, 10, 50)
        records = np.concatenate([labels[:, None].astype(np.uint8), pixels.reshape(50, -1)], axis=1)
        write_bytes(self.at("c.bin"), records.tobytes())
        write_h5(self.at("c.h5"), X=pixels, labels=labels)
        write_h5(self.at("last.h5"), X=pixels.transpose(0, 2, 3, 1), labels=labels)
        options = ("--game", "conv-vae", "--instances", "40", "--held-out", "10", "--batch", "10", "--steps", "2",
                   "--latent", "2", "--class-filter", "all")
        runs = [self.train("colour%d" % i, "--data", data, *options, *more) for i, (data, *more) in enumerate((
            ("cifar10:" + self.at("c.bin"),), ("hdf5:" + self.at("c.h5"),),
            ("hdf5:" + self.at("last.h5"), "--orient", "channels-first")))]
        for run in runs[1:]:
            self.assert_same_arrays(os.path.join(run, "trajectory.h5"), os.path.join(runs[0], "trajectory.h5"))

    def test_labels_filter_every_format(self):
        np.save(self.at("x.npy"), self.images)
        np.save(self.at("l.npy"), self.labels)
        some = {"class_filter": 1, "instances": 20, "held_out": 5}
        first = self.run_of("filtered", "idx:%s,%s" % (self.at("x.idx"), self.at("y.idx")), **some)
        second = self.run_of("filtered-npy", "npy:%s,%s" % (self.at("x.npy"), self.at("l.npy")), **some)
        self.assert_same_arrays(os.path.join(first, "trajectory.h5"), os.path.join(second, "trajectory.h5"))

    def test_the_job_says_what_it_read(self):
        write_h5(self.at("said.h5"), X=self.images, labels=self.labels)
        result = whence("train", "--out", self.path("said"), *vae("hdf5:" + self.at("said.h5"), steps=12, hidden="6",
                                                                  latent=1))
        self.assertIn("said.h5: X: 160 rows, labels in labels", result.err)
        self.assertIn("data: 120 instances to train on, 20 held out; each [4, 4], numbers from 0 to 1, "
                      "3 different labels from 0 to 2", result.err)

    def test_moved_files_are_proven_by_their_content(self):
        write_h5(self.at("old.h5"), a=self.images, b=self.labels)
        run = self.run_of("moved", "hdf5:%s:a,b" % self.at("old.h5"))
        os.makedirs(self.at("place"))
        # Copied by a newer program: compressed, under other names, in another byte order.
        with h5py.File(self.at("place/new.h5"), "w") as file:
            file.create_dataset("c", data=self.images, compression="gzip")
            file.create_dataset("d", data=self.labels.astype(">i2"))
        os.remove(self.at("old.h5"))
        score = ("tracin", "--run", run, "--queries", "test:3")
        self.assert_refused(score, "old.h5")
        moved = "hdf5:%s:c," % self.at("place/new.h5")
        self.run_fine(*score, "--data", moved + "d")
        write_h5(self.at("other.h5"), c=self.images[::-1], d=self.labels)
        self.assert_refused((*score, "--overwrite", "--data", "hdf5:%s:c,d" % self.at("other.h5")), "other data")


class RefusalTest(ProgramTest):
    def refused(self, source, *words):
        self.assert_refused(("train", "--out", self.path("never"), *vae(source, instances=10, held_out=2, steps=4)), *words)

    def test_what_cannot_be_instances(self):
        path = self.path("bad.h5")
        images = np.arange(192, dtype=np.uint8).reshape(12, 4, 4)
        write_h5(self.path("outside.h5"), X=images)
        images.tofile(self.path("raw"))
        with h5py.File(path, "w") as file:
            file["whole"] = images
            file["numbers"] = images.astype("<i4")
            file["flat"] = images[:, 0, 0]
            file["yes"] = images > 7
            file["complex"] = images.astype(complex)
            file["nan"] = np.where(images == 100, np.nan, images)
            file["large"] = np.full((12, 4), 1e300)
            file["group/inside"] = images
            file["labels"] = np.arange(11)
            file["real labels"] = np.arange(12.0)
            file["minus"] = np.arange(12) - 3
            file["soft"] = h5py.SoftLink("/whole")
            file["elsewhere"] = h5py.ExternalLink(self.path("outside.h5"), "/")
            file.create_dataset("sparse", shape=(12, 4), dtype="f4", chunks=(3, 4))
            file.create_dataset("external", (12, 4, 4), "u1", external=[(self.path("raw"), 0, 192)])
            layout = h5py.VirtualLayout((12, 4, 4), "u1")
            layout[:] = h5py.VirtualSource(self.path("outside.h5"), "X", (12, 4, 4))
            file.create_virtual_dataset("virtual", layout)
        for name, words in (("numbers", "unsigned bytes"), ("flat", "one axis"), ("yes", "enumeration"),
                            ("complex", "compound"), ("nan", "row 6 holds NaN"), ("group", "not a data set"),
                            ("soft", "link"), ("elsewhere/X", "link"), ("sparse", "not written to its end"),
                            ("external", "is external"), ("virtual", "is virtual"), ("none", "there are: complex"),
                            ("whole,labels", "11 labels for the 12 rows"), ("whole,real labels", "floats"),
                            ("whole,minus", "row 0 has the label -3")):
            self.refused("hdf5:%s:%s" % (path, name), path + ": " + name.split(",")[-1].split("/")[0], words) \
                if name != "none" else self.refused("hdf5:%s:none" % path, path, words)
        self.refused("hdf5:" + path, path, "name the one to use")
        self.refused("hdf5:%s:large" % path, "large", "too large for --dtype float32")

    def test_options_that_have_no_use(self):
        np.save(self.path("x.npy"), np.zeros((20, 6)))
        train = ("train", "--out", self.path("never"), *vae("npy:" + self.path("x.npy"), instances=10, held_out=2, steps=4))
        self.assert_refused((*train, "--orient", "transpose"), "--orient", "no rows and columns")
        self.assert_refused((*train, "--orient", "channels-first"), "--orient", "[h, w, c]")
        self.assert_refused((*train, "--orient", "left"), "--orient", "transpose")
        self.assert_refused((*train, "--class-filter", "1"), "--class-filter", "has no labels")


class DamagedFilesTest(ProgramTest):
    def test_damaged_files_give_the_right_numbers_or_one_sentence(self):
        outcomes = fuzz.run(CASES, seed=1)
        print("\n" + fuzz.table(outcomes))
        broken = [outcome for outcome in outcomes if outcome.complaint is not None]
        self.assertEqual(broken, [], "\n".join(map(str, broken)))
        for name in fuzz.FORMATS:
            refused = sum(outcome.refused for outcome in outcomes if outcome.format == name)
            self.assertGreater(refused, CASES // 4, "hardly any damage of %s was noticed" % name)
            self.assertLess(refused, CASES, "no file of %s was read" % name)


if __name__ == "__main__":
    main()
