"""--record auto: all steps where they fit, else about sqrt(T) checkpoints; decided once, and written down."""

import os

from support import ProgramTest, arrays, fill_disk, main, read_bytes, small_disk, tiny, whence

STEPS = 45  # of tiny(): 3 epochs of 15


class RecordTest(ProgramTest):
    def recorded(self, folder):
        """--record in run.cfg, and the recorded steps."""
        lines = read_bytes(os.path.join(folder, "run.cfg")).decode().splitlines()
        return [line for line in lines if line.startswith("record = ")], list(
            arrays(os.path.join(folder, "trajectory.h5"))["steps"])

    def test_all_steps_are_kept_where_they_fit(self):
        folder = self.train("fits", *tiny())
        self.assertEqual(self.recorded(folder), (["record = all"], list(range(STEPS + 1))))
        given = self.train("given", *tiny(record="all"))
        self.assert_same_bytes(*(os.path.join(f, "trajectory.h5") for f in (folder, given)))

    def test_about_sqrt_t_where_they_do_not_and_later_starts_go_on_so(self):
        with small_disk(self.path("disk"), 4000) as disk:
            folder = os.path.join(disk, "run")
            filler = fill_disk(disk, 400)
            wide = tiny(generator_hidden=16, discriminator_hidden="16,16", epochs=3)
            large = ["train", "--out", folder, *wide, "--latent", "60"]
            done = whence(*large, ranks=2)
            self.assertEqual(done.code, 0, str(done))
            self.assertIn("--record auto is checkpoints:7 here, since all 45 steps would take", done.err)
            lines, steps = self.recorded(folder)
            self.assertEqual(lines, ["record = checkpoints:7"])
            self.assertEqual((len(steps), steps[0], steps[-1]), (8, 0, STEPS))
            os.remove(filler)
            again = whence(*large)
            self.assertIn("already finished", again.err, str(again))
            self.assert_refused([*large, "--record", "all", "--quiet"], "other settings", folder=folder)
            for job in ("influence", "counterfactual"):
                self.run_fine(job, "--run", folder, "--epochs-back", "2")

    def test_a_run_recorded_otherwise_is_another_run(self):
        folder = self.train("every", *tiny(record="every:9"))
        self.assert_refused(["train", "--out", folder, *tiny()], "other settings", folder=folder)

    def test_checkpoints_take_its_place(self):
        folder = self.train("checkpoints", *tiny(checkpoints=3))
        self.assertEqual(self.recorded(folder), (["record = all"], [0, 15, 30, 45]))
        self.run_fine("train", "--out", folder, *tiny(checkpoints=3))


if __name__ == "__main__":
    main()
