"""whence influence counts kink crossings: where, on any ranks, and what it says where it does not."""

import os

import h5py
import numpy as np

from support import ProgramTest, arrays, main, relative_difference, tiny, whence


class CrossingsTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_folder = cls.train("run", *tiny(epochs=12))

    def influence(self, *options, ranks=1):
        result = whence("influence", "--run", self.run_folder, "--overwrite", *options, ranks=ranks)
        self.assertEqual(result.code, 0, result)
        path = os.path.join(self.run_folder, "influence.h5")
        with h5py.File(path) as file:
            attributes = {name: file.attrs[name] for name in file.attrs}
        return arrays(path)["influence"], attributes, result.err

    def test_auto_counts_up_to_ten_epochs_back_and_says_so(self):
        both = ("--kink-width", "0,1e-3", "--epochs-back", "1,2,12")
        off, plain, said = self.influence(*both, "--crossings", "off")
        self.assertNotIn("crossings", plain)
        self.assertNotIn("crossings", said)
        auto, attributes, said = self.influence(*both)
        self.assertIn("--crossings auto: counted 1, 2 epochs back, with moves carried forward for 2, "
                      "and left to the kink width beyond 10 passes over the data", said)
        self.assertIn("steps that moves are carried over: 30 of 30", said)
        self.assertRegex(said, r"crossings an instance: \S+ \(k = 1\), \S+ \(k = 2\)")
        self.assertEqual((attributes["crossings"], attributes["moves_carried"]), (b"1,2", b"2"))
        self.assertIn(b"(k = 2)", attributes["crossings_each"])
        np.testing.assert_array_equal(auto[0], off[0])  # as published
        np.testing.assert_array_equal(auto[1, :, 2], off[1, :, 2])
        for k in (0, 1):
            self.assertGreater(relative_difference(auto[1, :, k], off[1, :, k]), 1e-3)
        on, attributes, _ = self.influence(*both, "--crossings", "on")
        self.assertEqual((attributes["crossings"], attributes["moves_carried"]), (b"1,2,12", b"1,2,12"))
        self.assertLess(relative_difference(on[1, :, 1], auto[1, :, 1]), 1e-13)
        self.assertGreater(relative_difference(on[1, :, 2], off[1, :, 2]), 1e-3)
        # A result made before there was the option is the one without crossings.
        self.influence(*both, "--crossings", "off")
        again = whence("influence", "--run", self.run_folder, *both)
        self.assertEqual(again.code, 1, again)
        self.assertIn("crossings is 'none' there and '1,2' here", again.err)

    def test_moves_are_frozen_where_the_optimiser_remembers_more_or_memory_is_short(self):
        momentum = self.train("momentum", *tiny(epochs=7, optimiser="momentum"))
        left = whence("influence", "--run", momentum, "--epochs-back", "1,2,7")
        self.assertEqual(left.code, 0, left)
        self.assertIn("--crossings auto: counted 1, 2 epochs back, and left to the kink width beyond 5 passes", left.err)
        _, attributes, said = self.influence("--epochs-back", "2", "--memory", "1")
        self.assertRegex(said, r"--crossings auto: counted 2 epochs back \(for more, \S+ MiB a rank would be needed: --memory")
        self.assertNotIn("moves_carried", attributes)
        _, _, said = self.influence("--epochs-back", "7", "--memory", "1")
        self.assertRegex(said, r"none are counted beyond 5 passes over the data back \(for more, \S+ MiB a rank")

    def test_steps_that_move_nothing_have_no_directions(self):
        """The last steps are the generator's alone: no removal moves anything in them."""
        turns = self.train("turns", *tiny(epochs=12, update="alternating", epoch_steps=1))
        done = whence("influence", "--run", turns, "--epochs-back", "1,2,3", "--crossings", "on")
        self.assertEqual(done.code, 0, done)
        self.assertIn("crossings an instance: 0 (k = 1)", done.err)

    def test_any_ranks_and_groups_count_the_same(self):
        options = ("--metric", "all,gen-loss", "--epochs-back", "1,3")
        alone, attributes, _ = self.influence(*options)
        for ranks, grid in ((2, "1"), (3, "1"), (3, "2")):
            with self.subTest(ranks=ranks, grid=grid):
                other, of_other, _ = self.influence(*options, "--grid", grid, ranks=ranks)
                self.assertEqual(of_other["crossings_each"], attributes["crossings_each"])
                for metric in range(2):
                    self.assertLess(relative_difference(other[:, metric], alone[:, metric]), 1e-10)

    def test_what_cannot_be_counted_is_left_off_or_refused(self):
        tanh = self.train("tanh", *tiny(activation="tanh"))
        adam = self.train("adam", *tiny(optimiser="adam"))
        for folder, options, reason in (
            (tanh, (), "its units have no kinks"),
            (adam, (), "the optimiser adam moves parameters by factors of their own"),
            (self.run_folder, ("--kink-width", "0"), "the estimates of --kink-width 0 know nothing of kinks"),
            (self.run_folder, ("--formula", "sgd"), "--formula sgd leaves the optimiser out"),
        ):
            with self.subTest(reason):
                left = whence("influence", "--run", folder, "--overwrite", *options)
                self.assertEqual(left.code, 0, left)
                self.assertIn("--crossings auto: none are counted: " + reason, left.err)
                self.assert_refused(["influence", "--run", folder, "--overwrite", "--crossings", "on", *options],
                                    "--crossings on: crossings cannot be counted: " + reason)
        vae = self.train("vae", "--game", "mlp-vae", "--data", "six-clusters", "--loss", "squared", "--latent", "2", "--hidden", "6,5",
                         *tiny()[:8])
        left = whence("influence", "--run", vae, "--metric", "loss")
        self.assertIn("--crossings auto: none are counted in games of one player", left.err)
        counted = whence("influence", "--run", vae, "--metric", "loss", "--crossings", "on", "--overwrite")
        self.assertIn("--crossings on: counted 1 epochs back", counted.err)
        self.assert_refused(["influence", "--run", self.run_folder, "--crossings", "maybe"], "--crossings", "maybe")

    def test_a_dry_run_counts_what_it_would_keep(self):
        needs = self.run_fine("influence", "--run", self.run_folder, "--dry-run", "--epochs-back", "1,5").out
        self.assertIn("crossings counted 5 epochs back", needs)
        self.assertIn("moves carried forward for 5", needs)
        self.assertIn("--crossings", self.run_fine("influence", "--help").out)


if __name__ == "__main__":
    main()
