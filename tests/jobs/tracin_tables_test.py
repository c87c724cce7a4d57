"""tools/whence/report/tracin.py: every table, from small files whose numbers were worked out by hand."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np

from support import SOURCE, ProgramTest, main, read_bytes, write_bytes

sys.path.insert(0, os.path.join(SOURCE, "tools"))
from whence.report import tracin
from whence.results import Attempts

N = 20
PROGRAM = os.path.join(SOURCE, "tools", "tracin.py")
OPTIONS = {"checkpoints": "last", "list": "100", "loss": "training", "memory": "1024", "queries": "self",
           "query-noise": "fresh", "samples": "16", "weights": "none"}
RUN = {"beta": "4", "instances": str(N), "latent": "2", "plant": "none", "seed": "0"}
FOREIGN = 10 ** 9


def lines(settings):
    return "".join("%s = %s\n" % pair for pair in settings.items())


def row_of_rank(position, rank):
    """Scores N .. 1 of which `rank` are above that of the instance at this position."""
    others = [value for value in range(N, 0, -1) if value != N - rank]
    return np.insert(np.array(others, float), position, N - rank)


class TablesTest(ProgramTest):
    def write(self, folder, file="tracin.h5", run=(), fingerprint="1", options=(), arrays=()):
        """A file as `whence tracin` writes it, of instances 0 .. N - 1, with these options and arrays."""
        os.makedirs(self.path(folder), exist_ok=True)
        with h5py.File(self.path(folder, file), "w") as out:
            out.attrs.update({"schema": "whence.tracin", "settings": lines({**OPTIONS, **dict(options)}), "shape": "2,2",
                              "run_settings": lines({**RUN, **dict(run)}), "run": fingerprint})
            for name, values in {"step": [60], "instance_id": np.arange(N), **dict(arrays)}.items():
                if values is not None:
                    out[name] = np.asarray(values)
        return self.path(folder)

    def write_queries(self, folder, file="tracin.h5", options=(), **arrays):
        count = len(arrays["score"] if "score" in arrays else arrays["query_loss"][0])
        return self.write(folder, file, options={"queries": "test:%d" % count, **dict(options)}, arrays={
            "query_id": np.arange(count), "query_loss": np.zeros((1, count)), "latent_mean": np.zeros((N, 2)),
            "query_latent_mean": np.zeros((count, 2)), **arrays})

    def found(self, *folders):
        return tracin.Findings(folders, Attempts())

    def tables(self, folder):
        found = self.found(folder)
        self.assertEqual(found.attempts.missing, [])
        (tables,) = found.by_file.values()
        return tables

    def program(self, *arguments):
        return subprocess.run([sys.executable, PROGRAM, *map(str, arguments)], capture_output=True, text=True)

    def numbers(self, *folders):
        done = self.program(*folders, "--json", self.path("numbers.json"))
        self.assertEqual(done.returncode, 0, done.stderr)

        def refuse(word):
            raise AssertionError(word + " is not JSON")

        return json.loads(read_bytes(self.path("numbers.json")), parse_constant=refuse), done.stderr

    def assert_near(self, found, expected):
        self.assertEqual(set(found), set(expected))
        for name, value in expected.items():
            if isinstance(value, dict):
                self.assert_near(found[name], value)
            else:
                np.testing.assert_allclose(found[name], value, rtol=1e-12, err_msg=name)


class FileTest(TablesTest):
    """Tables of one file."""

    def test_self_top(self):
        ranks, positions = (0, 4, 5, 9), (3, 0, 7, 19)
        folder = self.write("self-top", options={"queries": "train:4"}, arrays={
            "score": [row_of_rank(*pair) for pair in zip(positions, ranks)], "query_position": positions})
        self.assert_near(self.tables(folder)["self_top"], {
            "queries": 4, "self_top1": 0.25, "self_top5": 0.5, "self_rank_quantiles": [3, 4.5, 6]})

    def test_equal_scores_are_in_the_order_of_the_list(self):
        score = np.zeros((2, N))
        folder = self.write("equal", options={"queries": "train:2"}, arrays={"score": score, "query_position": [0, 6]})
        self.assert_near(self.tables(folder)["self_top"], {
            "queries": 2, "self_top1": 0.5, "self_top5": 0.5, "self_rank_quantiles": [1.5, 3, 4.5]})

    def foremost(self, folder, **labels):
        """Instance p at (3p, 4p), so of norm 5p; queries at p = 2 and 10."""
        places = np.arange(N)[:, None] * np.array([[3.0, 4.0]])
        score = np.zeros((2, N))
        score[[0, 0, 1, 1], [5, 12, 1, 19]] = [1, -1, 1, -1]
        return self.tables(self.write_queries(folder, score=score, latent_mean=places, query_latent_mean=places[[2, 10]],
                                              **labels))["foremost"]

    def test_foremost(self):
        found = self.foremost("foremost", label=np.arange(N) % 2, query_label=[1, 1])
        distances = np.abs(5.0 * np.arange(N)[:, None] - [10, 50])
        self.assertEqual(distances.sum(), 5 * 256)
        self.assert_near(found, {
            "queries": 2, "foremost": 1,
            "proponents": {"distance": [30, 15], "norm": [15, 10], "same_class": 1},
            "opponents": {"distance": [47.5, 2.5], "norm": [77.5, 17.5], "same_class": 0.5},
            "all": {"distance": [32, np.sqrt((distances ** 2).mean() - 32 ** 2)], "norm": [47.5, 5 * np.sqrt(399 / 12)],
                    "same_class": 0.5}})

    def test_foremost_without_labels(self):
        found = self.foremost("unlabelled")
        self.assert_near(found["opponents"], {"distance": [47.5, 2.5], "norm": [77.5, 17.5]})

    def test_mixtures(self):
        major, minor = (4, 9, 0, 11), (5, 2, 1, 12)
        score = [row_of_rank(position, rank) for position, rank in zip(major, (0, 0, 2, 10))]
        # All but the major have falling scores in the order of their positions: the minors' ranks are 5, 3, 0 and 12.
        folder = self.write("mixtures", options={"queries": "mixtures"}, arrays={
            "query_id": range(4), "score": score, "major": major, "minor": minor})
        self.assert_near(self.tables(folder)["mixtures"], {
            "mixtures": 4, "major_top1": 0.5, "major_rank_quantiles": [0, 1, 4], "minor_rank_quantiles": [2.25, 4, 6.75]})

    def test_loss_changes(self):
        folder = self.write_queries("changes", query_loss=[[10.0, 8], [7, 7], [6, 3]],
                                    predicted_change=[[2.0, 1], [0, 5], [99, -99]], step=[0, 1, 2])
        self.assert_near(self.tables(folder)["loss_changes"], {
            "intervals": 2, "queries": 2, "pearson": 9 / np.sqrt(14 * 6.75)})

    def test_loss_changes_of_one_interval_and_of_none(self):
        one = self.write_queries("one", query_loss=[[10.0, 8, 6], [7, 7, 6]],
                                 predicted_change=[[2.0, 3, 1], [0, 5, 0]], step=[0, 1])
        self.assert_near(self.tables(one)["loss_changes"], {  # changes 3, 1, 0
            "intervals": 1, "queries": 3, "pearson": 1 / np.sqrt(2 * 42 / 9)})
        score = np.zeros((1, N))
        for name, losses in (("none", [[10.0]]), ("one-point", [[10.0], [9]])):
            folder = self.write_queries(name, query_loss=losses, predicted_change=np.zeros_like(losses), score=score)
            self.assertEqual(set(self.tables(folder)), {"foremost"})
        # A query's loss that never changes has no correlation with what was predicted.
        constant = self.write_queries("constant", query_loss=[[5.0, 5], [5, 5]], predicted_change=[[2.0, 1], [0, 0]],
                                      step=[0, 1])
        self.assertNotIn("loss_changes", self.tables(constant))

    def test_self_against_loss(self):
        folder = self.write("loss", arrays={"self_influence": [9.0, 6, 7, 2], "loss": [[8.0, 1, 8, 1], [1, 2, 3, 4]],
                                            "instance_id": range(4)})
        self.assert_near(self.tables(folder)["self_against_loss"], {"instances": 4, "slope": 2, "r_squared": 100 / 130})

    def test_numbers_that_are_none_are_null(self):
        self.write("diverged", options={"queries": "train:2"}, arrays={
            "score": np.full((2, N), np.nan), "query_position": [0, 1]})
        found = self.numbers(self.path("diverged"))[0]["diverged/tracin.h5"]["self_top"]
        self.assertEqual(found, {"queries": 2, "self_top1": 0, "self_top5": 0, "self_rank_quantiles": [None] * 3})


class TogetherTest(TablesTest):
    """Tables over files."""

    def planted(self, folder, place, file="tracin-self.h5", **changes):
        """Four instances, of which the planted one is at this place in the order of self-influence."""
        ids = [0, 1, 2]
        ids.insert(place, FOREIGN)
        return self.write(folder, file, arrays={"instance_id": ids, "self_influence": [8.0, 4, 2, 1]}, **changes)

    def test_detection_is_over_repeats_of_the_same_settings(self):
        folders = [self.planted("seed%d" % seed, place, run={"seed": str(seed)}, fingerprint=str(seed))
                   for seed, place in ((0, 0), (1, 2))]
        # Other numbers under the same name of a run: whoever counts them has a third repeat.
        self.planted("seed0", 3, "tracin-twice.h5", options={"memory": "64"}, fingerprint="0")
        folders.append(self.planted("wide", 1, run={"latent": "8"}, fingerprint="2"))
        folders.append(self.planted("copy", 3, run={"seed": "1"}, fingerprint="1"))
        found = self.found(*folders)
        narrow, wide = found.detection
        self.assertEqual(narrow.pop("settings"), {"latent": "2"})
        self.assertEqual(narrow.pop("runs"), ["seed0/tracin-self.h5", "seed1/tracin-self.h5"])
        self.assert_near(narrow, {"auc": [0.875, 0.375], "auc_mean": 0.625, "auc_standard_error": 0.25})
        self.assertEqual(wide, {"settings": {"latent": "8"}, "runs": ["wide/tracin-self.h5"], "auc": [0.625],
                                "auc_mean": 0.625, "auc_standard_error": None})
        checked, mean, error = found.groups[0].mean_curve()
        np.testing.assert_allclose(checked, [0, 0.25, 0.5, 0.75, 1])
        np.testing.assert_allclose(mean, [0, 0.5, 0.5, 1, 1])
        np.testing.assert_allclose(error, [0, 0.5, 0.5, 0, 0])
        self.assertIsNone(found.groups[1].mean_curve()[2])

    def test_scores_of_other_checkpoints_are_no_repeats(self):
        folder = self.planted("two-ways", 0)
        self.planted("two-ways", 1, "tracin-sum.h5", options={"checkpoints": "all"})
        self.assertEqual([row["settings"] for row in self.found(folder).detection],
                         [{"tracin checkpoints": "last"}, {"tracin checkpoints": "all"}])

    def test_removal(self):
        run = {"instances": "18", "plant": "idx:/some:4"}
        for name, left, losses in (("less", 15, [[5.0, 5], [1, 2]]), ("whole", 22, [[5.0, 5], [2, 4]])):
            self.write(name, run=run, options={"queries": "test:2"}, arrays={
                "instance_id": range(left), "query_id": [0, 1], "query_loss": losses, "step": [0, 1]})
        found = self.found(self.path("less"), self.path("whole"))
        self.assertEqual(found.removal, [
            {"file": "whole/tracin.h5", "removed": 0, "queries": 2, "loss": 3.0},
            {"file": "less/tracin.h5", "removed": 7, "queries": 2, "loss": 1.5}])
        self.assertEqual(self.found(self.path("whole")).removal, [])

    def samples(self, folder, errors):
        truth = np.arange(2.0 * N).reshape(2, N)
        signs = np.where(np.arange(N) % 3, 1, -1)
        for m, error in errors.items():
            self.write_queries(folder, "tracin-m%d.h5" % m, {"samples": str(m)}, score=truth + error * signs)
        return self.path(folder)

    def test_samples_needed(self):
        folder = self.samples("samples", {1: 8, 4: 4, 16: 1, 256: 0})
        # Of the largest m twice: the second is no point of error 0.
        self.write_queries("samples", "tracin-twice.h5", {"samples": "256", "memory": "64"},
                           score=np.arange(2.0 * N).reshape(2, N))
        (found,), told = self.numbers(folder)[0]["samples_needed"], self.numbers(folder)[1]
        self.assertEqual(told, "")
        self.assertEqual(found.pop("truth"), "samples/tracin-m256.h5")
        self.assert_near(found, {"m": [1, 4, 16], "error": [8, 4, 1], "truth_m": 256, "slope": -0.75})
        page = "".join(tracin.sections(self.found(folder)))
        self.assertIn("Error of the scores against the number of samples", page)

    def test_errors_of_nothing_are_left_out_of_the_slope(self):
        found, = self.found(self.samples("gap", {1: 8, 4: 0, 16: 2, 256: 0})).samples_needed
        self.assertAlmostEqual(found["slope"], -0.5)
        found, = self.numbers(self.samples("exact", {1: 0, 4: 0, 16: 0, 256: 0}))[0]["samples_needed"]
        self.assertEqual((found["error"], found["slope"]), ([0, 0, 0], None))
        self.assertEqual(self.found(self.samples("few", {1: 1, 4: 1, 16: 1})).samples_needed, [])

    def test_judged_by_retraining(self):
        targets = [3, 7, 1, 12]
        score = np.zeros((1, N))
        score[0, targets] = [4, 3, 2, 1]
        folder = self.write_queries("judged", options={"samples": "8", "instance-noise": "training"}, score=score)
        estimate = np.zeros((1, 4, 2, N))  # kink widths, metrics, epochs back, instances
        estimate[0, 2, 1, targets] = [1, 2, 4, 3]
        estimate[0, 1, 1, targets] = [4, 3, 2, 1]
        with h5py.File(self.path("judged", "influence.h5"), "w") as file:
            file.attrs["metrics"] = "all,loss:1,loss:0,loss:2"
            file.update({"influence": estimate, "epochs_back": [1, 5], "kink_width": [0.5]})
        rising = [1.0, 2, 3, 4]
        with h5py.File(self.path("judged", "counterfactual.h5"), "w") as file:
            file.attrs["metrics"] = "loss:0,loss:1,loss:2,fid"
            file.update({"target_position": targets, "epochs_back": [5, 9], "influence": [
                [rising, rising], [rising[::-1], rising], [[0] * 4, [0] * 4], [rising, rising]]})
        self.assertEqual(list(self.found(folder).judged), ["judged"])
        trace_back, scored = self.found(folder).judged["judged"]
        # loss:0: five of six pairs are in order; loss:1: all, and there is no such query; loss:2: nothing changes it.
        self.assertEqual(trace_back.pop("method"), "trace-back, kink width 0.5")
        self.assert_near(trace_back, {
            "epochs_back": 5, "queries": 2, "targets": 4, "kendall_tau": 5 / 6, "kendall_tau_std": 1 / 6})
        self.assertEqual(scored.pop("method"), "tracin, weights none, m = 8, noise of training (tracin.h5)")
        self.assert_near(scored, {"epochs_back": 5, "queries": 1, "targets": 4, "kendall_tau": -1, "kendall_tau_std": 0})


class NamesTest(TablesTest):
    """Which files there are, what they are called, and those that cannot be used."""

    def write_self(self, folder, values, **changes):
        return self.write(folder, "tracin-self.h5", arrays={"self_influence": values, "loss": [np.arange(N) % 7.0]}, **changes)

    def test_runs_of_the_same_name_are_told_apart(self):
        for place, latent in (("A", "3"), ("B", "5")):
            self.write_self(place + "/seed0", np.arange(N), run={"latent": latent})
        a, b = self.path("A", "seed0"), self.path("B", "seed0")
        found, told = self.numbers(a, b, b + "/", os.path.join(a, "..", "seed0"))
        self.assertEqual(told, "")
        self.assertEqual({name: values["run"]["latent"] for name, values in found.items()},
                         {"A/seed0/tracin-self.h5": "3", "B/seed0/tracin-self.h5": "5"})
        self.assertEqual(list(self.numbers(a + "/")[0]), ["seed0/tracin-self.h5"])

    def test_what_is_damaged_costs_itself_alone(self):
        folder = self.write_self("damaged", np.arange(N))
        whole = read_bytes(os.path.join(folder, "tracin-self.h5"))
        write_bytes(os.path.join(folder, "tracin-cut.h5"), whole[:len(whole) // 2])
        write_bytes(os.path.join(folder, "tracin-empty.h5"), b"")
        self.write_queries("damaged", "tracin-test.h5", score=np.zeros((2, N)), latent_mean=None,
                           query_loss=[[3.0, 1], [1, 0]], predicted_change=[[2.0, 1], [0, 0]], step=[0, 1])
        os.makedirs(self.path("nothing"), exist_ok=True)
        found, told = self.numbers(folder, self.path("nothing"))
        self.assertIn("self_against_loss", found["damaged/tracin-self.h5"])
        self.assertIn("loss_changes", found["damaged/tracin-test.h5"])
        self.assertNotIn("foremost", found["damaged/tracin-test.h5"])
        names = ["damaged/tracin-cut.h5", "damaged/tracin-empty.h5", "nothing/tracin*.h5", "damaged/tracin-test.h5: foremost"]
        self.assertEqual([name for name, reason in found["missing"]], names)
        for name, line in zip(names, told.splitlines(), strict=True):
            self.assertTrue(line.startswith("tracin: no %s: " % name), line)

    def test_folders_without_scores_are_refused(self):
        os.makedirs(self.path("nothing"), exist_ok=True)
        done = self.program(self.path("nothing"), "--json", self.path("not.json"))
        self.assertEqual(done.returncode, 1)
        self.assertFalse(os.path.exists(self.path("not.json")))

    def test_highest(self):
        folder = self.write_self("highest", np.arange(N) % 10)
        done = self.program(folder, "--highest", "3")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "9\n19\n8\n", ""))
        self.assertEqual(len(self.program(folder, "--highest", N).stdout.split()), N)
        for arguments in ((folder, "--highest", "0"), (folder, "--highest", "-1"), (folder, "--highest", N + 1),
                          (folder, folder, "--highest", "3"), (self.path("nowhere"), "--highest", "3")):
            done = self.program(*arguments)
            self.assertEqual((done.returncode, done.stdout, done.stderr.count("\n")), (2, "", 1), str(done))
            self.assertTrue(done.stderr.startswith("tracin: "), done.stderr)


if __name__ == "__main__":
    main()
