"""--dry-run: what it says of memory and disk against what the job then takes, for every job at two sizes."""

import os
import re

import h5py

from support import ProgramTest, main, read_json, tiny, whence
from vae_support import np, vae, write_idx

UNITS = {"B": 1, "KiB": 2 ** 10, "MiB": 2 ** 20, "GiB": 2 ** 30}


def bytes_in(text, label):
    number, unit = re.search(r"%s: +(?:about )?([\d.]+) (B|[KMG]iB)" % label, text).groups()
    return float(number) * UNITS[unit]


def files_in(folder):
    return {name: os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder)} if os.path.isdir(folder) else {}


class DryRunTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        small = tiny(test=40)
        middle = tiny(instances=8000, batch=400, epochs=2, held_out=200, test=200, generator_hidden="300,300",
                      discriminator_hidden="300,300", record="every:3")
        pixels = np.random.default_rng(0).integers(0, 256, size=(1500, 16, 16))
        images = os.path.join(cls.place, "images")
        write_idx(images, pixels)
        cls.runs = {"small": small, "middle": middle}
        cls.vaes = {"small": vae("idx:" + images),
                    "middle": vae("idx:" + images, instances=1000, held_out=300, hidden="256,128", latent=16, checkpoints=2)}

    def check(self, size, folder, *command, ranks=1):
        """Says what the job needs, runs it, compares."""
        before = files_in(folder)
        said = whence(*command, "--dry-run", ranks=ranks)
        self.assertEqual(said.code, 0, str(said))
        self.assertEqual(files_in(folder), before, "--dry-run changes nothing")
        self.assertRegex(said.out, r"%s: .*\n  memory: .*\n  disk: .*\n  time: +about [\d.]+ .* on %d rank" % (command[0], ranks))
        # What ranks sum at each step of a job that shares its mini-batches, for as many numbers as there are parameters.
        shares = ranks > 1 and command[0] in ("train", "influence")
        self.assertEqual("traffic:" in said.out, shares, said.out)
        self.run_fine(*command, ranks=ranks)
        if shares:
            with h5py.File(folder + "/trajectory.h5") as file:
                numbers = file["params"]
                self.assertGreaterEqual(bytes_in(said.out, "traffic") * 1.01, numbers.shape[1] * numbers.dtype.itemsize)
        cost = read_json(os.path.join(folder, "summary.json"))[command[0]]
        peak = cost["peak_bytes_a_rank"]
        (of_units,) = (value for name, value in cost.items() if name.endswith("_seconds"))
        self.assertTrue(0 < of_units < cost["seconds"], "the rate counts the work alone: %s" % cost)
        ratio = bytes_in(said.out, "memory") / peak
        with self.subTest(size=size, job=command[0], ranks=ranks):
            self.assertLess(max(ratio, 1 / ratio), 1.5, "said %.2f times the peak of %d: %s" % (ratio, peak, said.out))
            written = sum(after - before.get(name, 0) for name, after in files_in(folder).items() if name.endswith(".h5"))
            self.assertGreaterEqual(bytes_in(said.out, "disk") * 1.05 + 65536, written, said.out)

    def check_chain(self, size, more, ranks):
        folder = self.path(size)
        of_run = ("--run", folder, "--metric", "disc-loss")
        self.check(size, folder, "train", "--out", folder, *self.runs[size], ranks=ranks)
        self.check(size, folder, "influence", *of_run, "--epochs-back", "1,2", ranks=ranks)
        self.check(size, folder, "counterfactual", *of_run, "--targets", "12", "--replicas", more, ranks=ranks)
        self.check(size, folder, "cleanse", *of_run, "--select", "influence:disc-loss,random", "--remove", "5,20", ranks=ranks)

    def test_small_runs(self):
        self.check_chain("small", "4", 2)

    def test_middle_runs(self):
        self.check_chain("middle", "12", 1)

    def test_vaes(self):
        for size, options in self.vaes.items():
            folder = self.path("vae-" + size)
            self.check(size, folder, "train", "--out", folder, *options)
            self.check(size, folder, "tracin", "--run", folder, "--queries", "test:20", "--memory", "200")

    def test_densities(self):
        write_idx(self.path("thin"), np.random.default_rng(0).integers(0, 256, size=(9100, 2, 2)))
        for size, options in {"small": (), "middle": ("--data", "normal2d", "--instances", "6000", "--queries", "400",
                                                       "--estimator", "knn,kde"),
                              "few queries": ("--data", "idx:" + self.path("thin"), "--instances", "9000", "--queries", "2",
                                              "--estimator", "knn,kde")}.items():
            folder = self.path("density-" + size)
            self.check(size, folder, "density", "--out", folder, *options, ranks=1 if size == "small" else 2)

    def test_rates_leave_out_what_metrics_take(self):
        """A metric on so many points takes much longer than these few steps."""
        folder = self.train("metrics", *tiny(instances=60, held_out=3000, test=3000, epochs=2))
        self.run_fine("influence", "--run", folder)
        self.run_fine("counterfactual", "--run", folder, "--targets", "8")
        self.run_fine("cleanse", "--run", folder, "--select", "random", "--remove", "2,3,4,5")
        for job in ("counterfactual", "cleanse"):
            cost = read_json(os.path.join(folder, "summary.json"))[job]
            self.assertLess(cost["replica_steps_seconds"], cost["seconds"] / 2, str(cost))
            self.assertAlmostEqual(cost["replica_steps_per_second"] * cost["replica_steps_seconds"], cost["replica_steps"])

    def test_what_does_not_fit_is_said_with_the_way_out(self):
        said = whence("train", "--out", self.path("huge"), *tiny(epochs=500000, generator_hidden="300,300"), "--record", "all", "--dry-run", timeout=120)
        self.assertIn("The disk has not got the room; --record auto, last:EPOCHS", said.out)
        self.assertRegex(said.out, r"disk: +[\d.]+ (GiB|TiB|PiB)")
        self.assertFalse(os.path.exists(self.path("huge")))
        said = whence("train", "--out", self.path("huge"), *tiny(epochs=5000, generator_hidden="600,600"), "--dry-run", timeout=120)
        self.assertIn("(--record checkpoints:274)", said.out)  # sqrt(75,000) = 273.9


if __name__ == "__main__":
    main()
