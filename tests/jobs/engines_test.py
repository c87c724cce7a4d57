#!/usr/bin/env python3
"""The rest of Whence does not notice which engine computes the steps."""

import numpy as np

from support import ProgramTest, arrays, attributes, main, relative_difference, tiny
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

    def test_an_unknown_engine_is_refused(self):
        self.assert_refused(["train", "--out", self.path("abacus"), "--engine", "abacus"], "--engine")


if __name__ == "__main__":
    main()
