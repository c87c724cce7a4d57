"""whence train --from: parameters of another run, and what later jobs make of a run that started from them."""

import collections
import json
import os

import h5py
import numpy as np

from import_support import import_checkpoints
from support import ProgramTest, arrays, attributes, crc, main, tiny
from vae_support import torch_or_skip


class FromTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.first = cls.train("first", *tiny(epochs=2))
        cls.steps = len(arrays(cls.first + "/trajectory.h5")["params"]) - 1

    def start(self, run):
        return arrays(run + "/trajectory.h5")["params"][0]

    def test_training_on_is_training_from_the_end(self):
        recorded = arrays(self.first + "/trajectory.h5")["params"]
        np.testing.assert_array_equal(self.start(self.train("on", *tiny(epochs=2), "--from", self.first)), recorded[-1])
        middle = self.train("middle", *tiny(epochs=1), "--from", "%s:%d" % (self.first, self.steps // 2))
        np.testing.assert_array_equal(self.start(middle), recorded[self.steps // 2])
        # The same data, order and noise as without --from; only the start is another.
        fresh = self.train("fresh", *tiny(epochs=1))
        np.testing.assert_array_equal(*(arrays(run + "/trajectory.h5")["batch"] for run in (middle, fresh)))
        self.assertIn("from = %s:%d" % (self.first, self.steps // 2), attributes(middle + "/trajectory.h5")["settings"])

    def test_later_jobs_need_the_start_no_more(self):
        place = self.copy_of(self.first, "gone")
        run = self.train("tuned", *tiny(epochs=2), "--from", place)
        again = ("train", "--out", run, *tiny(epochs=2), "--from", place)
        self.run_fine(*again)
        os.rename(place, self.path("elsewhere"))
        chain = ("--metric", "all", "--epochs-back", "1,2")
        self.run_fine("influence", "--run", run, *chain)
        self.run_fine("counterfactual", "--run", run, *chain, "--targets", 20)
        self.run_fine("validate", "--run", run, "--critical", 3)
        self.run_fine("verify", run)
        with open(run + "/validation.json") as file:
            rows = json.load(file)["rows"]
        self.assertGreater(min(row["kendall_tau"] for row in rows), 0.5)
        self.assert_refused(again, "--from", "no such run folder")

    def test_one_run_has_one_start(self):
        place = self.copy_of(self.first, "changing")
        run = self.train("bound", *tiny(epochs=1), "--from", place)
        self.assert_refused(["train", "--out", run, *tiny(epochs=1)], "from", folder=run)
        # Other parameters in the place of those that an interrupted run began with.
        os.rename(run + "/trajectory.h5", run + "/trajectory.h5.part")
        with h5py.File(place + "/trajectory.h5", "r+") as file:
            row = file["params"][-1] + 1
            file["params"][-1] = row
            file["params_crc"][-1] = crc(row)
        self.assert_refused(["train", "--out", run, *tiny(epochs=1), "--from", place], "from", "crc32")

    def test_pytorch_checkpoints_are_a_start_by_way_of_an_import(self):
        torch = torch_or_skip()
        theta = np.random.default_rng(0).normal(size=self.start(self.first).shape)
        state = {}
        for entry in reversed(json.loads(attributes(self.first + "/trajectory.h5")["layout"])):
            size = int(np.prod(entry["shape"]))
            values = theta[entry["offset"]:entry["offset"] + size].reshape(entry["shape"])
            state["module." + entry["name"]] = torch.tensor(values)
        os.makedirs(self.path("checkpoints"))
        torch.save({"model": collections.OrderedDict(state)}, self.path("checkpoints", "gan_step30.pt"))
        done = import_checkpoints(self.path("checkpoints"), self.path("imported"), "--instances", "300", "--held-out", "50",
                                  "--batch", "20", "--generator-hidden", "8", "--discriminator-hidden", "8")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("mean loss of 100 training instances", done.stdout)
        np.testing.assert_array_equal(self.start(self.train("on-imported", *tiny(epochs=1), "--from", self.path("imported"))), theta)

    def test_the_model_of_an_averaged_run_is_its_average(self):
        """What metrics of the run look at, also of a recorded step, and behind an optimiser's own numbers."""
        run = self.train("averaged", *tiny(epochs=2), "--average", 0.9, "--optimiser", "adam")
        states = arrays(run + "/trajectory.h5")["params"]
        size = states.shape[1] // 4  # theta, two moments, average
        for name, start, row in (("of-end", run, -1), ("of-step", run + ":4", 4)):
            theta = self.start(self.train(name, *tiny(epochs=1), "--from", start))
            np.testing.assert_array_equal(theta, states[row, 3 * size:])
            self.assertGreater(np.abs(theta - states[row, :size]).max(), 1e-4)

    def state_dict(self, front=""):
        """Tensors by their names in the layout, and theta."""
        torch = torch_or_skip()
        theta, state = np.random.default_rng(0).normal(size=self.start(self.first).shape), {}
        for entry in json.loads(attributes(self.first + "/trajectory.h5")["layout"]):
            size = int(np.prod(entry["shape"]))
            values = theta[entry["offset"]:entry["offset"] + size].reshape(entry["shape"])
            state[front + entry["name"]] = torch.tensor(values)
        return state, theta

    def test_a_file_that_has_the_tensors_by_their_names(self):
        """As torch.save writes them: in the file itself or under a key, one dictionary a player or together, among others."""
        torch = torch_or_skip()
        state, theta = self.state_dict()
        apart = {player: collections.OrderedDict((name.split(".", 1)[1], tensor) for name, tensor in state.items()
                                                 if name.startswith(player)) for player in ("generator", "discriminator")}
        more = {"epoch": 3, "optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]}}
        files = {"plain": state, "key": {"model": collections.OrderedDict(state), **more}, "players": apart,
                 "module": self.state_dict("module.")[0], "deep": {"nets": {"ema": apart}, "nets_raw": {"ema": {}}}}
        for name, content in files.items():
            torch.save(content, self.path(name + ".pt"))
            start = self.path(name + ".pt") + {"key": ":model", "deep": ":nets.ema"}.get(name, "")
            run = self.train("of-" + name, *tiny(epochs=1), "--from", start)
            np.testing.assert_array_equal(self.start(run), theta, name)
            self.run_fine("verify", run)
        for start, words in ((":nets.ema", "'nets.ema'"), (":optimizer", "no tensors under"), ("", "FILE:KEY")):
            self.assert_refused(["train", "--out", self.path("never"), *tiny(epochs=1), "--from", self.path("key.pt") + start],
                                "--from", "key.pt", words)

    def test_files_that_are_no_start(self):
        torch = torch_or_skip()
        state, _ = self.state_dict()
        wide = {**state, "generator.0.weight": torch.zeros(9)}
        whole = {**state, "generator.0.weight": state["generator.0.weight"].long()}
        torch.save(state, self.path("fine.pt"))
        with open(self.path("fine.pt"), "rb") as file:
            content = bytearray(file.read())
        at = content.index(state["generator.0.weight"].numpy().tobytes())
        content[at + 3] ^= 4
        with open(self.path("flipped.pt"), "wb") as file:
            file.write(content)
        with open(self.path("cut.pt"), "wb") as file:
            file.write(content[:-9])
        torch.save(wide, self.path("wide.pt"))
        torch.save(whole, self.path("integers.pt"))
        torch.save(list(state.values()), self.path("list.pt"))
        torch.save(torch.nn.Linear(2, 2), self.path("module.pt"))
        torch.save(state, self.path("old.pt"), _use_new_zipfile_serialization=False)
        for name, words in (("wide", "[9]"), ("integers", "generator.0.weight"), ("list", "import_checkpoints"),
                            ("module", "import_checkpoints"), ("old", "torch.save"), ("flipped", "damaged"), ("cut", "cut short")):
            self.assert_refused(["train", "--out", self.path("never"), *tiny(epochs=1), "--from", self.path(name + ".pt")],
                                "--from", name + ".pt", words)

    def test_other_runs_and_steps_are_refused(self):
        for start, words in ((self.first + ":9999", "not recorded"), (self.first + ":x", "not a step"), ("/nowhere", "no such run folder"),
                             (self.first + "/trajectory.h5", "torch.save")):
            self.assert_refused(["train", "--out", self.path("never"), *tiny(epochs=1), "--from", start], "--from", words)
        self.assert_refused(["train", "--out", self.path("never"), *tiny(epochs=1, generator_hidden=9), "--from", self.first],
                            "--from", "other networks")


if __name__ == "__main__":
    main()
