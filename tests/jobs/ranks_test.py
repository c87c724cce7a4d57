"""Results do not depend on the number of ranks: within rounding where ranks add up, to the byte where not."""

import os

import h5py
import numpy as np

from support import ProgramTest, arrays, crc, main, relative_difference, tiny, whence

QUERIES = ("--metric", "all,gen-loss", "--epochs-back", "1,2")


def array(folder, name, file="influence.h5"):
    return arrays(os.path.join(folder, file))[name]


class TrainingTest(ProgramTest):
    def test_training_on_1_2_and_3_ranks_agrees(self):
        runs = [self.train("on-%d" % ranks, *tiny(), ranks=ranks) for ranks in (1, 2, 3)]
        alone = arrays(os.path.join(runs[0], "trajectory.h5"))
        self.assertGreater(np.abs(alone["params"][-1] - alone["params"][0]).max(), 1e-3, "it learned nothing")
        for run in runs[1:]:
            other = arrays(os.path.join(run, "trajectory.h5"))
            for step in range(len(alone["params"])):
                self.assertLess(relative_difference(other["params"][step], alone["params"][step]), 1e-10)
            for name in ("steps", "batch", "rate", "batch_crc", "instance_id", "committed"):
                np.testing.assert_array_equal(other[name], alone[name], name)

    def test_the_batch_may_be_smaller_than_the_number_of_ranks(self):
        options = tiny(instances=30, batch=2, epochs=2)
        alone, four = self.train("batch-2-on-1", *options), self.train("batch-2-on-4", *options, ranks=4)
        self.assertLess(relative_difference(array(four, "params", "trajectory.h5"),
                                            array(alone, "params", "trajectory.h5")), 1e-10)
        self.run_fine("verify", "--run", four)


