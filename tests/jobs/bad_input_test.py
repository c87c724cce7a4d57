"""Everything that is wrong ends in one sentence that names it: options, folders, files, disks."""

import fcntl
import os
import random
import shutil

import h5py
import numpy as np

from interrupt_support import watched_until
from support import (FULL, Job, ProgramTest, fill_disk, finals, main, read_bytes, read_json,
                     small_disk, tiny, whence, write_bytes)

ALONE = (1, 3) if FULL else (1,)  # cheap cases; one of each kind is run on both in any case
BOTH = (1, 3)

SMALLEST = tiny(instances=40, held_out=10, batch=10, latent=2, generator_hidden=3, discriminator_hidden=3)
SHORT_PATH = ("--epochs-back", "2", "--metric", "all,gen-loss", "--quiet")


class OptionsTest(ProgramTest):
    """Options that are refused before any work."""

    def refused_training(self, *more, names, ranks=ALONE, **changes):
        folder = self.path("never")
        shutil.rmtree(folder, ignore_errors=True)
        self.assert_refused(["train", "--out", folder, *tiny(**changes), *more], *names, folder=folder, ranks=ranks)
        self.assertFalse(os.path.exists(folder), "a folder was made for impossible options")

    def refused_values(self, *cases):
        for option, value in cases:
            with self.subTest(option=option, value=value):
                self.refused_training(names=["--" + option], **{option.replace("-", "_"): value})

    def test_unknown_job_is_refused(self):
        self.assert_refused(["trian", "--out", self.path("never")], ("no such job", "trian"), ranks=BOTH)

    def test_unknown_option_is_refused(self):
        self.refused_training("--epoch", "3", names=["--epoch"], ranks=BOTH)
        for job in ("influence", "counterfactual", "validate", "verify"):
            self.assert_refused([job, "--run", self.path("never"), "--epoch", "3"], "--epoch", ranks=ALONE)

    def test_option_given_twice_is_refused(self):
        self.refused_training("--seed", "1", "--seed", "2", names=["--seed"])

    def test_missing_required_option_is_refused(self):
        self.assert_refused(["train", *tiny()], "--out", ranks=ALONE)
        for job in ("influence", "validate"):
            self.assert_refused([job], "--run", ranks=ALONE)

    def test_batch_larger_than_instances_is_refused(self):
        self.refused_training(batch=301, names=["--batch"], ranks=BOTH)

    def test_sizes_below_one_are_refused(self):
        self.refused_values(("instances", "0"), ("instances", "-5"), ("batch", "0"), ("epochs", "-1"),
                            ("held-out", "0"), ("latent", "0"), ("generator-hidden", "8,0"),
                            ("discriminator-hidden", "-8"), ("threads", "0"))

    def test_impossible_rates_are_refused(self):
        self.refused_values(("rate-generator", "-1e-3"), ("rate-discriminator", "nan"), ("rate-generator", "inf"),
                            ("l2", "-1"), ("l2", "nan"))

    def test_malformed_values_are_refused(self):
        self.refused_values(("seed", "-1"), ("rate-decay", "sqrt"), ("record", "every:0"), ("record", "last"),
                            ("dtype", "float16"), ("data", "no-such-data"), ("latent", "99999999999999999999"))

    def test_missing_data_folder_is_refused_by_name(self):
        missing = self.path("no", "mnist")
        self.refused_training(data="mnist:" + missing, names=[missing], ranks=BOTH)

    def test_unreadable_config_is_refused(self):
        self.assert_refused(["train", "--out", self.path("never"), "--config", self.path("missing.cfg")], "--config",
                            ranks=BOTH)
        self.assert_refused(["train", "--out", self.path("never"), "--config", self.place], "--config", ranks=ALONE)

    def test_config_with_an_unknown_option_is_refused_by_name(self):
        write_bytes(self.path("bad.cfg"), b"instances = 300\nepoch = 3\n")
        self.assert_refused(["train", "--out", self.path("never"), "--config", self.path("bad.cfg")], "epoch",
                            ranks=ALONE)

    def test_output_that_is_not_a_run_folder_is_refused(self):
        folder = self.path("letters")
        os.mkdir(folder)
        write_bytes(os.path.join(folder, "letter.txt"), b"Dear Sir")
        self.assert_refused(["train", "--out", folder, *tiny()], folder, folder=folder, ranks=BOTH)
        self.assertEqual(os.listdir(folder), ["letter.txt"])
        self.assert_refused(["train", "--out", os.path.join(folder, "letter.txt"), *tiny()], "letter.txt", ranks=ALONE)


