"""tools/report.py: what it finds in run folders, and that one damaged file does not cost the page."""

import os
import re
import shutil
import subprocess

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
        self.assertEqual(told.count("\n"), 1, told)
        self.assertIn("no 'vae/tracin-cut.h5': OSError", told)
        self.assertIn("vae/tracin-cut.h5</td>", page[page.index("<h2>Not drawn"):])

    def test_a_damaged_file_costs_its_own_chapter(self):
        folder = self.cleansed("damaged", "30")
        write_bytes(os.path.join(folder, "density.h5"), b"no HDF5")
        write_bytes(os.path.join(folder, "validation.json"), b"{}")
        page, told = self.report(folder)
        self.assertIn("<h3>" + DENSITY, page)
        self.assertIn("density.h5 cannot be read", told)
        self.assertIn("no 'Figure 1: Kendall's tau and Jaccard index by k': KeyError", told)

    def whole(self, name, *options):
        folder = self.train(name, *tiny(), "--test", "40", *options)
        self.run_fine("influence", "--run", folder, "--metric", "all", "--epochs-back", "1,2", "--kink-width", "0,1e-3")
        self.run_fine("counterfactual", "--run", folder, "--metric", "all", "--epochs-back", "1,2", "--targets", "30")
        self.run_fine("cleanse", "--run", folder, "--select", "influence:all,random", "--remove", "20,100", "--quiet")
        self.run_fine("validate", "--run", folder, "--quiet")
        self.run_fine("cleanse-table", "--run", folder, "--quiet")
        return folder

    def test_a_whole_folder_on_one_page(self):
        both = self.path("seeds")
        os.makedirs(both)
        folders = [self.whole("seeds/seed%d" % seed, "--seed", str(seed)) for seed in (0, 1)]
        runs = [word for folder in folders for word in ("--run", folder)]
        self.run_fine("validate", *runs, "--quiet")
        page, told = self.report(both)
        self.assertEqual(told, "")
        self.assertLess(len(page), 3e6)
        for words in ("http", "url(\"", "@import", "<script", "<link"):
            self.assertNotIn(words, page, "nothing lies elsewhere")
        self.assertEqual(page.count("<article"), 3)
        self.assertLess(page.index("Truth and estimate"), page.index("The most harmful and most helpful instances"))
        first = page[page.index('<article id="part2"'):page.index('<article id="part3"')]
        for words in ("fcgan on normal2d", "<dt>seed</dt><dd>0</dd>", "positive: removing j raises V", "k = 1, 2 epochs back",
                      "kink width 0, 0.001", "y = x", ">tau ", ">Jaccard ", "true influence (1e-", "most harmful: without one",
                      "While it trained", "paper, ALL", "n_h, instances removed"):
            self.assertTrue(words in first, words)
        self.assertIn("mean and standard deviation of 2 runs", page[:page.index('<article id="part2"')])
        self.assertNotIn("class=\"stale\"", page)
        self.assertNotIn("t-test", page, "two runs have none")
        for word in re.findall("aria-label=\"([^\"]*)\"", page):
            self.assertTrue(word)

    def test_what_was_overtaken_is_marked_or_drawn_anew(self):
        folder = self.whole("overtaken")
        old = read_bytes(os.path.join(folder, "cleansing.json"))
        self.run_fine("cleanse", "--run", folder, "--select", "influence:all,random", "--remove", "30", "--overwrite", "--quiet")
        write_bytes(os.path.join(folder, "cleansing.json"), old)  # younger than what it is not of
        page, _ = self.report(folder)
        self.assertIn("cleansing.json is stale (cleansing.h5 was replaced since it was made of it); drawn from cleansing.h5", page)
        self.assertIn("<th>n_h removed</th><th>30</th></tr>", page)
        self.assertNotIn("<th>100</th>", page)

        self.run_fine("influence", "--run", folder, "--metric", "all", "--epochs-back", "1,2", "--kink-width", "1e-2", "--crossings", "off", "--overwrite")
        page, _ = self.report(folder)
        self.assertIn("validation.json is stale (influence.h5 was replaced since it was made of it), so it is not drawn", page)
        self.assertIn("Stale: cleansing.h5: selection influence:all was made of another influence.h5", page)
        self.assertTrue(">tau " in page, "that of the files themselves")
        self.assertFalse(">Jaccard " in page, "nothing but validate knows it")
        self.run_fine("validate", "--run", folder, "--quiet")
        page, _ = self.report(folder)
        self.assertNotIn("validation.json is stale", page)

    def test_no_page_is_wider_than_a_telephone(self):
        browser = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome"))), None)
        if browser is None:
            self.skipTest("no Chromium")
        page = self.report(self.whole("narrow"))[0]
        for width in (390, 1200):
            write_bytes(self.path("asked.html"), page.replace("</body>", "<script>document.title = document.documentElement."
                                                              "scrollWidth <= innerWidth ? 'fits' : 'wide'</script></body>").encode())
            done = subprocess.run([browser, "--no-sandbox", "--disable-gpu", "--window-size=%d,900" % width, "--dump-dom",
                                   "file://" + self.path("asked.html")], capture_output=True, text=True, timeout=100)
            self.assertIn("<title>fits</title>", done.stdout, done.stderr[-500:])

    def test_hints_are_of_what_could_be_made(self):
        folder = self.train("bare", *tiny())
        page, told = self.report(folder)
        self.assertEqual(told, "")
        self.assertIn("whence influence --run %s" % folder, page)
        for words in ("whence counterfactual", "density.h5", "tracin.h5", "Not drawn"):
            self.assertNotIn(words, page)


if __name__ == "__main__":
    main()
