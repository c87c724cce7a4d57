#!/usr/bin/env python3
"""The rest of Whence does not notice which engine computes the steps."""

import os

import h5py
import numpy as np

from support import ProgramTest, arrays, attributes, main, relative_difference, tiny, whence
from vae_support import vae, write_idx


class EnginesTest(ProgramTest):
    def run_with(self, engine, game, metrics):
        name = "%s-%s" % (engine, metrics)
        run = self.train(name, "--engine", engine, *game)
        options = ["--run", run, "--metric", metrics, "--epochs-back", "1,5"]
        self.run_fine("influence", *options, "--kink-width", "0,1e-3")
        self.run_fine("counterfactual", *options, "--targets", "40")
        self.assertEqual(attributes(self.path(name, "trajectory.h5"))["engine"], engine)
        return [arrays(self.path(name, file))["influence"] for file in ("influence.h5", "counterfactual.h5")]

    def check_alike(self, game, metrics):
        for native, torch in zip(self.run_with("native", game, metrics), self.run_with("torch", game, metrics)):
            self.assertGreater(abs(torch).max(), 0)
            self.assertLess(relative_difference(native, torch), 1e-8)

    def test_native_and_torch_give_the_same_estimates_and_truth(self):
        self.check_alike(tiny(epochs=5), "all,disc-loss")

    def test_native_and_torch_give_the_same_of_a_vae_with_adam(self):
        write_idx(self.path("images.idx"), np.random.default_rng(1).integers(0, 256, (140, 6, 6)))
        game = vae("idx:" + self.path("images.idx"), dtype="float64", optimiser="adam", checkpoints=0, record="all")
        self.check_alike(game, "loss,loss:3")

    def test_a_run_that_torch_began_goes_on_with_torch(self):
        game = tiny(epochs=1)
        run, part = self.train("begun", *game), self.path("begun", "trajectory.h5.part")
        os.rename(self.path("begun", "trajectory.h5"), part)
        with h5py.File(part, "r+") as file:
            self.assertEqual(file.attrs["engine"], b"native")
            file.attrs["engine"] = np.bytes_("torch")  # as if auto had meant that
            file["committed"][...] = 7
        done = whence("train", "--out", run, *game, ranks=2)
        self.assertEqual(done.code, 0, str(done))
        self.assertIn("going on from step 7 of 15", done.err)
        self.assertEqual(attributes(self.path("begun", "trajectory.h5"))["engine"], "torch")

    def test_an_unknown_engine_is_refused(self):
        self.assert_refused(["train", "--out", self.path("abacus"), "--engine", "abacus"], "--engine")


if __name__ == "__main__":
    main()
