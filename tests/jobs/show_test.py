"""whence show: which instances matter most, by every result of a run folder, against orders that NumPy makes of its files."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys

import h5py
import numpy as np
from PIL import Image

from support import ProgramTest, SOURCE, attributes, arrays, main, read_json, tiny, whence
from vae_support import vae, write_idx

HARMFUL_IS_LARGE = {"all": True, "disc-loss": False, "gen-loss": False}


class ShowTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = cls.train("gan", *tiny(), "--test", "40")
        cls.run_fine("influence", "--run", cls.folder, "--metric", "all,disc-loss", "--epochs-back", "1,2", "--kink-width", "0,1e-3")
        cls.run_fine("counterfactual", "--run", cls.folder, "--metric", "all", "--epochs-back", "1,2", "--targets", "40")
        cls.run_fine("cleanse", "--run", cls.folder, "--select", "influence:all,isolation-forest,random", "--remove", "20", "--quiet")

    def shown(self, *options, run=None):
        return json.loads(self.run_fine("show", run or self.folder, *options, "--json").out)

    def estimates(self, metric, k, width):
        file = arrays(os.path.join(self.folder, "influence.h5"))
        names = attributes(os.path.join(self.folder, "influence.h5"))["metrics"].split(",")
        return file["influence"][list(file["kink_width"]).index(width), names.index(metric), list(file["epochs_back"]).index(k)]

    def test_both_ends_are_those_of_the_file(self):
        ids = arrays(os.path.join(self.folder, "trajectory.h5"))["instance_id"]
        truth = arrays(os.path.join(self.folder, "counterfactual.h5"))
        found = self.shown("--kink-width", "every", "--top", "15")["rankings"]
        ours = [one for one in found if one["file"] == "influence.h5"]
        self.assertEqual(len(ours), 2 * 2 * 2)
        for one in ours:
            values = self.estimates(one["of"], one["epochs_back"], one["kink_width"])
            sign = -1 if HARMFUL_IS_LARGE[one["of"]] else 1
            order = np.argsort(sign * values, kind="stable")
            self.assertEqual(one["ends"], ["most harmful", "most helpful"])
            self.assertEqual([row["id"] for row in one["first"]], ids[order[:15]].tolist())
            self.assertEqual([row["id"] for row in one["last"]], ids[np.argsort(-sign * values, kind="stable")[:15]].tolist())
            self.assertEqual([row["value"] for row in one["first"]], values[order[:15]].tolist())
            for row in one["first"] + one["last"]:
                at = np.flatnonzero(truth["target_id"] == row["id"])
                known = one["of"] == "all" and len(at) == 1
                k = list(truth["epochs_back"]).index(one["epochs_back"])
                self.assertEqual(row["truth"], truth["influence"][0, k, at[0]] if known else None)

    def test_reliability_is_that_of_validate_and_decides_the_width(self):
        self.run_fine("validate", "--run", self.folder, "--quiet")
        rows = read_json(os.path.join(self.folder, "validation.json"))["rows"]
        for one in self.shown("--metric", "all")["rankings"]:
            mine = {row["kink_width"]: row for row in rows if row["epochs_back"] == one["epochs_back"]}
            best = max(mine.values(), key=lambda row: row["kendall_tau"])
            self.assertEqual(one["kink_width"], best["kink_width"])
            for name in ("kendall_tau", "kendall_p", "jaccard", "jaccard_chance"):
                self.assertEqual(one["agreement"][name], best[name])
        for one in self.shown("--metric", "disc-loss")["rankings"]:
            self.assertEqual((one["kink_width"], "agreement" in one), (0, False))

    def test_merged_puts_the_truth_where_it_is_known(self):
        one = self.shown("--metric", "all", "--epochs-back", "2", "--merged", "--top", "300")["rankings"][0]
        values = self.estimates("all", 2, one["kink_width"]).copy()
        truth = arrays(os.path.join(self.folder, "counterfactual.h5"))
        values[truth["target_position"]] = truth["influence"][0, 1]
        ids = arrays(os.path.join(self.folder, "trajectory.h5"))["instance_id"]
        self.assertEqual([row["id"] for row in one["first"]], ids[np.argsort(-values, kind="stable")].tolist())
        self.assertEqual({row["id"] for row in one["first"] if row["place_by"] == "truth"}, set(truth["target_id"].tolist()))
        text = self.run_fine("show", self.folder, "--metric", "all", "--epochs-back", "2", "--merged", "--top", "300").out
        self.assertEqual((text.count("  true     "), text.count("  estimated")), (2 * 40, 2 * 260))

    def test_csv_has_the_same_rows(self):
        rows = list(csv.DictReader(io.StringIO(self.run_fine("show", self.folder, "--csv", "--top", "4").out)))
        expected = [(one["file"], one["of"], row["rank"], row["id"], row["value"]) for one in self.shown("--top", "4")["rankings"]
                    for row in one["first"] + one["last"]]
        self.assertEqual([(row["file"], row["of"], int(row["rank"]), int(row["id"]), float(row["value"])) for row in rows], expected)

    def test_one_instance(self):
        ids = arrays(os.path.join(self.folder, "trajectory.h5"))["instance_id"]
        batches = arrays(os.path.join(self.folder, "trajectory.h5"))["batch"]
        target = arrays(os.path.join(self.folder, "counterfactual.h5"))["target_position"][3]
        found = self.shown("--instance", str(ids[target]))
        self.assertEqual((found["position"], found["mini_batches"]), (target, (batches == target).any(1).sum()))
        one = next(r for r in found["rankings"] if r["of"] == "all" and r["epochs_back"] == 1)
        values = self.estimates("all", 1, one["kink_width"])
        self.assertEqual(one["value"], values[target])
        self.assertEqual(one["place"], 1 + np.flatnonzero(np.argsort(-values, kind="stable") == target)[0])
        self.assertIsNotNone(one["truth"])
        self.assertIn("selection isolation-forest", [r["of"] for r in found["rankings"]])
        text = self.run_fine("show", self.folder, "--instance", str(ids[target])).out
        self.assertIn("instance %d: position %d" % (ids[target], target), text)
        self.assert_refused(["show", self.folder, "--instance", "999999"], "--instance: 999999 is not the id")
        self.assert_refused(["show", self.folder, "--instance", "1e3"], "--instance: '1e3' is not a whole number")

    def test_jobs_end_with_the_first_three_and_the_command(self):
        copy = self.copy_of(self.folder, "again")
        os.remove(os.path.join(copy, "influence.h5"))
        for ranks in (1, 2):
            done = whence("influence", "--run", copy, "--metric", "all", "--overwrite", ranks=ranks)
            self.assertEqual(done.code, 0, str(done))
            first = [row["id"] for row in self.shown("--metric", "all", "--top", "3", run=copy)["rankings"][0]["first"]]
            self.assertRegex(done.err, r"most harmful %d \(\S+\), %d \(\S+\), %d \(\S+\); most helpful" % tuple(first))
            self.assertEqual(done.err.count("whence show %s lists more" % copy), 1)
        quiet = whence("influence", "--run", copy, "--metric", "all", "--overwrite", "--quiet")
        self.assertEqual(quiet.err, "")

    def test_what_was_replaced_is_left_out_or_said_to_be_stale(self):
        copy = self.copy_of(self.folder, "replaced")
        now = os.stat(os.path.join(copy, "cleansing.h5"))
        self.run_fine("influence", "--run", copy, "--metric", "all,disc-loss", "--epochs-back", "1,2", "--kink-width", "1e-2", "--crossings", "off", "--overwrite")
        os.utime(os.path.join(copy, "influence.h5"), (now.st_atime - 1000, now.st_mtime - 1000))  # times say nothing
        notes = {one["of"]: one["note"] for one in self.shown(run=copy)["rankings"] if one["file"] == "cleansing.h5"}
        self.assertTrue(notes["selection influence:all"].startswith("stale: made of another influence.h5"), notes)
        self.assertNotIn("stale", notes["selection isolation-forest"])
        fresh = {one["of"]: one["note"] for one in self.shown()["rankings"] if one["file"] == "cleansing.h5"}
        self.assertNotIn("stale", fresh["selection influence:all"])
        self.assertIn("test all", fresh["selection influence:all"])

        other = self.train("other", *tiny(seed=1))
        self.run_fine("influence", "--run", other, "--metric", "all")
        shutil.copy(os.path.join(other, "influence.h5"), copy)
        found = self.shown(run=copy)
        self.assertNotIn("influence.h5", {one["file"] for one in found["rankings"]})
        self.assertTrue(any("another run than the trajectory" in note for note in found["notes"]), found["notes"])

    def test_validation_and_table_know_what_they_are_of(self):
        copy = self.copy_of(self.folder, "known")
        self.run_fine("validate", "--run", copy, "--quiet")
        self.run_fine("cleanse-table", "--run", copy, "--quiet")
        code = ("import sys, whence; run = whence.open(sys.argv[1]);"
                "print(repr(run.stale('validation.json')), repr(run.stale('cleansing.json')), repr(run.stale('cleansing.h5')))")
        python = lambda: subprocess.run([sys.executable, "-c", code, copy], capture_output=True, text=True, check=True,
                                        env={**os.environ, "PYTHONPATH": os.path.join(SOURCE, "tools")}).stdout.strip()
        self.assertEqual(python(), "'' '' ''")
        self.run_fine("influence", "--run", copy, "--metric", "all", "--epochs-back", "1,2", "--kink-width", "1e-2", "--crossings", "off", "--overwrite")
        with h5py.File(os.path.join(copy, "cleansing.h5"), "r+") as file:
            file["value"].attrs["crc32"] = np.uint32(7)
        self.assertIn("influence.h5 was replaced", python())
        self.assertIn("'cleansing.h5 was replaced", python())
        self.assertIn("another influence.h5", python())

    def test_what_is_refused(self):
        for options, words in ((("--top", "0"), "--top is 0"), (("--query", "x"), "--query: 'x'"),
                               (("--csv", "--json"), "--csv"), (("--metric", "fid"), "no result is of this --metric"),
                               (("--kink-width", "5"), "no result is of this"),
                               (("--pictures", self.path("no.png")), "not images")):
            self.assert_refused(["show", self.folder, *options], words)
        self.assertFalse(os.path.exists(self.path("no.png")))
        bare = self.train("bare", *tiny())
        self.assert_refused(["show", bare], "whence influence --run")
        self.assert_refused(["show", self.path("absent")], "no such run folder")
        self.assertEqual(whence("show", self.folder, "--quiet").out, "")
        self.assertIn("influence.h5", whence("show", self.folder, "--dry-run").out)


class ShowScoresTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        draw = np.random.default_rng(1)
        cls.images = draw.integers(0, 256, (160, 6, 6))
        write_idx(os.path.join(cls.place, "images"), cls.images)
        cls.folder = cls.train("vae", *vae("idx:" + os.path.join(cls.place, "images")))
        cls.run_fine("tracin", "--run", cls.folder, "--queries", "test:5", "--quiet")
        cls.run_fine("tracin", "--run", cls.folder, "--queries", "self", "--name", "self", "--quiet")

    def shown(self, *options, run=None):
        return json.loads(self.run_fine("show", run or self.folder, *options, "--json").out)

    def test_queries_and_self_influence(self):
        file = arrays(os.path.join(self.folder, "tracin.h5"))
        for options, queries in ((("--query", "0"), [0]), (("--query", "4,1"), [1, 4]), (("--query", "all"), range(5))):
            found = self.shown("--top", "7", *options)
            ours = [one for one in found["rankings"] if one["file"] == "tracin.h5"]
            self.assertEqual([one["of"] for one in ours], ["loss of held-out instance %d" % file["query_id"][q] for q in queries])
            for one, q in zip(ours, queries):
                self.assertEqual([row["id"] for row in one["last"]], file["instance_id"][file["top"][q][:7]].tolist())
                self.assertEqual([row["id"] for row in one["first"]], file["instance_id"][file["bottom"][q][:7]].tolist())
        own = arrays(os.path.join(self.folder, "tracin-self.h5"))
        one = next(one for one in self.shown("--top", "7")["rankings"] if one["file"] == "tracin-self.h5")
        self.assertEqual([row["value"] for row in one["first"]], own["self_influence"][own["top"][0, :7]].tolist())

    def test_a_damaged_file_is_named_and_costs_itself_alone(self):
        copy = self.copy_of(self.folder, "damaged")
        with h5py.File(os.path.join(copy, "tracin.h5"), "r+") as file:
            file["score"][2, 3] += 1
        found = self.shown(run=copy)
        self.assertEqual({one["file"] for one in found["rankings"]}, {"tracin-self.h5"})
        self.assertTrue(any("score does not match its checksum" in note for note in found["notes"]), found["notes"])

    def test_without_its_data_labels_alone_are_missing(self):
        copy = self.copy_of(self.folder, "moved")
        os.rename(self.path("images"), self.path("elsewhere"))
        self.addCleanup(os.rename, self.path("elsewhere"), self.path("images"))
        found = self.shown(run=copy)
        self.assertTrue(any("labels are not known" in note for note in found["notes"]), found["notes"])
        self.assertEqual(len(found["rankings"]), 2)

    def test_pictures_are_the_instances(self):
        png = self.path("shown.png")
        found = self.shown("--top", "3", "--pictures", png)["rankings"]
        picture = np.asarray(Image.open(png))
        scale = -(-56 // 6)
        side, caption, gap = 6 * scale, 14, 4
        self.assertEqual(picture.shape, (2 * len(found) * (side + caption + gap) + gap, 3 * (side + gap) + gap, 3))
        rows = [row for one in found for row in (one["first"], one["last"])]
        low, high = self.images.min(), self.images.max()
        for line, row in enumerate(rows):
            for column, entry in enumerate(row):
                y, x = gap + line * (side + caption + gap) + caption, gap + column * (side + gap)
                seen = picture[y:y + side:scale, x:x + side:scale]
                wanted = np.round(255 * (self.images[entry["id"]] - low) / (high - low))
                self.assertLessEqual(np.abs(seen - wanted[:, :, None]).max(), 1)


class ShowDensityTest(ProgramTest):
    def test_densities_need_no_run(self):
        folder = self.path("clusters")
        done = whence("density", "--out", folder, "--estimator", "knn,kde")
        self.assertEqual(done.code, 0, str(done))
        file = arrays(os.path.join(folder, "density.h5"))
        found = json.loads(self.run_fine("show", folder, "--json", "--top", "5", "--query", "3").out)
        self.assertEqual([one["of"] for one in found["rankings"]],
                         ["knn: loss of instance 3", "knn: self-influence", "kde: loss of instance 3", "kde: self-influence"])
        for one, values in zip(found["rankings"][::2], file["influence_exact"][:, 3]):
            self.assertEqual([row["value"] for row in one["last"]], np.sort(values)[::-1][:5].tolist())
            self.assertTrue(all(row["label"] == file["cluster"][row["id"]] for row in one["last"]))
        self.assertIn("whence show %s lists more" % folder, done.err)
        one = self.run_fine("show", folder, "--instance", "3").out
        self.assertIn("kde: self-influence", one)


if __name__ == "__main__":
    main()
