"""whence.open: run folders in Python, with pandas and without it, against what the files hold."""

import json
import os
import subprocess
import sys

import numpy as np

from support import ProgramTest, SOURCE, arrays, attributes, main, read_json, tiny
from vae_support import vae, write_idx

TOOLS = os.path.join(SOURCE, "tools")
sys.path.insert(0, TOOLS)
import whence as package  # noqa: E402
from whence import tables  # noqa: E402


def names(rows):
    return list(rows.columns) if hasattr(rows, "columns") else list(rows.dtype.names)


class OpenTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = cls.train("gan", *tiny())
        cls.run_fine("influence", "--run", cls.folder, "--metric", "all,disc-loss", "--epochs-back", "1,2", "--kink-width", "0,1e-3")
        cls.run_fine("counterfactual", "--run", cls.folder, "--metric", "all", "--epochs-back", "1,2", "--targets", "40")
        cls.run_fine("validate", "--run", cls.folder, "--quiet")

    def setUp(self):
        self.run_ = package.open(self.folder)
        self.file = lambda name: arrays(os.path.join(self.folder, name))

    def both(self):
        """With pandas where it is installed, and as if it were not."""
        kept = tables.pandas
        self.addCleanup(setattr, tables, "pandas", kept)
        for library in (kept, None) if kept else (None,):
            tables.pandas = library
            yield library

    def test_influence_and_truth(self):
        estimates, truth = self.file("influence.h5"), self.file("counterfactual.h5")
        for _ in self.both():
            for m, metric in enumerate(("all", "disc-loss")):
                for j, k in enumerate((1, 2)):
                    for h, width in enumerate((0, 1e-3)):
                        rows = self.run_.influence(metric, k=k, kink_width=width)
                        self.assertEqual(names(rows), ["id", "position", "influence"])
                        np.testing.assert_array_equal(rows["influence"], estimates["influence"][h, m, j])
                        np.testing.assert_array_equal(rows["id"], estimates["instance_id"])
            rows = self.run_.truth("all", 2)
            np.testing.assert_array_equal(rows["influence"], truth["influence"][0, 1])
            np.testing.assert_array_equal(rows["id"], truth["target_id"])
            every = self.run_.truth()
            self.assertEqual((len(every), set(every["metric"]), set(every["k"])), (80, {"all"}, {1, 2}))
            np.testing.assert_array_equal(every["baseline"], truth["baseline"].ravel())
        for wrong in (dict(metric="fid"), dict(k=3), dict(kink_width=5)):
            self.assertRaises(KeyError, self.run_.influence, **wrong)

    def test_top_is_what_show_says(self):
        for metric in ("all", "disc-loss"):
            shown = json.loads(self.run_fine("show", self.folder, "--metric", metric, "--top", "8", "--json").out)["rankings"]
            for one in shown:
                for end, rows in (("harmful", one["first"]), ("helpful", one["last"])):
                    for _ in self.both():
                        ours = self.run_.top(metric, one["epochs_back"], 8, end)
                        self.assertEqual(np.asarray(ours["influence"]).tolist(), [row["value"] for row in rows])
                        self.assertEqual(np.asarray(ours["id"]).tolist(), [row["id"] for row in rows])
                        self.assertEqual([None if np.isnan(x) else x for x in ours["truth"]], [row["truth"] for row in rows])
        self.assertRaises(ValueError, self.run_.top, "all", 1, 5, "worst")

    def test_validation_theta_history_settings(self):
        trajectory = self.file("trajectory.h5")
        rows = read_json(os.path.join(self.folder, "validation.json"))["rows"]
        for _ in self.both():
            found = self.run_.validation
            self.assertEqual(list(found["kendall_tau"]), [row["kendall_tau"] for row in rows])
            self.assertEqual(list(found["metric"]), [row["metric"] for row in rows])
            history = self.run_.history()
            np.testing.assert_array_equal(history["step"], [0, 15, 30, 45])
            np.testing.assert_array_equal(history["epoch"], [0, 1, 2, 3])
            np.testing.assert_array_equal(history["loss.generator"], self.file("history.h5")["value"][:, 0])
        np.testing.assert_array_equal(self.run_.theta(), trajectory["params"][-1])
        np.testing.assert_array_equal(self.run_.theta(7), trajectory["params"][7])
        tensors = self.run_.tensors(7)
        np.testing.assert_array_equal(np.concatenate([one.ravel() for one in tensors.values()]), trajectory["params"][7])
        self.assertRaises(package.Missing, self.run_.theta, 46)
        self.assertEqual((self.run_.settings["batch"], self.run_.metrics, self.run_.epochs_back), ("20", ["all", "disc-loss"], [1, 2]))
        self.assertEqual(self.run_.fingerprint, attributes(os.path.join(self.folder, "influence.h5"))["run"])

    def test_what_is_not_there_is_named(self):
        for wanted in (lambda: package.open(self.path("absent")), lambda: self.run_.tracin("self"),
                       lambda: package.open(self.place).settings):
            self.assertRaises(package.Missing, wanted)

    def test_states_of_optimisers_are_theta(self):
        folder = self.train("adam", *tiny(epochs=1), "--optimiser", "adam")
        run = package.open(folder)
        state = arrays(os.path.join(folder, "trajectory.h5"))["params"][-1]
        np.testing.assert_array_equal(run.theta(), state[:len(state) // 3])

    def test_tracin_labels_and_images(self):
        images = np.random.default_rng(1).integers(0, 256, (160, 6, 6))
        write_idx(self.path("images"), images)
        write_idx(self.path("labels"), np.arange(160) % 7)
        folder = self.train("vae", *vae("idx:%s,%s" % (self.path("images"), self.path("labels"))))
        for name, queries in (("", "test:5"), ("self", "self")):
            self.run_fine("tracin", "--run", folder, "--queries", queries, "--quiet", *(("--name", name) if name else ()))
        run = package.open(folder)
        file = arrays(os.path.join(folder, "tracin.h5"))
        np.testing.assert_array_equal(run.labels, run.ids % 7)
        np.testing.assert_array_equal(run.labels, file["label"])
        for _ in self.both():
            queries, scores = run.tracin()
            np.testing.assert_array_equal(scores[2], file["score"][2])
            np.testing.assert_array_equal(queries["id"], file["query_id"])
            own = run.tracin("self")
            self.assertEqual(names(own), ["id", "position", "label", "self_influence"])
            np.testing.assert_array_equal(own["self_influence"], arrays(os.path.join(folder, "tracin-self.h5"))["self_influence"])
        chosen = images[[5, 3]].astype(float)
        np.testing.assert_allclose(run.images([5, 3]), (chosen - chosen.min()) / (chosen.max() - chosen.min()))

    def test_every_answer_says_what_it_is(self):
        for name in ("influence", "truth", "top", "theta", "tracin", "history", "images", "stale", "tensors"):
            self.assertTrue(getattr(type(self.run_), name).__doc__, name)
        self.assertIn("removing j raises V", sys.modules["whence.runs"].__doc__)

    def test_importing_it_loads_neither_pandas_nor_pytorch(self):
        code = "import sys, whence; sys.exit('torch' in sys.modules or 'h5py' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": TOOLS})
        self.assertEqual(done.returncode, 0)


if __name__ == "__main__":
    main()
