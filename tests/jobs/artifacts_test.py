"""Files with right checksums and wrong content end every job in one sentence (more of it: tests/fuzz/artifacts.py)."""

import concurrent.futures
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz"))

import numpy as np

import artifacts
import mutations
from support import FULL, ProgramTest, main, whence

CASES = 40 if FULL else 8  # of each of the 13 files


class ArtifactsTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.fuzz = artifacts.Fuzz(cls.place, seed=1)

    def damaged(self, artifact, change):
        """A copy of the artifact's folder with change(file) made, and checksums that fit."""
        chosen = self.fuzz.artifacts[artifact]
        folder = self.copy_of(chosen.folder, "damaged")
        path = os.path.join(folder, chosen.file)
        with mutations.opened(path) as file:
            change(file)
        mutations.make_checksums_right(path)
        return folder

    def test_impossible_positions_in_a_batch_are_refused_by_every_job(self):
        jobs = [("verify",), ("influence", "--epochs-back", "3", "--overwrite"),
                ("counterfactual", "--epochs-back", "3", "--targets", "5", "--overwrite"),
                ("cleanse", "--epochs-back", "3", "--remove", "5", "--select", "random", "--overwrite")]
        for position in (-1, 40, 10**6, 10**9, 2**62):
            def change(file):
                file["batch"][5, 3] = position
            for job, *options in jobs if position in (-1, 10**9) else jobs[:1]:
                with self.subTest(position=position, job=job):
                    folder = self.damaged("trajectory.h5", change)
                    self.assert_refused([job, "--run", folder, *options, *(["--quiet"] if options else [])],
                                        "trajectory.h5: batch holds %d, which is not between 0 and 39" % position,
                                        folder=folder, ranks=(1, 3) if position == -1 and job == "influence" else (1,))

    def test_parameters_of_another_shape_or_type_are_refused(self):
        for change, words in ((lambda v: v[0, 0], "params is float64 [], not"), (lambda v: v.astype("f4"), "trajectory.h5"),
                              (lambda v: v[:, :-1], "trajectory.h5"), (lambda v: v.astype("i8"), "params is int64 [13,")):
            folder = self.damaged("trajectory.h5", lambda file: mutations.put(file, "params", change(file["params"][()])))
            for job in ("verify", "influence", "info"):
                if job == "info" and "params is" not in words:
                    continue  # it does not know the run
                arguments = ["info", folder + "/trajectory.h5"] if job == "info" else [job, "--run", folder]
                self.assert_refused(arguments, words, folder=folder)

    def test_results_that_do_not_fit_their_run_are_refused_by_verify(self):
        nan, instances = float("nan"), 40
        for artifact, array, place, value, words in (
                ("influence.h5", "influence", (0, 0, 0, 7), nan, "influence holds nan"),
                ("influence.h5", "instance_id", 3, 10**9, "its instances are not those of the run"),
                ("influence.h5", "epochs_back", 0, -1, "epochs_back holds -1"),
                ("counterfactual.h5", "target_position", 0, instances, "target_position holds 40"),
                ("counterfactual.h5", "target_position", 0, -1, "target_position holds -1"),
                ("counterfactual.h5", "target_id", 0, 10**9, "is not the run's instance"),
                ("cleansing.h5", "extreme_position", (0, 0, 0), -1, "extreme_position holds -1"),
                ("cleansing.h5", "value", (0, 0, 0), nan, "value holds nan"),
                ("tracin.h5", "top", (0, 0), 10**9, "top holds 1000000000"),
                ("tracin.h5", "score", (0, 0), nan, "score holds nan"),
                ("density.h5", "query_position", 0, 30, "query_position holds 30"),
                ("density.h5", "distance", (0, 0), -1.0, "distance holds -1")):
            with self.subTest(artifact=artifact, array=array, value=value):
                def change(file):
                    file[array][place] = value
                folder = self.damaged(artifact, change)
                self.assert_refused(["verify", "--run", folder], artifact + ": ", words, folder=folder)

    def test_unfinished_files_of_other_sizes_are_refused(self):
        for artifact, array, words in (("trajectory.h5.part", "state", "state is"),
                                       ("counterfactual.h5.part", "rows", "rows is"),
                                       ("counterfactual.h5.part.0", "state", "state is"),
                                       ("influence.h5.part", "queries", "queries is"),
                                       ("influence.h5.part", "sums", "sums is")):
            with self.subTest(artifact=artifact):
                chosen = self.fuzz.artifacts[artifact]
                folder = self.damaged(artifact, lambda file: mutations.put(file, array, file[array][()][:1, 0]))
                job, *options = (word.replace("{}", folder) for word in chosen.jobs[0])
                self.assert_refused([job, *options], artifact + ": " + words, folder=folder)

    def test_unfinished_files_are_verified_too(self):
        for artifact, array, words in (("counterfactual.h5.part.0", "step", "step holds -1"),
                                       ("influence.h5.part", "taken", "taken holds -1")):
            whole = self.fuzz.artifacts[artifact].folder
            said = self.run_fine("verify", "--run", whole).out
            self.assertIn(artifact + ": whole", said)

            def change(file):
                file[array][0] = -1
            folder = self.damaged(artifact, change)
            self.assert_refused(["verify", "--run", folder], artifact + ": " + words, folder=folder)
        said = self.run_fine("verify", "--run", self.fuzz.artifacts["counterfactual.h5.part"].folder).out
        self.assertIn("counterfactual.h5.part: whole, 0 of 3 blocks are finished", said)

    def test_text_from_a_file_cannot_steer_the_terminal(self):
        def change(file):
            file.attrs["engine"] = np.bytes_(b"\x1b[2J\x1b]0;owned\x07\xff")
            file.attrs["\x1b[31mname"] = np.bytes_(b"red")
        folder = self.damaged("trajectory.h5", change)
        said = self.run_fine("info", folder + "/trajectory.h5").out
        self.assertIn("engine: \\x1b[2J\\x1b]0;owned\\x07\\xff", said)
        self.assertIn("\\x1b[31mname: red", said)
        self.assertNotIn("\x1b", said)
        refused = whence("info", self.path("\x1b[2Jnot\x07there"))
        self.assertIn("\\x1b[2Jnot\\x07there: no such file", self.assert_one_sentence(refused, "info"))

    def test_damaged_files_of_every_kind_and_job(self):
        cases = [(name, number) for name in self.fuzz.artifacts for number in range(CASES)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(lambda case: self.fuzz.case(*case), cases))
        print("\n" + artifacts.table(outcomes))
        broken = [outcome for outcome in outcomes if outcome.complaint is not None]
        self.assertEqual(broken, [], "\n".join(map(str, broken)))
        refused = sum(outcome.code != 0 for outcome in outcomes)
        self.assertGreater(refused, len(outcomes) // 4, "hardly any damage was noticed")
        self.assertLess(refused, len(outcomes), "no damage was harmless, so that a part of this test saw nothing")


if __name__ == "__main__":
    main()
