#!/usr/bin/env python3
"""The rest of Whence does not notice which engine computes the steps."""

from support import ProgramTest, arrays, attributes, main, relative_difference, tiny


class EnginesTest(ProgramTest):
    def run_with(self, engine):
        run = self.train(engine, "--engine", engine, *tiny(epochs=5))
        options = ["--run", run, "--metric", "all,disc-loss", "--epochs-back", "1,5"]
        self.run_fine("influence", *options, "--kink-width", "0,1e-3")
        self.run_fine("counterfactual", *options, "--targets", "40")
        self.assertEqual(attributes(self.path(engine, "trajectory.h5"))["engine"], engine)
        return [arrays(self.path(engine, name))["influence"] for name in ("influence.h5", "counterfactual.h5")]

    def test_native_and_torch_give_the_same_estimates_and_truth(self):
        for native, torch in zip(self.run_with("native"), self.run_with("torch")):
            self.assertGreater(abs(torch).max(), 0)
            self.assertLess(relative_difference(native, torch), 1e-8)

    def test_an_unknown_engine_is_refused(self):
        self.assert_refused(["train", "--out", self.path("abacus"), "--engine", "abacus"], "--engine")


if __name__ == "__main__":
    main()