class SharedRunTest(ProgramTest):
    """Jobs on one trajectory."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_folder = cls.train("run", *tiny())

    def influence(self, ranks, grid="auto"):
        self.run_fine("influence", "--run", self.run_folder, *QUERIES, "--grid", grid, "--overwrite", ranks=ranks)
        return array(self.run_folder, "influence"), array(self.run_folder, "value")

    def test_influence_agrees_on_any_ranks_and_grid(self):
        alone, value = self.influence(1)
        self.assertEqual(alone.shape, (1, 2, 2, 300))
        for ranks, grid in ((2, "1"), (2, "2"), (3, "2"), (3, "auto"), (4, "2"), (4, "auto")):
            with self.subTest(ranks=ranks, grid=grid):
                other, other_value = self.influence(ranks, grid)
                for metric in range(2):
                    self.assertLess(relative_difference(other[:, metric], alone[:, metric]), 1e-10)
                np.testing.assert_allclose(other_value, value, rtol=1e-12)

    def test_counterfactuals_are_the_same_bytes_on_any_ranks(self):
        options = ("--targets", "20", "--replicas", "6", *QUERIES)  # 4 blocks a horizon
        alone = self.copy_of(self.run_folder, "counterfactual-on-1")
        self.run_fine("counterfactual", "--run", alone, *options)
        self.assertGreater(np.abs(array(alone, "influence", "counterfactual.h5")).max(), 0)
        for ranks in (2, 3):
            with self.subTest(ranks=ranks):
                other = self.copy_of(self.run_folder, "counterfactual-on-%d" % ranks)
                self.run_fine("counterfactual", "--run", other, *options, ranks=ranks)
                self.assert_same_arrays(*(os.path.join(f, "counterfactual.h5") for f in (other, alone)))
                self.assert_same_bytes(*(os.path.join(f, "counterfactual.h5") for f in (other, alone)))

    def test_more_ranks_than_blocks_give_the_same_bytes(self):
        options = ("--targets", "5", "--replicas", "32")  # one block
        alone, many = (self.copy_of(self.run_folder, name) for name in ("one-block-on-1", "one-block-on-4"))
        self.run_fine("counterfactual", "--run", alone, *options)
        self.run_fine("counterfactual", "--run", many, *options, ranks=4)
        self.assert_same_bytes(*(os.path.join(f, "counterfactual.h5") for f in (many, alone)))

    def test_blocks_sized_by_the_number_of_ranks_give_the_same_bytes(self):
        one, three = (self.copy_of(self.run_folder, "auto-on-%d" % ranks) for ranks in (1, 3))
        for folder, ranks, blocks in ((one, 1, 1), (three, 3, 3)):
            planned = whence("counterfactual", "--run", folder, "--targets", "11", "--dry-run", ranks=ranks)
            self.assertRegex(planned.out, r"\b%d block" % blocks)
            self.run_fine("counterfactual", "--run", folder, "--targets", "11", ranks=ranks)
        self.assert_same_bytes(*(os.path.join(f, "counterfactual.h5") for f in (one, three)))
        again = whence("counterfactual", "--run", one, "--targets", "11", "--replicas", "2")
        self.assertIn("already there", again.err)

    def test_blocks_of_any_size_give_the_same_bytes_where_a_replay_misses_the_recorded_steps(self):
        missed = self.copy_of(self.run_folder, "missed")
        draw = np.random.default_rng(4)
        with h5py.File(os.path.join(missed, "trajectory.h5"), "r+") as file:
            moved = file["params"][...] * (1 + 1e-9 * draw.normal(size=file["params"].shape))
            file["params"][...] = moved
            file["params_crc"][...] = [crc(row) for row in moved]
        results = []
        for size, ranks in (("32", 1), ("5", 1), ("1", 3), ("auto", 3)):
            folder = self.copy_of(missed, "missed-%s-on-%d" % (size, ranks))
            self.run_fine("counterfactual", "--run", folder, "--targets", "40", "--replicas", size, ranks=ranks)
            results.append(os.path.join(folder, "counterfactual.h5"))
            self.assertGreater(arrays(results[-1])["distance"].max(), 1e-10)
            self.assert_same_bytes(results[-1], results[0])


class ReplayTest(ProgramTest):
    """Steps that were not recorded are replayed from the nearest one before."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.all = cls.train("all", *tiny())
        cls.explain(cls.all)

    @classmethod
    def explain(cls, folder):
        cls.run_fine("influence", "--run", folder, *QUERIES)
        cls.run_fine("counterfactual", "--run", folder, *QUERIES, "--targets", "20")

    def check_replayed(self, record, **run):
        folder = self.train(record.replace(":", "-") + "-%d" % len(run), *tiny(record=record), **run)
        self.explain(folder)
        recorded = array(folder, "params", "trajectory.h5")
        self.assertLess(len(recorded), 46)
        return folder

    def test_replayed_steps_give_the_same_bits(self):
        for record in ("every:7", "last:2"):
            with self.subTest(record=record):
                folder = self.check_replayed(record)
                for file in ("influence.h5", "counterfactual.h5"):
                    self.assert_same_arrays(os.path.join(folder, file), os.path.join(self.all, file))

    def test_steps_recorded_on_2_ranks_and_replayed_on_1_agree_within_rounding(self):
        folder = self.check_replayed("every:7", ranks=2)
        for file in ("influence.h5", "counterfactual.h5"):
            found, expected = array(folder, "influence", file), array(self.all, "influence", file)
            for metric in range(2):
                difference = np.abs(np.take(found, metric, axis=-3) - np.take(expected, metric, axis=-3)).max()
                self.assertLess(difference / np.abs(np.take(expected, metric, axis=-3)).max(), 1e-10)

    def test_trace_back_replays_over_the_ranks_to_the_bits_of_training(self):
        for ranks in (2, 3):
            with self.subTest(ranks=ranks):
                whole, sparse = (self.train("%s-on-%d" % (record[:5], ranks), *tiny(record=record), ranks=ranks)
                                 for record in ("all", "checkpoints:2"))
                for folder in (whole, sparse):
                    self.run_fine("influence", "--run", folder, *QUERIES, ranks=ranks)
                self.assert_same_arrays(*(os.path.join(folder, "influence.h5") for folder in (sparse, whole)))

    def test_retraining_replays_to_the_same_bytes_on_any_number_of_ranks(self):
        folder = self.train("checkpoints", *tiny(record="checkpoints:2"), ranks=2)
        copies = [self.copy_of(folder, "on-%d" % ranks) for ranks in (1, 2, 3)]
        for ranks, copy in zip((1, 2, 3), copies):
            self.run_fine("counterfactual", "--run", copy, *QUERIES, "--targets", "20", "--replicas", "3", ranks=ranks)
            self.assert_same_bytes(os.path.join(copy, "counterfactual.h5"), os.path.join(copies[0], "counterfactual.h5"))

    def test_replay_says_how_well_it_met_the_recorded_rows(self):
        folder = self.train("met", *tiny(record="every:7"))
        for job, more in (("influence", ()), ("counterfactual", ("--targets", "9"))):
            self.assertIn("they meet the recorded ones within 0.0e+00", whence(job, "--run", folder, *QUERIES, *more).err)

    def test_a_row_that_the_steps_before_it_do_not_lead_to_is_refused(self):
        folder = self.train("other", *tiny(record="every:7"))
        with h5py.File(os.path.join(folder, "trajectory.h5"), "r+") as file:
            row = file["params"][6]
            row[3] *= 1.01
            file["params"][6] = row
            file["params_crc"][6] = crc(row)
        self.run_fine("verify", "--run", folder)
        # Back, the stretch after the row is met first; forth, the one before it. Ranks that replay alone all fail.
        for job, stretch, ranks, *more in (("influence", "from step 42, step 45", (1, 2)),
                                           ("counterfactual", "from step 35, step 42", (1,), "--targets", "190")):
            with self.subTest(job=job):
                self.assert_refused([job, "--run", folder, *QUERIES, *more, "--quiet"], "trajectory.h5", stretch,
                                    folder=folder, ranks=ranks)

    def test_memory_for_less_than_four_states_is_refused(self):
        folder = self.train("large", *tiny(record="every:7", generator_hidden=320, discriminator_hidden=320, latent=200,
                                           epochs=1))
        self.assert_refused(["influence", "--run", folder, "--memory", "1", "--quiet"], "--memory", "MiB", ranks=(1, 2))
        self.assert_refused(["influence", "--run", folder, "--memory", str(2 ** 30 + 1), "--quiet"], "--memory")

    def test_epochs_back_over_what_was_recorded_is_refused(self):
        folder = self.train("last-1", *tiny(record="last:1"))
        for job in ("influence", "counterfactual"):
            self.assert_refused([job, "--run", folder, "--epochs-back", "2"], "--epochs-back", "--record last:1",
                                folder=folder, ranks=(1, 2) if job == "influence" else (1,))


if __name__ == "__main__":
    main()