class FinishedRunTest(ProgramTest):
    """Jobs on one finished run that must refuse what does not fit it."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.run_folder = cls.train("run", *tiny())

    def refused(self, job, *options, names, ranks=ALONE, run=None):
        run = run or self.run_folder
        return self.assert_refused([job, "--run", run, *options], *names, folder=run, ranks=ranks)

    def test_unknown_metric_is_refused(self):
        self.refused("influence", "--metric", "all,fid-loss", names=["--metric", ], ranks=BOTH)
        self.refused("counterfactual", "--metric", "all,", names=["--metric"])

    def test_repeated_metric_is_refused(self):
        for job in ("influence", "counterfactual"):
            with self.subTest(job=job):
                copy = self.copy_of(self.run_folder, "repeated")
                self.refused(job, "--metric", "all,all", names=["--metric"], run=copy)

    def test_repeated_kink_width_is_refused(self):
        copy = self.copy_of(self.run_folder, "repeated")
        self.refused("influence", "--kink-width", "0,0", names=["--kink-width"], run=copy)

    def test_epochs_back_over_the_epochs_is_refused(self):
        self.refused("influence", "--epochs-back", "1,4", names=["--epochs-back"], ranks=BOTH)
        self.refused("counterfactual", "--epochs-back", "4", names=["--epochs-back"])

    def test_numbers_below_one_are_refused(self):
        for job, option, value in (("influence", "epochs-back", "0"), ("influence", "kink-width", "-1"),
                                   ("influence", "kink-width", "nan"), ("influence", "grid", "0"),
                                   ("counterfactual", "epochs-back", "-1"), ("counterfactual", "replicas", "0"),
                                   ("counterfactual", "replicas", "-3"), ("counterfactual", "replicas", "4,5"),
                                   ("cleanse", "replicas", "0"), ("cleanse", "replicas", "some"), ("counterfactual", "targets", "0"),
                                   ("counterfactual", "targets", "-3"), ("counterfactual", "targets", "301")):
            with self.subTest(job=job, option=option, value=value):
                self.refused(job, "--" + option, value, names=["--" + option])

    def test_grid_of_more_groups_than_ranks_or_queries_is_refused(self):
        self.refused("influence", "--metric", "all,gen-loss", "--grid", "2", names=["--grid"])
        self.refused("influence", "--metric", "all,gen-loss", "--grid", "3", names=["--grid"], ranks=BOTH)

    def test_bad_target_files_are_refused(self):
        bad = self.path("targets.txt")
        for content, name, ranks in ((b"1\n999999\n", "999999", BOTH), (b"1\n2\n1\n", "twice", ALONE),
                                     (b"1\nsecond\n", "second", ALONE), (b"1\n2.5\n", "2.5", ALONE),
                                     (b"\n", bad, ALONE), (b"1\n-1\n", "-1", ALONE)):
            with self.subTest(content=content):
                write_bytes(bad, content)
                self.refused("counterfactual", "--targets", bad, names=["--targets", name], ranks=ranks)
        self.refused("counterfactual", "--targets", self.path("no-such-file"), names=["no-such-file"])

    def test_missing_run_is_refused_by_every_job(self):
        for job in ("influence", "counterfactual", "validate", "verify"):
            missing = self.path("no-such-run")
            self.assert_refused([job, "--run", missing], "no-such-run", ranks=BOTH if job == "influence" else ALONE)
            self.assertFalse(os.path.exists(missing))
        self.assert_refused(["info", self.path("no-such-file")], "no-such-file", ranks=ALONE)

    def test_edited_run_cfg_is_refused(self):
        for line, other in (("seed = 0", "seed = 1"), ("data = normal2d", "data = idx:nowhere"),
                            ("batch = 20", "batch = 10"), ("seed = 0\n", ""), ("seed = 0", "seed = zero")):
            with self.subTest(other=other):
                copy = self.copy_of(self.run_folder, "edited")
                text = read_bytes(os.path.join(copy, "run.cfg")).decode()
                self.assertIn(line, text)
                write_bytes(os.path.join(copy, "run.cfg"), text.replace(line, other).encode())
                if other == "":  # the default: the same run
                    self.run_fine("verify", "--run", copy)
                else:
                    self.refused("influence", names=[(copy, "nowhere", "seed")], run=copy,
                                 ranks=BOTH if other == "seed = 1" else ALONE)

    def test_output_with_other_settings_is_refused(self):
        self.assert_refused(["train", "--out", self.run_folder, *tiny(seed=1)], self.run_folder,
                            folder=self.run_folder, ranks=BOTH)

    def test_result_made_with_other_options_is_not_replaced(self):
        copy = self.copy_of(self.run_folder, "results")
        self.run_fine("influence", "--run", copy)
        self.run_fine("counterfactual", "--run", copy, "--targets", "3")
        self.refused("influence", "--epochs-back", "2", names=["influence.h5", "--overwrite"], run=copy)
        self.refused("counterfactual", "--targets", "4", names=["counterfactual.h5", "--overwrite"], run=copy)

    def test_result_of_another_run_is_refused(self):
        copy, other = self.copy_of(self.run_folder, "mixed"), self.train("other", *tiny(seed=1))
        self.run_fine("influence", "--run", other)
        self.run_fine("counterfactual", "--run", copy, "--targets", "3")
        shutil.copy(os.path.join(other, "influence.h5"), copy)
        self.refused("validate", names=["influence.h5"], run=copy)

    def test_validate_without_results_is_refused(self):
        self.refused("validate", names=[("influence.h5", "counterfactual.h5")], ranks=BOTH)

    def test_other_schema_version_is_refused(self):
        copy = self.copy_of(self.run_folder, "newer")
        self.run_fine("influence", "--run", copy)
        self.run_fine("counterfactual", "--run", copy, "--targets", "3")
        for name, job in (("trajectory.h5", "influence"), ("influence.h5", "validate"),
                          ("counterfactual.h5", "validate")):
            with self.subTest(file=name):
                keep = read_bytes(os.path.join(copy, name))
                with h5py.File(os.path.join(copy, name), "r+") as file:
                    file.attrs["schema_version"] = np.bytes_("99")
                self.refused(job, names=[name, "99"], run=copy, ranks=BOTH if name == "trajectory.h5" else ALONE)
                write_bytes(os.path.join(copy, name), keep)
        shutil.copy(os.path.join(copy, "influence.h5"), os.path.join(copy, "trajectory.h5"))
        self.refused("influence", names=["trajectory.h5", "whence.influence"], run=copy)

    def test_truncated_file_is_refused(self):
        whole = read_bytes(os.path.join(self.run_folder, "trajectory.h5"))
        for size in (0, 7, 100, len(whole) // 2, len(whole) - 1):
            with self.subTest(size=size):
                copy = self.copy_of(self.run_folder, "truncated")
                write_bytes(os.path.join(copy, "trajectory.h5"), whole[:size])
                self.refused("influence", names=["trajectory.h5"], run=copy, ranks=BOTH if size == 100 else ALONE)

    def test_second_writer_is_refused(self):
        copy = self.copy_of(self.run_folder, "locked")
        with open(os.path.join(copy, ".lock.counterfactual"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refused("counterfactual", "--targets", "3", names=[copy], run=copy, ranks=BOTH)
            self.run_fine("influence", "--run", copy)  # another result, and so none of its business
        with open(os.path.join(copy, ".lock.influence"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.refused("influence", "--overwrite", "--quiet", names=[copy], run=copy)
        self.run_fine("influence", "--overwrite", "--run", copy)


class UnfinishedRunTest(ProgramTest):
    """A training run that was killed, or still goes on."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = os.path.join(cls.place, "unfinished")
        cls.command = ["train", "--out", cls.folder, *tiny(epochs=2000, engine="torch")]

    def test_unfinished_run_and_second_writer_are_refused(self):
        job = Job(*self.command, "--quiet")
        part = os.path.join(self.folder, "trajectory.h5.part")
        begun = [part, os.path.join(self.folder, "run.cfg")]
        self.assertTrue(watched_until(job, lambda: all(map(os.path.exists, begun))), "the run was too short for this test")
        # Another writer while this one is there.
        self.assert_refused(self.command, self.folder, folder=self.folder, ranks=BOTH)
        job.kill_all()
        for name in ("influence", "counterfactual", "verify"):
            ranks = BOTH if name == "influence" else ALONE
            sentence = self.assert_refused([name, "--run", self.folder], "not finished", folder=self.folder,
                                           ranks=ranks)
            self.assertIn("trajectory.h5", sentence)
        self.run_fine("info", part)
        # A damaged unfinished file is not gone on with.
        whole = read_bytes(part)
        write_bytes(part, whole[:len(whole) // 2])
        self.assert_refused(self.command, "trajectory.h5.part", folder=self.folder, ranks=BOTH)


class DivergenceTest(ProgramTest):
    """Runs whose numbers leave the floating-point range."""

    def test_divergence_names_step_and_player(self):
        folder = self.path("diverged")
        sentence = self.assert_refused(["train", "--out", folder, *tiny(rate_generator="1e300"), "--quiet"], "step",
                                       ("generator", "discriminator"), folder=folder, ranks=BOTH)
        self.assertRegex(sentence, r"step \d+")
        self.assertEqual(finals(folder), {})

    def test_parameters_that_overflow_in_the_last_step_are_refused(self):
        folder = self.path("overflow")
        self.assert_refused(["train", "--out", folder,
                             *tiny(instances=40, batch=40, epochs=1, dtype="float32", rate_generator="1e300")],
                            ("step", "generator", "--rate-generator"), folder=folder, ranks=ALONE)
        self.assertEqual(finals(folder), {})


class DamageTest(ProgramTest):
    """One flipped bit anywhere is refused, or changes no result."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.whole = cls.train("whole", *SMALLEST)
        cls.run_fine("influence", "--run", cls.whole, *SHORT_PATH[:-1])
        cls.run_fine("counterfactual", "--run", cls.whole, *SHORT_PATH[:-1], "--targets", "10", "--replicas", "4")
        cls.run_fine("validate", "--run", cls.whole)
        cls.outcomes = {"refused": 0, "harmless": 0}

    def places(self, name, sampled, of_arrays):
        """Byte positions: the superblock, some in each of `of_arrays`, and `sampled` all over the file."""
        draw = random.Random(20240 + len(name))
        size = os.path.getsize(os.path.join(self.whole, name))
        with h5py.File(os.path.join(self.whole, name), "r") as file:
            spans = {a: (file[a].id.get_offset(), file[a].id.get_storage_size()) for a in file}
        data = set()
        for offset, length in spans.values():
            data |= set(range(offset, offset + length))
        metadata = sorted(set(range(size)) - data)
        chosen = [("superblock", 9), ("superblock", draw.randrange(0, 48))]
        for array, count in of_arrays.items():
            offset, length = spans[array]
            chosen += [(array, offset + draw.randrange(length)) for _ in range(count)]
        chosen += [("metadata", draw.choice(metadata)) for _ in range(sampled)]
        return chosen

    def flip(self, name, position):
        """A copy of the run with one flipped bit in `name`."""
        copy = self.copy_of(self.whole, "flipped")
        content = bytearray(read_bytes(os.path.join(copy, name)))
        content[position] ^= 1 << position % 8
        write_bytes(os.path.join(copy, name), bytes(content))
        return copy

    def job_after_flip(self, name, place, position, job, result, *options, ranks=1):
        """Whether the job refuses the damaged run; if not, its result must be the undamaged one."""
        with self.subTest(file=name, place=place, position=position, ranks=ranks):
            copy = self.flip(name, position)
            os.remove(os.path.join(copy, result))
            ended = whence(job, "--run", copy, *options, ranks=ranks, timeout=30)
            if ended.code == 0:
                if result.endswith(".json"):
                    original, found = (read_json(os.path.join(f, result))["rows"] for f in (self.whole, copy))
                    self.assertEqual(original, found, "a flip went through into the result")
                else:
                    self.assert_same_arrays(os.path.join(self.whole, result), os.path.join(copy, result))
                return False
            self.assert_one_sentence(ended, job, (copy, name))
            self.assertNotIn(result, finals(copy))
            return True

    def test_flipped_parameters_batches_and_rates_are_refused(self):
        # With all epochs traced back every row is read.
        for array, count in (("params", 2), ("batch", 1), ("rate", 1)):
            chosen = self.places("trajectory.h5", 0, {array: 20 if FULL else count})[2:]
            for index, (place, position) in enumerate(chosen):
                ranks = 3 if index == 0 and array == "params" else 1
                self.assertTrue(self.job_after_flip("trajectory.h5", place, position, "verify", "influence.h5"),
                                "verify missed a flip in " + array)
                self.assertTrue(
                    self.job_after_flip("trajectory.h5", place, position, "influence", "influence.h5",
                                        "--epochs-back", "3", "--metric", "all,gen-loss", "--quiet", ranks=ranks) or
                    array == "params" and self.row_of(position) == 0, "influence read a flipped " + array)

    def row_of(self, position):
        with h5py.File(os.path.join(self.whole, "trajectory.h5"), "r") as file:
            params = file["params"]
            return (position - params.id.get_offset()) // (8 * params.shape[1])

    def test_flips_anywhere_in_the_trajectory_are_refused_or_harmless(self):
        every = {"params": 2, "params_crc": 1, "batch": 1, "rate": 1, "batch_crc": 1, "steps": 1, "instance_id": 1,
                 "state": 1, "committed": 1}
        refused = [self.job_after_flip("trajectory.h5", place, position, "influence", "influence.h5", *SHORT_PATH)
                   for place, position in self.places("trajectory.h5", 250 if FULL else 5, every)]
        self.assertIn(True, refused, "no flip was refused")
        self.assertIn(False, refused, "no flip was harmless, so that half of this test saw nothing")

    def test_flips_in_influence_are_refused_or_harmless(self):
        every = {"influence": 2, "epochs_back": 1, "kink_width": 1, "value": 1, "instance_id": 1}
        for place, position in self.places("influence.h5", 150 if FULL else 3, every):
            refused = self.job_after_flip("influence.h5", place, position, "validate", "validation.json")
            if place in every:
                self.assertTrue(refused, "a flip in %s went unnoticed" % place)

    def test_flips_in_counterfactuals_are_refused_or_harmless(self):
        every = {"influence": 2, "epochs_back": 1, "baseline": 1, "distance": 1, "target_id": 1, "target_position": 1}
        for place, position in self.places("counterfactual.h5", 150 if FULL else 3, every):
            refused = self.job_after_flip("counterfactual.h5", place, position, "validate", "validation.json")
            if place in every:
                self.assertTrue(refused, "a flip in %s went unnoticed" % place)


class FullDiskTest(ProgramTest):
    """A disk without room."""

    def test_training_that_does_not_fit_is_refused_at_the_start_and_can_go_on_later(self):
        with small_disk(self.path("disk"), 600) as disk:
            folder = os.path.join(disk, "run")
            filler = fill_disk(disk, 100)
            command = ["train", "--out", folder, *tiny(generator_hidden=32, discriminator_hidden=64, record="all")]
            self.assert_refused(command, "trajectory.h5", "KiB", "--record auto", folder=folder, ranks=BOTH)
            self.assertEqual(finals(folder), {})
            os.remove(filler)
            self.run_fine(*command)
            self.run_fine("verify", "--run", folder)

    def test_result_that_does_not_fit_is_refused(self):
        run = self.train("run", *tiny())
        jobs = [(("counterfactual", "--targets", "200", "--replicas", "8"), "counterfactual.h5"),
                (("influence",), "influence.h5")]
        with small_disk(self.path("disk"), 1000) as disk:
            folder = os.path.join(disk, "run")
            for arguments, name in jobs:
                for room in range(0, 48, 1 if FULL else 12):
                    for ranks in BOTH if room == 0 else ALONE:
                        with self.subTest(job=arguments[0], room=room, ranks=ranks):
                            shutil.rmtree(folder, ignore_errors=True)
                            shutil.copytree(run, folder)
                            self.check_on_full_disk(arguments, name, disk, folder, room, ranks)

    def check_on_full_disk(self, arguments, name, disk, folder, room, ranks):
        filler = fill_disk(disk, room)
        try:
            ended = whence(arguments[0], "--run", folder, *arguments[1:], "--quiet", ranks=ranks)
        finally:
            os.remove(filler)
        if ended.code == 0 or name in finals(folder):
            # Then all of it went in (a message about summary.json may have followed).
            whole = whence("verify", "--run", folder)
            self.assertEqual(whole.code, 0, "left a damaged %s: %s\n%s" % (name, ended, whole))
            self.assertIn(name + ": whole", whole.out, str(ended))
        if ended.code != 0:
            self.assert_one_sentence(ended, arguments[0], folder)
            self.run_fine(arguments[0], "--run", folder, *arguments[1:])  # with room again


if __name__ == "__main__":
    main()
