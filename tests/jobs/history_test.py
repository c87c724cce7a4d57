"""What is told and kept of a training while it goes on: history.csv and history.h5."""

import os
import signal

import h5py
import numpy as np

from interrupt_support import watched_until
from support import FULL, Job, ProgramTest, arrays, attributes, main, read_bytes, tiny, whence, write_bytes
from vae_support import vae, write_idx

LONG = tiny(epochs=400, record="last:1") + ["--watch", "all", "--watch-every", "5"]


def table(folder):
    """Column names and rows of history.csv."""
    lines = read_bytes(os.path.join(folder, "history.csv")).decode().splitlines()
    return lines[0].split(","), np.array([[float(cell) for cell in line.split(",")] for line in lines[1:]])


def told(result):
    """Steps of the rows that were printed."""
    return [int(line.split("step ")[1].split(" ")[0]) for line in result.err.splitlines() if ": loss." in line]


class HistoryTest(ProgramTest):
    def test_rows_of_every_epoch_are_told_and_kept(self):
        folder = self.path("run")
        done = whence("train", "--out", folder, *tiny(), "--watch", "all,disc-loss,gen-loss")
        self.assertEqual(done.code, 0, str(done))
        names, rows = table(folder)
        self.assertEqual(names, ["step", "epoch", "loss.generator", "loss.discriminator", "all", "disc-loss", "gen-loss"])
        np.testing.assert_array_equal(rows[:, :2], [[0, 0], [15, 1], [30, 2], [45, 3]])
        self.assertEqual(told(done), [0, 15, 30, 45])
        file = arrays(os.path.join(folder, "history.h5"))
        np.testing.assert_array_equal(file["step"], rows[:, 0])
        np.testing.assert_array_equal(file["value"], rows[:, 2:])
        self.assertEqual(attributes(os.path.join(folder, "history.h5"))["columns"], ",".join(names[2:]))
        # All 50 held-out instances are watched, and this game has no penalty: the losses are the metrics.
        np.testing.assert_allclose(rows[:, [3, 2]], rows[:, [5, 6]], rtol=1e-12)
        self.run_fine("influence", "--run", folder, "--metric", "all,disc-loss,gen-loss")
        np.testing.assert_allclose(rows[-1, 4:], arrays(os.path.join(folder, "influence.h5"))["value"], rtol=1e-12)
        self.assertIn("history.h5: whole", self.run_fine("verify", folder).out)
        self.assertIn("history.h5", self.run_fine("info", folder).out)

    def test_watching_changes_no_bit_of_the_run(self):
        plain = self.train("plain", *tiny(), "--watch-every", "never")
        self.assertFalse(os.path.exists(os.path.join(plain, "history.csv")))
        watched = self.train("watched", *tiny(), "--watch-every", "1", "--watch", "all,disc-loss")
        self.assertEqual(len(table(watched)[1]), 46)
        self.assert_same_bytes(os.path.join(plain, "trajectory.h5"), os.path.join(watched, "trajectory.h5"))
        self.assertEqual(read_bytes(os.path.join(plain, "run.cfg")), read_bytes(os.path.join(watched, "run.cfg")))

    def test_on_any_number_of_ranks(self):
        options = (*tiny(), "--watch", "all,disc-loss,gen-loss")
        names, rows = table(self.train("one", *options))
        for ranks in (2, 3) if FULL else (2,):
            other = table(self.train("on-%d" % ranks, *options, ranks=ranks))
            self.assertEqual(other[0], names)
            np.testing.assert_allclose(other[1], rows, rtol=1e-9)

    def interrupted(self, name, end, ranks=1):
        """A run that was ended in its middle and started again, to compare with one that was not."""
        folder = self.path(name)
        job = Job("train", "--out", folder, *LONG, "--quiet", ranks=ranks)
        csv = os.path.join(folder, "history.csv")
        watched_until(job, lambda: os.path.exists(csv) and read_bytes(csv).count(b"\n") > 100)
        end(job)
        self.assertFalse(os.path.exists(os.path.join(folder, "trajectory.h5")), "it had ended before it was stopped")
        return folder

    def test_killed_and_gone_on_it_ends_with_the_same_rows(self):
        whole = self.train("whole", *LONG)

        def stop(job):
            job.process.send_signal(signal.SIGTERM)
            job.release()
            self.assertEqual(job.wait().code, 75)

        for name, end in (("killed", Job.kill_all), ("stopped", stop)):
            folder = self.interrupted(name, end)
            csv = os.path.join(folder, "history.csv")
            if name == "stopped":  # a line that was cut off by the end
                write_bytes(csv, read_bytes(csv) + b"5995,399.")
            self.run_fine("train", "--out", folder, *LONG)
            for file in ("history.csv", "history.h5", "trajectory.h5"):
                self.assert_same_bytes(os.path.join(folder, file), os.path.join(whole, file))

    def test_other_metrics_or_a_lost_table_when_it_goes_on(self):
        folder = self.interrupted("other", Job.kill_all)
        other = [word if word != "all" else "disc-loss" for word in LONG]
        self.assert_refused(["train", "--out", folder, *other], "--watch", folder=folder)
        os.remove(os.path.join(folder, "history.csv"))
        done = whence("train", "--out", folder, *other)
        self.assertEqual(done.code, 0, str(done))
        self.assertRegex(done.err, r"history.csv: steps before \d+ were not watched")
        names, rows = table(folder)
        self.assertEqual((names[-1], rows[-1, 0]), ("disc-loss", 6000))

    def test_long_runs_print_some_of_their_rows(self):
        folder = self.path("long")
        done = whence("train", "--out", folder, *tiny(epochs=100), "--watch-every", "3")
        self.assertEqual(len(table(folder)[1]), 501)
        printed = told(done)
        self.assertTrue(20 <= len(printed) <= 27, printed)
        self.assertEqual((printed[0], printed[-1]), (0, 1500))

    def test_divergence_is_told_in_one_sentence(self):
        done = whence("train", "--out", self.path("diverged"), *tiny(epochs=2), "--rate-generator", "1000")
        self.assertEqual((done.code, done.err.count("has probably diverged")), (0, 1), str(done))
        self.assertRegex(done.err, r"step \d+: the training has probably diverged: the loss of \w+ went from \S+ to \S+;")
        fine = whence("train", "--out", self.path("fine"), *tiny())
        self.assertNotIn("diverged", fine.err)

    def test_samples_of_images_at_ten_moments(self):
        draw = np.random.default_rng(0)
        write_idx(self.path("images"), draw.integers(0, 256, (160, 6, 6)))
        data = ["--data", "idx:" + self.path("images"), *tiny(instances=100, held_out=20)]
        folder = self.train("images-run", *data)
        file = arrays(os.path.join(folder, "history.h5"))
        self.assertEqual(file["sample"].shape, (10, 36, 36))
        self.assertEqual(file["sample_step"].tolist(), [i * 15 // 9 for i in range(10)])
        self.assertEqual(file["shape"].tolist(), [6, 6])
        self.assertGreater(np.abs(file["sample"][0] - file["sample"][-1]).max(), 0)
        self.assertFalse(os.path.exists(os.path.join(folder, "history.samples.part")))
        self.assertNotIn("sample", arrays(os.path.join(self.train("vae", *vae("idx:" + self.path("images"))), "history.h5")))

    def test_what_is_refused(self):
        for words, says in ((("--watch-every", "0"), "--watch-every: '0'"), (("--watch-every", "often"), "--watch-every: 'often'"),
                            (("--watch", "nothing"), "--watch: 'nothing'"), (("--watch", "fid"), "--classifier"),
                            (("--watch", "all", "--watch-every", "never"), "--watch")):
            self.assert_refused(["train", "--out", self.path("refused"), *tiny(), *words], says)
            self.assertFalse(os.path.exists(self.path("refused")))

    def test_a_history_of_another_run_is_known(self):
        folder, other = self.train("mine", *tiny()), self.train("theirs", *tiny(seed=1))
        copy = self.copy_of(folder, "copy")
        with h5py.File(os.path.join(copy, "history.h5"), "r+") as file:  # of the same settings, with another end
            file.attrs.modify("end", np.bytes_("00000000"))
        self.assert_refused(["verify", copy], "history.h5: is of another run")
        os.replace(os.path.join(other, "history.h5"), os.path.join(folder, "history.h5"))
        self.assert_refused(["verify", folder], "history.h5: is of another run")


if __name__ == "__main__":
    main()
