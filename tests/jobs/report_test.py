"""tools/report.py: what it finds in run folders, and that one damaged file does not cost the page."""

import os

import h5py
import numpy as np

from support import ProgramTest, main, read_bytes, tiny, write_bytes
from vae_support import vae, write_idx

DENSITY = "Figure 3b: generated distribution"


class ReportTest(ProgramTest):
    def cleansed(self, name, samples):
        folder = self.train(name, *tiny(), "--test", "40")
        self.run_fine("cleanse", "--run", folder, "--select", "random", "--remove", "20", "--samples", samples, "--quiet")
        return folder

    def assert_no_density(self, folder, *words):
        page, told = self.report(folder)
        self.assertEqual(told.count("\n"), 1, told)
        for word in ("no '%s'" % DENSITY, "have no density in the plane", *words):
            self.assertIn(word, told)
        self.assertIn("Figure 2: test metrics after removal", page)
        self.assertNotIn("<h3>" + DENSITY, page)

    def test_generated_points_without_a_density_are_said(self):
        self.assert_no_density(self.cleansed("one-sample", "1"), "without removal", "they are 1,")

    def test_a_collapsed_or_diverged_generator_has_no_density(self):
        folder = self.cleansed("collapsed", "30")
        self.assertIn("<h3>" + DENSITY, self.report(folder)[0])
        for value in (0.5, np.nan):
            with h5py.File(os.path.join(folder, "cleansing.h5"), "r+") as file:
                file["generated"][...] = value
            self.assert_no_density(folder, "after removal by random", "they are 30,")

    def test_every_tracin_file_is_shown_and_a_cut_one_named(self):
        draw = np.random.default_rng(1)
        write_idx(self.path("images"), draw.integers(0, 256, (160, 6, 6)))
        folder = self.train("vae", *vae("idx:" + self.path("images")))
        for name, queries in (("some", "test:5"), ("own", "train:5"), ("cut", "self")):
            self.run_fine("tracin", "--run", folder, "--queries", queries, "--name", name, "--quiet")
        cut = os.path.join(folder, "tracin-cut.h5")
        write_bytes(cut, read_bytes(cut)[:5000])
        page, told = self.report(folder)
        for words in ("tracin-some.h5</td><td>", "TracIn: vae/tracin-some.h5", "TracIn: vae/tracin-own.h5", "self_top5"):
            self.assertIn(words, page)
        self.assertNotIn("tracin.h5", page)
        self.assertEqual(told.count("\n"), 1, told)
        self.assertIn("no 'vae/tracin-cut.h5': OSError", told)
        self.assertIn("vae/tracin-cut.h5</td>", page[page.index("<h2>Missing"):])

    def test_a_damaged_file_costs_its_own_chapter(self):
        folder = self.cleansed("damaged", "30")
        write_bytes(os.path.join(folder, "density.h5"), b"no HDF5")
        write_bytes(os.path.join(folder, "validation.json"), b"{}")
        page, told = self.report(folder)
        self.assertIn("<h3>" + DENSITY, page)
        self.assertIn("density.h5 cannot be read", told)
        self.assertIn("no 'Figure 1: Kendall's tau and Jaccard index by k': KeyError", told)


if __name__ == "__main__":
    main()
