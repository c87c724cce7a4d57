"""Folders of pictures and scikit-learn's digits as HDF5 files, against Pillow and scikit-learn, and runs on them."""

import os
import subprocess
import sys
import unittest

import h5py
import numpy as np

from support import SOURCE, WHENCE, ProgramTest, arrays, main, read_bytes, write_bytes
from vae_support import conv_vae, torch_or_skip, vae, write_idx

try:
    from PIL import Image
except ImportError:
    Image = None


@unittest.skipIf(Image is None, "no Pillow (python3-pil)")
class PackTest(ProgramTest):
    def pack(self, *arguments, code=0):
        done = subprocess.run([sys.executable, "-m", "whence.pack", *map(str, arguments)], capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": os.path.join(SOURCE, "tools")})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def picture(self, *names, values, **how):
        path = self.path(*names)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Image.fromarray(values).save(path, **how)
        return values

    def test_pictures_and_labels_are_those_of_the_folder(self):
        draw = np.random.default_rng(0)
        whole = {name: self.picture("a", *name.split("/"), values=draw.integers(0, 256, (8, 8, 3), dtype=np.uint8))
                 for name in ("zebra/1.png", "ant/2.png", "ant/1.bmp", "zebra/deep/0.png")}
        write_bytes(self.path("a", "ant", "notes.txt"), b"not a picture")
        write_bytes(self.path("a", "ant", "cut.png"), read_bytes(self.path("a", "ant", "2.png"))[:60])
        write_bytes(self.path("a", ".DS_Store"), b"\0")
        os.symlink("/nowhere", self.path("a", "zebra", "gone.png"))
        os.mkfifo(self.path("a", "zebra", "pipe.png"))
        said = self.pack(self.path("a"), "--size", 8, "-o", self.path("a.h5"))
        self.assertIn("a.h5: 4 images [3, 8, 8], 2 labels", said)
        self.assertIn("passed over: 4", said)
        for name in ("ant/notes.txt: cannot identify", "ant/cut.png: ", "zebra/gone.png: is not a file", "zebra/pipe.png: is not"):
            self.assertIn(name, said)
        order = ["ant/1.bmp", "ant/2.png", "zebra/1.png", "zebra/deep/0.png"]
        with h5py.File(self.path("a.h5")) as file:
            self.assertEqual([name.decode() for name in file["names"]], order)
            self.assertEqual([name.decode() for name in file["label_names"]], ["ant", "zebra"])
            self.assertEqual(list(file["labels"]), [0, 0, 1, 1])
            np.testing.assert_array_equal(file["X"], [whole[name].transpose(2, 0, 1) for name in order])

    def test_pictures_become_squares_of_the_size(self):
        draw = np.random.default_rng(1)
        wide = self.picture("b", "0.png", values=draw.integers(0, 256, (4, 10), dtype=np.uint8))
        clear = np.zeros((4, 4, 4), dtype=np.uint8)
        clear[:2] = (10, 20, 30, 255)
        self.picture("b", "1.png", values=clear)
        turned = self.picture("b", "2.png", values=draw.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        camera = Image.Exif()
        camera[0x0112] = 3  # upside down
        Image.fromarray(turned).save(self.path("b", "2.png"), exif=camera)
        large = self.picture("b", "3.png", values=np.repeat(np.repeat(np.arange(16, dtype=np.uint8).reshape(4, 4) * 9, 2, 0), 2, 1))
        self.pack(self.path("b"), "--size", 4, "-o", self.path("b.h5"))
        images = arrays(self.path("b.h5"))["X"]
        self.assertNotIn("labels", arrays(self.path("b.h5")))
        np.testing.assert_array_equal(images[0], np.repeat(wide[None, :, 3:7], 3, axis=0))
        np.testing.assert_array_equal(images[1][:, :2], np.broadcast_to(np.reshape([10, 20, 30], (3, 1, 1)), (3, 2, 4)))
        np.testing.assert_array_equal(images[1][:, 2:], 255)
        np.testing.assert_array_equal(images[2], turned[::-1, ::-1].transpose(2, 0, 1))
        self.assertLess(np.abs(images[3][0].astype(int) - large[::2, ::2]).max(), 20)

    def test_many_pictures_go_in_pieces_and_train_as_from_idx(self):
        values = np.random.default_rng(2).integers(0, 256, (300, 4, 4), dtype=np.uint8)
        for number, value in enumerate(values):
            self.picture("c", "%03d.png" % number, values=value)
        self.pack(self.path("c"), "--size", 4, "--grey", "-o", self.path("c.h5"))
        np.testing.assert_array_equal(arrays(self.path("c.h5"))["X"], values)
        write_idx(self.path("c.idx"), values)
        runs = [self.train(name, *vae(data, steps=12, hidden="6,5", latent=2))
                for name, data in (("packed", "hdf5:" + self.path("c.h5")), ("idx", "idx:" + self.path("c.idx")))]
        self.assert_same_arrays(*(os.path.join(run, "trajectory.h5") for run in runs))

    def test_digits_are_scikit_learns(self):
        from sklearn.datasets import load_digits
        self.pack("--digits", "-o", self.path("digits.h5"))
        digits, packed = load_digits(), arrays(self.path("digits.h5"))
        np.testing.assert_array_equal(np.rint(packed["X"] * (16 / 255)), digits.images)
        np.testing.assert_array_equal(packed["labels"], digits.target)
        run = self.train("digits", *vae("hdf5:" + self.path("digits.h5"), steps=12, hidden="6,5", latent=2))
        self.run_fine("tracin", "--run", run, "--queries", "test:3")

    def test_what_cannot_be_packed_ends_in_one_sentence(self):
        self.picture("d", "x", "0.png", values=np.zeros((4, 4), dtype=np.uint8))
        self.picture("d", "1.png", values=np.zeros((4, 4), dtype=np.uint8))
        os.makedirs(self.path("empty"))
        write_bytes(self.path("there.h5"), b"kept")
        for arguments, words in (((self.path("none"), "--size", 4), "no such folder"), ((self.path("empty"), "--size", 4), "no picture"),
                                 ((self.path("d"), "--size", 4), "1.png: lies beside the subfolders"),
                                 ((self.path("d"),), "--size"), ((self.path("d"), "--size", 0), "--size"),
                                 (("--digits", "--size", 9), "--size"), ((), "--digits"), ((self.path("d"), "--digits"), "--digits")):
            said = self.pack(*arguments, "-o", self.path("never.h5"), code=1)
            self.assertIn(words, said)
            self.assertEqual(said.count("\n"), 1, said)
        self.assertIn("--overwrite", self.pack("--digits", "-o", self.path("there.h5"), code=1))
        self.assertEqual(read_bytes(self.path("there.h5")), b"kept")
        self.assertEqual([name for name in os.listdir(self.place) if "never" in name or name.endswith(".part")], [])
        self.pack(self.path("d"), "--size", 4, "--no-labels", "-o", self.path("all.h5"))
        self.assertEqual(arrays(self.path("all.h5"))["X"].shape, (2, 3, 4, 4))


@unittest.skipIf(Image is None, "no Pillow (python3-pil)")
class ReadmeTest(ProgramTest):
    """The lines of tools/README.md, from pictures and checkpoints to a table."""

    def test_the_lines_of_the_readme_run(self):
        torch = torch_or_skip()
        with open(os.path.join(SOURCE, "tools", "README.md"), encoding="utf-8") as file:
            lines = file.read().split("somebody's checkpoints to a table", 1)[1].split("```sh\n", 1)[1].split("```", 1)[0]
        self.assertLessEqual(len(lines.splitlines()), 8)
        draw = np.random.default_rng(0)
        for number in range(12):
            place = self.path("photos", ("cats", "dogs")[number % 2])
            os.makedirs(place, exist_ok=True)
            Image.fromarray(draw.integers(0, 256, (50, 70, 3), dtype=np.uint8)).save(os.path.join(place, "%02d.jpg" % number))
        os.makedirs(self.path("checkpoints"))
        torch.manual_seed(0)
        for epoch in (1, 2):
            state = {"model." + name: tensor for name, tensor in conv_vae(4).state_dict().items()}
            torch.save({"global_step": 100 * epoch, "state_dict": state}, self.path("checkpoints", "epoch=%d-loss=0.35.ckpt" % epoch))
        path = os.pathsep.join([os.path.dirname(os.path.abspath(WHENCE)), os.path.dirname(sys.executable), os.environ["PATH"]])
        done = subprocess.run(["bash", "-e", "-c", lines], cwd=self.place, capture_output=True, text=True,
                              env={**os.environ, "PATH": path, "PYTHONPATH": os.path.join(SOURCE, "tools"), "WHENCE": os.path.abspath(WHENCE)})
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("2 checkpoints, steps 100, 200", done.stdout)
        self.assertIn("mean loss of 8 training instances", done.stdout)
        page = read_bytes(self.path("tracin.html")).decode()
        self.assertIn("self_against_loss", page)
        self.assertIn("foremost", page)


if __name__ == "__main__":
    main()
