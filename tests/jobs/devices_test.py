#!/usr/bin/env python3
"""Every job with --device cuda against the same job on the CPU: on a GPU, or on the test double of one
(tests/device/double/device_double.h) that WHENCE_ON_DEVICE then is linked with."""

import os
import subprocess
import unittest

import numpy as np

import support
from support import Job, ProgramTest, arrays, attributes, main, mnist_folder, relative_difference, tiny
from vae_support import vae

ON_DEVICE = os.environ.get("WHENCE_ON_DEVICE", "")
ON_DOUBLE = os.environ.get("ON_DOUBLE", "") == "1"
# A GPU adds up in another order; the double in the CPU's, so that only rounding between engines is left.
CLOSE = 1e-9


def devices():
    """Lines of `whence info --devices`."""
    if not ON_DEVICE:
        return [], "WHENCE_ON_DEVICE is not set"
    text = subprocess.run([ON_DEVICE, "info", "--devices"], stdout=subprocess.PIPE, text=True).stdout
    return [line for line in text.splitlines() if line.startswith("cuda ")], text.strip()


VISIBLE, REASON = devices()


@unittest.skipUnless(VISIBLE, REASON)
class DevicesTest(ProgramTest):
    @classmethod
    def on_device(cls, job, *options, ranks=1, code=0, **environment):
        """Runs a job on the device. Several ranks share one where there are not enough."""
        share = ["--share-gpu"] if ranks > len(VISIBLE) and "--share-gpu" not in options else []
        quiet = ["--quiet"] if job in ("train", "influence", "counterfactual", "cleanse", "tracin") else []
        before, here = dict(os.environ), support.WHENCE
        try:
            os.environ.update(environment)
            support.WHENCE = ON_DEVICE
            result = support.whence(job, *options, "--device", "cuda", *share, *quiet, ranks=ranks, timeout=300)
        finally:
            support.WHENCE = here
            os.environ.clear()
            os.environ.update(before)
        if (result.code == 0) != (code == 0):
            raise AssertionError("not the end that was expected: %s" % result)
        return result

    def trained(self, name, options, ranks=1):
        """The same run from the CPU's LibTorch engine and from the device, each in a folder."""
        here = self.train(name + "-cpu", "--engine", "torch", *options)
        there = self.path("%s-%d" % (name, ranks))
        self.on_device("train", "--out", there, "--engine", "torch", *options, ranks=ranks)
        self.assertEqual(attributes(there + "/trajectory.h5")["engine"], "torch")
        first, second = arrays(here + "/trajectory.h5"), arrays(there + "/trajectory.h5")
        self.assertLess(relative_difference(second["params"], first["params"]), CLOSE)
        np.testing.assert_array_equal(second["batch"], first["batch"])
        self.run_fine("verify", there)
        return here, there

    def both(self, here, there, job, file, *options, ranks=1, names=("influence",), close=1e-7):
        """Runs a job here on the CPU and there on the device; compares arrays of their results."""
        self.run_fine(job, "--run", here, *options)
        self.on_device(job, "--run", there, *options, ranks=ranks)
        first, second = arrays(here + "/" + file), arrays(there + "/" + file)
        for name in names:
            self.assertGreater(np.abs(first[name]).max(), 0, name)
            self.assertLess(relative_difference(second[name], first[name]), close, "%s of %s" % (name, file))

    def test_every_job_of_a_gan(self):
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                here, there = self.trained("gan%d" % ranks, tiny(test=40), ranks)
                options = ["--metric", "all,disc-loss", "--epochs-back", "1,3"]
                self.both(here, there, "influence", "influence.h5", *options, "--kink-width", "0,1e-3", "--crossings", "off", ranks=ranks,
                          names=("influence", "value"))
                self.both(here, there, "counterfactual", "counterfactual.h5", *options, "--targets", "20",
                          "--replicas", "7", ranks=ranks)
                self.both(here, there, "cleanse", "cleansing.h5", "--remove", "10,50", "--metric", "all,gen-loss",
                          ranks=ranks, names=("value", "baseline", "harm"))

    def test_every_optimiser_and_sparse_recording(self):
        options = tiny(optimiser="adam", record="every:17")
        here, there = self.trained("adam", options)
        self.both(here, there, "counterfactual", "counterfactual.h5", "--epochs-back", "2", "--targets", "5")
        for name, more in (("adamw", {"average": 0.9}), ("rmsprop", {"clip_norm": 0.5, "momentum": 0.5}), ("momentum", {})):
            with self.subTest(name):
                turns = {"update": "alternating", "discriminator_steps": 2} if name == "adamw" else {}
                here, there = self.trained(name, tiny(optimiser=name, epochs=2, **more, **turns))
                self.both(here, there, "influence", "influence.h5", "--epochs-back", "1", "--kink-width", "0")
        here, there = self.trained("sparse", tiny(record="every:17"))
        self.both(here, there, "influence", "influence.h5", "--epochs-back", "2", "--crossings", "off")

    def test_data_that_do_not_fit_are_sent_as_they_are_needed(self):
        jobs = (("influence", "influence.h5", "--epochs-back", "1"),
                ("counterfactual", "counterfactual.h5", "--epochs-back", "1", "--targets", "5"))
        for ranks in (1, 2):
            with self.subTest(ranks=ranks):
                folders = []
                for memory in ("8192", "0"):
                    folder = self.path("memory%s-%d" % (memory, ranks))
                    self.on_device("train", "--out", folder, *tiny(epochs=2), "--device-memory", memory, ranks=ranks)
                    for job, _, *options in jobs:
                        self.on_device(job, "--run", folder, *options, "--device-memory", memory, ranks=ranks)
                    folders.append(folder)
                for name in ("trajectory.h5", *(file for _, file, *_ in jobs)):
                    self.assert_same_arrays(folders[0] + "/" + name, folders[1] + "/" + name)

    def test_images_and_a_judge(self):
        data = ["--data", "mnist:" + mnist_folder(), "--instances", "60", "--held-out", "150", "--batch", "20",
                "--test", "40", "--epochs", "2", "--dtype", "float64"]
        here, there = self.trained("judge", ["--game", "classifier", *data])
        accuracy = self.on_device("train", "--out", self.path("again"), "--game", "classifier", *data)
        self.assertIn("accuracy on 40 test instances", accuracy.out)
        for ranks in (1, 2):
            gan = ["--game", "dcgan", "--channels", "2", *data]
            first, second = self.trained("dcgan%d" % ranks, gan, ranks)
            options = ["--metric", "fid,log-is", "--epochs-back", "1", "--classifier", here]
            self.both(first, second, "influence", "influence.h5", *options, "--kink-width", "0", ranks=ranks,
                      names=("influence", "value"), close=1e-5)
            # After so few steps FID and IS of another G would be all rounding; D feels a removal at once.
            options[1] += ",disc-loss"
            self.both(first, second, "counterfactual", "counterfactual.h5", *options, "--targets", "5", ranks=ranks,
                      names=("baseline",))
            # The forest grows on the classifier's features of all instances, found chunk by chunk.
            cleanse = ["--select", "isolation-forest", "--remove", "9", "--metric", "disc-loss", "--classifier", here]
            self.both(first, second, "cleanse", "cleansing.h5", *cleanse, ranks=ranks, names=("value", "harm"))
            discriminator = [arrays(run + "/counterfactual.h5")["influence"][2] for run in (first, second)]
            self.assertLess(relative_difference(*discriminator), 1e-7)

    def test_vaes(self):
        data = "mnist:" + mnist_folder()
        for ranks in (1, 2):
            here, there = self.trained("vae%d" % ranks, vae(data, dtype="float64"), ranks)
            for queries in ("self", "test:9", "train:5"):
                self.both(here, there, "tracin", "tracin.h5", "--queries", queries, "--samples", "3", "--overwrite",
                          ranks=ranks, names=("self_influence" if queries == "self" else "score",))
            self.both(here, there, "influence", "influence.h5", "--metric", "loss,loss:3", "--epochs-back", "1",
                      ranks=ranks)

    def test_a_stopped_job_goes_on_to_the_same_bytes(self):
        options = tiny(epochs=40)
        whole = self.path("whole")
        self.on_device("train", "--out", whole, *options)
        halved = self.path("halved")
        before = support.WHENCE
        try:
            support.WHENCE = ON_DEVICE
            job = Job("train", "--out", halved, "--device", "cuda", *options)
            while job.running() and "training steps" not in self.seen(job):
                pass
            job.process.terminate()
            result = job.wait()
        finally:
            support.WHENCE = before
        if result.code == 0:
            self.skipTest("the job was done before the signal")
        self.assertEqual(result.code, 75, str(result))
        self.on_device("train", "--out", halved, *options)
        self.assert_same_bytes(whole + "/trajectory.h5", halved + "/trajectory.h5")

    @staticmethod
    def seen(job):
        with open("/proc/%d/fd/2" % job.process.pid) as file:
            return file.read()

    def test_training_that_diverges_says_where(self):
        options = tiny(rate_generator="1e200", rate_discriminator="1e200")
        result = self.on_device("train", "--out", self.path("diverged"), *options, code=1)
        self.assertRegex(result.err, r"step \d+: the gradient of the (generator|discriminator) is not finite")

    def test_ranks_and_gpus(self):
        few = {"DEVICE_DOUBLE_COUNT": "1"} if ON_DOUBLE else {}
        if not ON_DOUBLE and len(VISIBLE) > 1:
            self.skipTest("more than one GPU here")
        before = len(VISIBLE)
        options = tiny()
        try:
            VISIBLE.extend(["pretend"])
            refused = self.on_device("train", "--out", self.path("few"), *options, ranks=2, code=2, **few)
        finally:
            del VISIBLE[before:]
        self.assert_one_sentence(refused, "train", "2 ranks on this node but 1 GPU", "--share-gpu")
        self.on_device("train", "--out", self.path("few"), "--share-gpu", *options, ranks=2, **few)
        self.on_device("train", "--out", self.path("enough"), *options, ranks=2)
        self.assertLess(relative_difference(arrays(self.path("few/trajectory.h5"))["params"],
                                            arrays(self.path("enough/trajectory.h5"))["params"]), CLOSE)

    @unittest.skipUnless(ON_DOUBLE, "a GPU does not count how often it is waited for")
    def test_steps_do_not_wait_for_the_device(self):
        """Twice the steps need at most one more wait for every 64 of them."""
        def waits(job, *options, ranks):
            report = self.path("report")
            self.on_device(job, *options, ranks=ranks, DEVICE_DOUBLE_REPORT=report)
            return max(int(support.read_bytes("%s.%d" % (report, rank)).split()[0]) for rank in range(ranks))

        for ranks, record in ((1, "all"), (2, "all"), (1, "every:7")):
            counts = {}
            for epochs in (20, 40):  # of 15 steps
                run = self.path("waits-%d-%d-%s" % (epochs, ranks, record[:5]))
                options = ["--run", run, "--epochs-back", str(epochs)]
                counts[epochs] = [
                    waits("train", "--out", run, *tiny(epochs=epochs, record=record), ranks=ranks),
                    waits("influence", *options, "--kink-width", "1e-3", ranks=ranks),
                    waits("counterfactual", *options, "--targets", "6", "--replicas", "3", ranks=ranks)]
            for job, few, many in zip(("train", "influence", "counterfactual"), counts[20], counts[40]):
                # Two blocks of counterfactuals, on one rank both.
                times = 2 if job == "counterfactual" and ranks == 1 else 1
                self.assertLessEqual(many - few, times * (300 // 64 + 1), "%s on %d ranks, %s: %s" % (job, ranks, record, counts))


class WithoutDevicesTest(ProgramTest):
    def test_cuda_where_there_is_none_is_refused_in_one_sentence(self):
        if VISIBLE and not ON_DOUBLE:
            self.skipTest("there is one")
        for ranks in (1, 2):
            self.assert_refused(["train", "--out", self.path("none"), "--device", "cuda", *tiny()], "--device cuda",
                                ("built without CUDA", "no GPU is visible"), ranks=(ranks,))
        self.assert_refused(["train", "--out", self.path("none"), "--device", "tpu", *tiny()], "--device",
                            "neither cpu nor cuda")


if __name__ == "__main__":
    main()
