#!/usr/bin/env python3
"""The estimates are good: at the quickstart's size, on real counterfactuals."""
import os
import tempfile
import unittest

import h5py
import numpy as np
from scipy.stats import kendalltau, pearsonr

import support


class Accuracy(unittest.TestCase):
    def one_run(self, folder, *train_options):
        support.whence("train", "--out", folder, "--quiet", *train_options, ranks=2, timeout=300)
        support.whence("influence", "--run", folder, "--quiet", ranks=2, timeout=300)
        support.whence("counterfactual", "--run", folder, "--targets", "200", "--quiet", ranks=2, timeout=300)
        with h5py.File(os.path.join(folder, "influence.h5")) as file:
            estimate = file["influence"][0, 0, 0]
        with h5py.File(os.path.join(folder, "counterfactual.h5")) as file:
            self.assertEqual(len(file["target_position"]), 200)
            self.assertLess(file["distance"][0], 1e-12, "no removal replays the stored trajectory")
            return file["influence"][0, 0], estimate[file["target_position"][:]]

    def test_relu_kendalls_tau_on_three_seeds(self):
        taus = []
        for seed in range(3):
            with tempfile.TemporaryDirectory() as folder:
                truth, estimate = self.one_run(os.path.join(folder, "run"), "--seed", str(seed))
                taus.append(kendalltau(truth, estimate)[0])
        print("Kendall's tau at k = 1, seeds 0 to 2:", ", ".join(f"{tau:.3f}" for tau in taus))
        self.assertGreater(min(taus), 0.75)
        self.assertGreater(np.mean(taus), 0.80)

    def test_smooth_gan_is_almost_exact(self):
        with tempfile.TemporaryDirectory() as folder:
            truth, estimate = self.one_run(os.path.join(folder, "run"), "--activation", "tanh")
        pearson = pearsonr(truth, estimate)[0]
        print(f"Pearson of a tanh FCGAN at k = 1: {pearson:.7f}")
        self.assertGreater(pearson, 0.9999)


if __name__ == "__main__":
    unittest.main()
