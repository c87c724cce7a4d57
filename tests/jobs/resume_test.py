"""kill -9 at any moment loses nothing that was committed, and the same command goes on to the same bytes."""

import os
import random
import re
import zlib

import h5py
import numpy as np

from interrupt_support import kill_when, read_when_there
from support import Job, ProgramTest, arrays, attributes, crc, main, tiny, whence

# 6,000 steps, committed in blocks of 64, by the slower engine: there must be time to kill in the middle.
STEPS = 6000
TRAINING = dict(batch=10, epochs=200, engine="torch")


class TrainingTest(ProgramTest):
    def setUp(self):
        self.draw = random.Random(7)

    def check_committed(self, part, reference):
        """Every committed step of the unfinished file is whole, and equal to the uninterrupted run's."""
        found = arrays(part)
        committed = int(found["committed"][0])
        for row, step in enumerate(found["steps"]):
            # The parameters before step t are committed together with the steps before t.
            if step >= committed:
                break
            self.assertEqual(crc(found["params"][row]), found["params_crc"][row], "params of step %d" % step)
            np.testing.assert_array_equal(found["params"][row], reference["params"][row])
        for step in range(committed):
            self.assertEqual(crc(found["batch"][step], found["rate"][step]), found["batch_crc"][step])
        np.testing.assert_array_equal(found["batch"][:committed], reference["batch"][:committed])
        np.testing.assert_array_equal(found["rate"][:committed], reference["rate"][:committed])
        return committed

    def check_kills(self, record, kills, ranks=2):
        """Kills one run again and again (kills: whether one rank only), later and later, then lets it finish."""
        options = tiny(record=record, **TRAINING)
        reference_path = os.path.join(self.train("reference-" + record, *options, ranks=ranks), "trajectory.h5")
        reference = arrays(reference_path)
        folder = self.path("killed-" + record)
        part = os.path.join(folder, "trajectory.h5.part")
        before = 0
        for number, one_rank in enumerate(kills):
            aim = self.draw.randint(before + 1, max(before + 1, STEPS * (number + 1) // (len(kills) + 2)))

            def reached():
                committed = read_when_there(part, "committed")
                return committed is not None and committed[0] >= aim

            job = Job("train", "--out", folder, *options, ranks=ranks)
            self.assertTrue(kill_when(job, reached, one_rank, self.draw), "the run ended before it could be killed")
            self.assertFalse(os.path.exists(os.path.join(folder, "trajectory.h5")))
            committed = self.check_committed(part, reference)
            self.assertGreaterEqual(committed, aim)
            self.assertLess(committed, STEPS, "killed too late")
            before = committed
        ended = whence("train", "--out", folder, *options, ranks=ranks)
        self.assertEqual(ended.code, 0, str(ended))
        self.assertIn("going on from step %d of %d" % (before, STEPS), ended.err)
        self.assert_same_bytes(os.path.join(folder, "trajectory.h5"), reference_path)
        self.assertEqual(sorted(f for f in os.listdir(folder) if "part" in f or "new" in f), [])

    def test_killed_training_goes_on_to_the_same_bytes(self):
        self.check_kills("all", [False, True, False, True])

    def test_killed_training_that_records_every_50th_step_goes_on_to_the_same_bytes(self):
        self.check_kills("every:50", [True, False])

    def test_killed_training_that_records_the_last_epoch_goes_on_to_the_same_bytes(self):
        self.check_kills("last:1", [False, True])

    def test_training_killed_while_it_makes_its_files_starts_again(self):
        options = tiny()
        reference = self.train("reference-short", *options)
        for number, awaited in enumerate((".lock", "trajectory.h5.new", "trajectory.h5.part")):
            with self.subTest(killed_at=awaited):
                folder = self.path("early-%d" % number)
                job = Job("train", "--out", folder, *options)
                while job.running() and not (os.path.isdir(folder) and any(
                        os.path.exists(os.path.join(folder, f)) for f in (awaited, "trajectory.h5"))):
                    pass
                job.kill_all()
                left = os.listdir(folder)
                ended = whence("train", "--out", folder, *options)
                self.assertEqual(ended.code, 0, "after a kill that left %s: %s" % (left, ended))
                self.assert_same_bytes(os.path.join(folder, "trajectory.h5"),
                                       os.path.join(reference, "trajectory.h5"))


class CounterfactualTest(ProgramTest):
    # Seconds of work: on a busy machine half a second may pass until a kill has reached all ranks.
    WORK = ("--targets", "120", "--epochs-back", "5,9", "--metric", "all,gen-loss")
    OPTIONS = WORK + ("--replicas", "4")

    def sealed(self, part):
        """Which rows of the block store count, by number; every one of them must be whole."""
        found = arrays(part)
        rows = {}
        for number, seal in enumerate(found["seal"]):
            if seal != 0:
                self.assertEqual(seal, zlib.crc32(found["rows"][number].tobytes()) + 1, "block %d" % number)
                rows[number] = found["rows"][number]
        return rows, len(found["seal"])

    def unseal(self, part, number):
        with h5py.File(part, "r+") as file:
            file["seal"][number] = 0

    def test_killed_counterfactuals_keep_their_blocks_and_end_in_the_same_bytes(self):
        draw = random.Random(11)
        run = self.train("run", *tiny(epochs=10, batch=10, engine="torch"))
        reference, folder = self.copy_of(run, "reference"), self.copy_of(run, "killed")
        self.run_fine("counterfactual", "--run", reference, *self.OPTIONS)
        part, result = (os.path.join(folder, "counterfactual.h5" + end) for end in (".part", ""))
        kept = {}
        for one_rank, aim in ((False, 5), (True, 15)):

            def reached():
                seals = read_when_there(part, "seal")
                return seals is not None and np.count_nonzero(seals) >= max(aim, len(kept) + 1)

            job = Job("counterfactual", "--run", folder, *self.OPTIONS, ranks=2)
            self.assertTrue(kill_when(job, reached, one_rank, draw), "the job ended before it could be killed")
            self.assertFalse(os.path.exists(result))
            rows, blocks = self.sealed(part)
            if one_rank and len(rows) == blocks:  # the other one has finished all
                self.unseal(part, blocks - 1)
                rows.pop(blocks - 1)
            self.assertLess(len(rows), blocks, "killed too late")
            for number, row in kept.items():
                np.testing.assert_array_equal(rows[number], row, "a finished block changed")
            kept = rows

        # Finished blocks are not computed again: one that is altered, with its seal, comes out altered.
        altered = self.copy_of(folder, "altered")
        with h5py.File(os.path.join(altered, "counterfactual.h5.part"), "r+") as file:
            number = sorted(kept)[0]
            row = file["rows"][number]
            row[3:] += 1000.0
            file["rows"][number] = row
            file["seal"][number] = zlib.crc32(row.tobytes()) + 1
        self.run_fine("counterfactual", "--run", altered, *self.OPTIONS)

        self.assert_refused(["counterfactual", "--run", folder, *self.WORK, "--replicas", "8"], "counterfactual.h5.part", "replicas is '4' there and '8' here",
                            "--overwrite", folder=folder, ranks=(1, 2))
        # On another number of ranks, and of another size by itself, blocks stay those that were begun.
        ended = whence("counterfactual", "--run", folder, *self.WORK, "--replicas", "auto", ranks=3)
        self.assertEqual(ended.code, 0, str(ended))
        self.assertTrue(re.search(r"\b%d of %d blocks are already finished" % (len(kept), blocks), ended.err), str(ended))
        self.assertFalse(os.path.exists(part))
        change = np.abs(arrays(os.path.join(altered, "counterfactual.h5"))["influence"] - arrays(result)["influence"])
        self.assertEqual(np.count_nonzero(change > 100), 4 * 2, "4 targets by 2 metrics of one block")
        self.assert_same_bytes(result, os.path.join(reference, "counterfactual.h5"))

    def test_unfinished_counterfactuals_of_other_options_are_refused(self):
        folder = self.train("other", *tiny())
        self.run_fine("counterfactual", "--run", folder, "--targets", "3")
        # As a killed job would have left it.
        part = os.path.join(folder, "counterfactual.h5.part")
        marks = {**attributes(os.path.join(folder, "counterfactual.h5")), "schema": "whence.counterfactual_blocks",
                 "schema_version": "2", "replicas": "3"}
        os.remove(os.path.join(folder, "counterfactual.h5"))
        with h5py.File(part, "w", libver=("v108", "v108")) as file:
            for name, value in marks.items():
                file.attrs[name] = np.bytes_(value)
            file["rows"], file["seal"] = np.zeros((1, 5)), np.zeros(1, dtype=np.int64)
        self.assert_refused(["counterfactual", "--run", folder, "--targets", "4"], "counterfactual.h5.part", "begun with other options",
                            folder=folder, ranks=(1, 2))
        self.assertTrue(os.path.exists(part))


if __name__ == "__main__":
    main()
