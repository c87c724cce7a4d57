"""whence train --from: parameters of another run or of a PyTorch file, and what later jobs make of such a run."""

import collections
import json
import os

import numpy as np

from support import ProgramTest, arrays, attributes, main, tiny
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
        self.assert_refused(again, "--from", "neither a run folder nor a file")

    def test_one_run_has_one_start(self):
        place = self.copy_of(self.first, "changing")
        run = self.train("bound", *tiny(epochs=1), "--from", place)
        self.assert_refused(["train", "--out", run, *tiny(epochs=1)], "from", folder=run)

    def test_a_pytorch_file_is_taken_by_names(self):
        torch = torch_or_skip()
        theta = np.random.default_rng(0).normal(size=self.start(self.first).shape)
        state = collections.OrderedDict()
        for entry in reversed(json.loads(attributes(self.first + "/trajectory.h5")["layout"])):
            size = int(np.prod(entry["shape"]))
            values = theta[entry["offset"]:entry["offset"] + size].reshape(entry["shape"])
            state[entry["name"]] = torch.tensor(values, dtype=torch.float32)
        expected = theta.astype(np.float32).astype(np.float64)
        path = self.path("state.pt")

        def taken(name, value, key=""):
            torch.save(value, path)
            return self.start(self.train(name, *tiny(epochs=1), "--from", path + key))

        np.testing.assert_array_equal(taken("plain", state), expected)
        prefixed = {"module." + name: tensor for name, tensor in state.items()}
        np.testing.assert_array_equal(taken("prefixed", {"step": 3, "nets": {"ema": prefixed, "beta": torch.zeros(1)}}), expected)
        both = {"model": state, "nets": {"ema": {name: 2 * tensor for name, tensor in state.items()}}}
        np.testing.assert_array_equal(taken("chosen", both, ":nets.ema"), 2 * expected)

        def refused(value, *words, key=""):
            torch.save(value, path)
            self.assert_refused(["train", "--out", self.path("never"), *tiny(epochs=1), "--from", path + key], "--from", *words)

        name = next(iter(state))
        refused(both, "more than once")
        refused(both, "holds no dictionary", key=":other")
        refused({other: tensor for other, tensor in state.items() if other != name}, "has not all")
        refused({**state, name: state[name].T[:1]}, name, "has the shape")
        refused({**state, name: state[name].to(torch.int32)}, name, "Int")
        refused({**state, name: state[name] * float("nan")}, name, "not finite")
        refused({**state, name: state[name].to(torch.complex64)}, name, "Complex")
        with open(path, "wb") as file:
            file.write(b"not a file of PyTorch")
        self.assert_refused(["train", "--out", self.path("never"), *tiny(epochs=1), "--from", path], "--from", path)

    def test_other_runs_and_steps_are_refused(self):
        for start, words in ((self.first + ":9999", "not recorded"), (self.first + ":x", "not a step"), ("/nowhere", "neither")):
            self.assert_refused(["train", "--out", self.path("never"), *tiny(epochs=1), "--from", start], "--from", words)
        self.assert_refused(["train", "--out", self.path("never"), *tiny(epochs=1, generator_hidden=9), "--from", self.first],
                            "--from", "other networks")


if __name__ == "__main__":
    main()
