"""Ranks that were given different options, data or folders are refused in one sentence, before any work."""

import fcntl
import os
import socket
import subprocess
import time

import h5py
import numpy as np

from at_hand import AtHand
from support import MPIRUN, WHENCE, ProgramTest, Result, attributes, main, tiny, whence
from vae_support import write_idx

HOST = socket.gethostname()


def each(*ranks, timeout=40):
    """Runs the program with arguments and working folder of its own on each rank: each((folder, [arguments]), ...)."""
    loaded = AtHand.of(WHENCE)
    rank, more = loaded.as_rank() if loaded else (WHENCE, {})
    command = list(MPIRUN)
    for number, (folder, arguments) in enumerate(ranks):
        command += [":"] * (number > 0) + ["-n", "1", "--wdir", folder, rank] + [str(a) for a in arguments]
    begin = time.monotonic()
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               env={**os.environ, **more})
    try:
        out, err = program.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        program.terminate()  # mpirun takes its ranks along
        program.communicate()
        raise AssertionError("no end within %d s: %s" % (timeout, " ".join(command))) from None
    return Result(command, program.returncode, out, err, time.monotonic() - begin)


def write_images(path, seed, count=60, side=4):
    write_idx(path, np.random.default_rng(seed).integers(0, 256, (count, side, side), dtype=np.uint8))


class Nodes(ProgramTest):
    """Two ranks, each with a folder of its own to be in."""

    def setUp(self):
        self.nodes = [self.path("node0"), self.path("node1")]  # each rank's own disk
        for node in self.nodes:
            os.makedirs(node, exist_ok=True)

    def on_nodes(self, *arguments, second=None):
        """The same arguments in each node's folder; `second`: others on rank 1."""
        return each((self.nodes[0], arguments), (self.nodes[1], second or arguments))

    def assert_differ(self, result, job, *names):
        self.assert_one_sentence(result, job, "all ranks need the same", "rank 0 (%s)" % HOST, "rank 1 (%s)" % HOST, *names)
        self.assertEqual(result.code, 2, str(result))


class AgreementTest(Nodes):
    def test_options_of_a_file_on_each_node(self):
        for node, width in zip(self.nodes, ("1e-3", "2e-3")):
            with open(os.path.join(node, "job.cfg"), "w") as file:
                file.write("kink-width = %s\n" % width)
        run = self.train("options", *tiny())
        self.assert_differ(self.on_nodes("influence", "--run", run, "--config", "job.cfg"), "influence",
                           "--kink-width is '1e-3' on rank 0", "'2e-3' on rank 1")
        self.assertFalse(os.path.exists(os.path.join(run, "influence.h5")))

    def test_settings_and_execution_options_of_training(self):
        out = self.path("new")
        for option, one, other in (("--epochs", "3", "4"), ("--seed", "0", "1"), ("--out", out, out + "-2"),
                                   ("--share-gpu", None, "")):
            with self.subTest(option):
                first = ["train", *([] if option == "--out" else ["--out", out]), *tiny(epochs=3)]
                second = first + [option] + ([other] if other else [])
                first = first + ([option, one] if one else [])
                if option == "--epochs":
                    first, second = (["train", "--out", out, *tiny(epochs=value)] for value in (one, other))
                self.assert_differ(self.on_nodes(*first, second=second), "train", option + " is ")
                self.assertFalse(os.path.exists(out))

    def test_each_rank_may_have_threads_and_quiet_of_its_own(self):
        first = ["train", "--out", self.path("threads"), *tiny(epochs=1), "--quiet"]
        result = self.on_nodes(*first, second=first[:-1] + ["--threads", "2"])
        self.assertEqual(result.code, 0, str(result))

    def test_another_job_and_options_that_one_rank_refuses(self):
        first = ["train", "--out", self.path("other"), *tiny()]
        self.assert_differ(self.on_nodes(*first, second=["verify", "--run", "x"]), "train", "the job is 'train' on rank 0")
        self.assert_differ(self.on_nodes("--help", second=first), "--help", "the job is '--help' on rank 0")
        for wrong in (["--epochz", "4"], ["--config", "missing.cfg"]):
            result = self.on_nodes(*first, second=first + wrong)
            self.assert_one_sentence(result, "train", "rank 1 (%s): " % HOST)
            self.assertEqual(result.code, 2, str(result))
        self.assertFalse(os.path.exists(self.path("other")))

    def test_data_of_each_node(self):
        write_images(os.path.join(self.nodes[0], "x.idx"), 1)
        job = ["train", "--game", "mlp-vae", "--data", "idx:x.idx", "--instances", 40, "--held-out", 10, "--hidden", 4,
               "--latent", 1, "--batch", 10, "--steps", 4, "--out", self.path("images")]
        self.assert_one_sentence(self.on_nodes(*job), "train", "rank 1 (%s): " % HOST, "x.idx")
        write_images(os.path.join(self.nodes[1], "x.idx"), 2)
        self.assert_differ(self.on_nodes(*job), "train", "--data is ")
        self.assertFalse(os.path.exists(self.path("images")))
        write_images(os.path.join(self.nodes[1], "x.idx"), 1)
        self.assertEqual(self.on_nodes(*job).code, 0)
        # The run again, from data that one node has changed since.
        write_images(os.path.join(self.nodes[1], "x.idx"), 2)
        self.assert_one_sentence(self.on_nodes("tracin", "--run", self.path("images"), "--queries", "test:3", "--data",
                                               "idx:x.idx"), "tracin",
                                 "rank 1 (%s): " % HOST, "recorded with other data")

    def test_labels_of_each_node(self):
        for node, labels in zip(self.nodes, ([0, 1] * 30, [1, 0] * 30)):
            write_images(os.path.join(node, "x.idx"), 1, side=28)
            write_idx(os.path.join(node, "y.idx"), np.array(labels, dtype=np.uint8))
        self.assert_differ(self.on_nodes("train", "--game", "classifier", "--data", "idx:x.idx,y.idx", "--instances", 40,
                                         "--held-out", 10, "--epochs", 1, "--batch", 10, "--out", self.path("labels")),
                           "train", "labels=")

    def test_density_compares_data_too(self):
        for node, value in zip(self.nodes, (1, 2)):
            with open(os.path.join(node, "p.csv"), "w") as file:
                file.write("a,b\n" + "".join("%d,%d\n" % (i, i * i * value) for i in range(30)))
        self.assert_differ(self.on_nodes("density", "--out", self.path("density"), "--data", "csv:p.csv", "--estimator", "knn",
                                         "--k", 3), "density", "--data is ")


