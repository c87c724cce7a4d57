"""train --epoch-steps: epochs count steps, and nothing else of a run depends on them."""

import json
import os

import numpy as np

from support import ProgramTest, arrays, main, relative_difference, tiny, whence

PASS = 15  # steps: 300 instances in batches of 20


class EpochsTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.passes = cls.train("passes", *tiny(epochs=7))
        cls.shorter = cls.train("shorter", *tiny(epochs=21, epoch_steps=PASS // 3))

    def result(self, job, run, *options):
        done = whence(job, "--run", run, "--overwrite", *options)
        self.assertEqual(done.code, 0, done)
        return arrays(os.path.join(run, job + ".h5")), done.err

    def assert_same(self, one, other, *names):
        for name in names:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)

    def test_they_change_no_step(self):
        one, other = (arrays(os.path.join(run, "trajectory.h5")) for run in (self.passes, self.shorter))
        self.assert_same(one, other, "params", "batch", "rate", "steps")

    def test_k_counts_them(self):
        for job, more in (("influence", ("--kink-width", "0,1e-3")), ("counterfactual", ("--targets", "20"))):
            with self.subTest(job):
                one, _ = self.result(job, self.passes, "--metric", "all", "--epochs-back", "1,2", *more)
                other, _ = self.result(job, self.shorter, "--metric", "all", "--epochs-back", "3,6", *more)
                self.assertLess(relative_difference(other["influence"], one["influence"]), 1e-12)
                np.testing.assert_array_equal(3 * one["epochs_back"], other["epochs_back"])

    def test_moves_are_carried_beyond_one_pass(self):
        _, said = self.result("influence", self.shorter, "--epochs-back", "3,4,16")
        self.assertIn("counted 3, 4, 16 epochs back, with moves carried forward for 4, 16\n", said)

    def test_history_and_refusals_count_them(self):
        with open(os.path.join(self.shorter, "history.csv"), encoding="utf-8") as file:
            lines = [line.strip().split(",") for line in file]
        self.assertEqual(lines[0][:2], ["step", "epoch"])
        self.assertEqual([float(number) for number in lines[-1][:2]], [7 * PASS, 21])
        done = whence("influence", "--run", self.shorter, "--epochs-back", "22")
        self.assertEqual(done.code, 2, done)
        self.assertIn("22 is more than the run's 21 epochs", done.err)

    def test_steps_make_epochs_of_them(self):
        run = self.train("steps", *tiny(epoch_steps=4), "--steps", "14")
        with open(os.path.join(run, "summary.json"), encoding="utf-8") as file:
            self.assertIn("train", json.load(file))
        done = whence("influence", "--run", run, "--epochs-back", "4")
        self.assertEqual(done.code, 2, done)
        self.assertIn("4 is more than the run's 3 epochs", done.err)

    def test_more_steps_than_can_be_counted_are_refused(self):
        for epochs, steps in ((4 * 10**18, 4), (4 * 10**18, 0), (2**53, 2), (1, 2**60)):
            done = whence("train", "--out", self.path("many"), *tiny(epochs=epochs, epoch_steps=steps))
            self.assertEqual(done.code, 2, done)
            self.assertIn("steps cannot be counted", done.err)
            self.assertEqual(len(done.lines()), 1, done)


if __name__ == "__main__":
    main()