class FoldersTest(Nodes):
    """Ranks that mean different folders by one name, or find unfinished work of another kind."""

    def test_relative_names_of_private_folders(self):
        run = self.train("own", *tiny(test=50))
        self.run_fine("influence", "--run", run)
        for node in self.nodes:
            self.copy_of(run, os.path.join(node, "run"))
        for job in (["influence", "--kink-width", "0", "--overwrite"], ["counterfactual", "--targets", 4],
                    ["cleanse", "--select", "influence:all,random", "--remove", "3"]):
            with self.subTest(job[0]):
                result = self.on_nodes(job[0], "--run", "run", "--quiet", *job[1:])
                self.assert_one_sentence(result, job[0], "rank 1 (%s): run" % HOST, "all ranks need one that they share")
                self.assertEqual(result.code, 2, str(result))
                left = [name for node in self.nodes for name in os.listdir(os.path.join(node, "run"))]
                self.assertEqual([name for name in left if ".part" in name or "seen" in name], [])
        result = self.on_nodes("train", "--out", "new", *tiny(), "--quiet")
        self.assert_one_sentence(result, "train", "rank 1 (%s): new" % HOST, "all ranks need one that they share")

    def test_a_result_that_one_node_alone_has(self):
        """Only rank 0's look counts."""
        run = self.train("looked-at", *tiny())
        for node in self.nodes:
            self.copy_of(run, os.path.join(node, "run"))
        self.run_fine("counterfactual", "--run", os.path.join(self.nodes[1], "run"), "--targets", 4)
        result = self.on_nodes("counterfactual", "--run", "run", "--targets", 4, "--quiet")
        self.assert_one_sentence(result, "counterfactual", "rank 1 (%s): run" % HOST)
        self.run_fine("counterfactual", "--run", os.path.join(self.nodes[0], "run"), "--targets", 4)
        os.remove(os.path.join(self.nodes[1], "run", "counterfactual.h5"))
        result = self.on_nodes("counterfactual", "--run", "run", "--targets", 4)
        self.assertEqual((result.code, "already there" in result.err), (0, True), str(result))

    def test_the_lock_is_taken_before_anything_is_written(self):
        run = self.train("locked", *tiny())
        with open(os.path.join(run, ".lock.counterfactual"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for ranks in (1, 2):
                result = whence("counterfactual", "--run", run, "--targets", 4, ranks=ranks)
                self.assert_one_sentence(result, "counterfactual", "another job is writing into this run folder")
                self.assertEqual("rank 0 (" in result.err, ranks > 1, str(result))
            self.assertEqual(whence("counterfactual", "--run", run, "--targets", 4, "--dry-run").code, 0)
        self.assertEqual([name for name in os.listdir(run) if name.startswith("counterfactual")], [])

    def leave(self, run, name, schema, **changes):
        """Unfinished work towards the result `name`, as a job with other attributes would have left it."""
        result = os.path.join(run, name + ".h5")
        marks = {**attributes(result), "schema": schema, **changes}
        os.remove(result)
        with h5py.File(result + ".part", "w", libver=("v108", "v108")) as file:
            for key, value in marks.items():
                file.attrs[key] = np.bytes_(value)
            file["rows"], file["seal"] = np.zeros((1, 5)), np.zeros(1, dtype=np.int64)
        if name == "counterfactual":
            with open(result + ".part.0", "w") as begun:
                begun.write("a block that was begun")
        return result + ".part"

    def test_unfinished_work_of_another_kind_is_refused_or_replaced(self):
        run = self.train("unfinished", *tiny())
        for job, schema, options, changes, named in (
                ("influence", "whence.trace_checkpoint", [], {"schema_version": "3", "ranks_and_grid": "7 ranks, 2 query groups"},
                 "ranks_and_grid is '7 ranks, 2 query groups' there"),
                # What an earlier Whence carried is fewer numbers, or laid out otherwise.
                ("influence", "whence.trace_checkpoint", [], {"schema_version": "1"}, "has version 1 of the schema"),
                ("influence", "whence.trace_checkpoint", [], {"schema_version": "2"}, "has version 2 of the schema"),
                ("counterfactual", "whence.counterfactual_blocks", ["--targets", 3], {"schema_version": "2", "settings": "seed = of another job"}, "seed is of another job there")):
            self.run_fine(job, "--run", run, *options)
            part = self.leave(run, job, schema, **changes)
            for ranks in (1, 2):
                result = whence(job, "--run", run, *options, "--quiet", ranks=ranks)
                self.assert_one_sentence(result, job, part, named, "--overwrite")
                self.assertTrue(os.path.exists(part))
            self.run_fine(job, "--run", run, *options, "--overwrite", ranks=2)
            self.assertTrue(os.path.exists(part[:-len(".part")]))
            self.assertFalse(os.path.exists(part))
            self.assertFalse(os.path.exists(part + ".0"), "a block begun with other options is still there")


if __name__ == "__main__":
    main()
