"""A game that the library has never heard of (tests/toy), added by one header, one source and one line: every job
knows it, its options and what it can do."""

import os

import numpy as np

import support
from support import ProgramTest, arrays, main, whence
from vae_support import normals, philox, write_idx

INSTANCES, BATCH, RATE, EPOCHS = 60, 10, 0.1, 4
SPLIT, TEST_LATENTS = 8, 21  # numbers of the purposes of random streams


def permutation(seed, purpose, count):
    """The order that a stream's first draws put 0 .. count - 1 in."""
    index = np.arange(count, dtype=np.uint64)
    words = philox(seed, purpose << 32, index // np.uint64(2))
    low, high = (words[:, i] | words[:, i + 1] << np.uint64(32) for i in (0, 2))
    return np.argsort(np.where(index % np.uint64(2) == 0, low, high), kind="stable")


class ToyGameTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        support.WHENCE = os.environ["WHENCE_WITH_TOY"]
        cls.images = np.random.default_rng(1).integers(0, 256, (90, 3, 3)).astype(np.uint8)
        write_idx(os.path.join(cls.place, "x.idx"), cls.images)
        cls.folder = cls.train("run", "--game", "gaussian", "--data", "idx:" + os.path.join(cls.place, "x.idx"),
                               "--instances", INSTANCES, "--held-out", 20, "--test", 10, "--epochs", EPOCHS)

    def means(self, removed=None, first=0):
        """theta before each step by NumPy, without an instance from step `first` on."""
        run = arrays(os.path.join(self.folder, "trajectory.h5"))
        points = self.images.reshape(90, 9)[run["instance_id"]] / 127.5 - 1
        theta = [run["params"][first]]
        for batch in run["batch"][first:]:
            present = (batch != removed).astype(float)
            theta.append(theta[-1] - RATE * (present[:, None] * (theta[-1] - points[batch])).sum(0) / BATCH)
        return np.array(theta)

    def test_training_is_the_fit_of_a_normal_distribution(self):
        np.testing.assert_allclose(arrays(self.folder + "/trajectory.h5")["params"], self.means(), atol=1e-13)

    def test_influence_and_retraining_are_the_closed_form(self):
        both = ("--run", self.folder, "--metric", "loss", "--epochs-back", "1,2")
        self.run_fine("influence", *both)
        self.run_fine("counterfactual", *both, "--targets", 15)
        self.run_fine("validate", "--run", self.folder)
        truth, estimate = arrays(self.folder + "/counterfactual.h5"), arrays(self.folder + "/influence.h5")
        run = arrays(self.folder + "/trajectory.h5")
        points = self.images.reshape(90, 9)[run["instance_id"]] / 127.5 - 1
        held_out = self.held_out()
        value = lambda theta: 0.5 * np.square(held_out - theta).sum(1).mean()
        end = self.means()[-1]
        self.assertAlmostEqual(estimate["value"][0], value(end), places=12)
        for k, epochs in enumerate((1, 2)):
            first = (EPOCHS - epochs) * (INSTANCES // BATCH)
            for i, j in enumerate(truth["target_position"]):
                without = self.means(j, first)[-1]
                self.assertAlmostEqual(truth["influence"][0, k, i], value(without) - value(end), places=12)
                # The step is linear in w_j and theta, with u^T (I - B J) = (1 - rate) u.
                steps = [t for t in range(first, len(run["batch"])) if j in run["batch"][t]]
                moved = sum((1 - RATE) ** (len(run["batch"]) - 1 - t) * RATE / BATCH * (run["params"][t] - points[j])
                            for t in steps)
                linear = np.dot((end - held_out).mean(0), np.zeros(9) + moved)
                self.assertAlmostEqual(estimate["influence"][0, 0, k, j], linear, places=12)

    def held_out(self):
        order = permutation(0, SPLIT, 90)
        np.testing.assert_array_equal(order[:INSTANCES], arrays(self.folder + "/trajectory.h5")["instance_id"])
        return self.images.reshape(90, 9)[order[INSTANCES:INSTANCES + 20]] / 127.5 - 1

    def test_what_it_can_do_is_asked_of_it(self):
        self.run_fine("influence", "--run", self.folder, "--metric", "all", "--overwrite")  # it has a generator
        self.run_fine("cleanse", "--run", self.folder, "--select", "random", "--remove", 5)
        generated = arrays(self.folder + "/cleansing.h5")["generated_before"]
        latents = normals(0, TEST_LATENTS, 0, 0, 90).reshape(10, 9)
        theta = arrays(self.folder + "/trajectory.h5")["params"][-1]
        np.testing.assert_allclose(generated, theta + latents, atol=1e-6)
        self.assert_refused(("influence", "--run", self.folder, "--metric", "disc-loss"), "discriminator", "gaussian")

    def test_products_of_gradients_are_the_closed_form(self):
        self.run_fine("tracin", "--run", self.folder, "--queries", "test:3", "--checkpoints", "last", "--weights", "none")
        theta = arrays(self.folder + "/trajectory.h5")["params"][-1]
        found, order = arrays(self.folder + "/tracin.h5"), arrays(self.folder + "/trajectory.h5")["instance_id"]
        apart = lambda ids: theta - (self.images.reshape(90, 9)[ids] / 127.5 - 1)  # the loss's gradient by the mean
        self.assertEqual(found["score"].shape, (3, INSTANCES))
        np.testing.assert_allclose(found["score"], apart(found["query_id"]) @ apart(order).T, rtol=1e-10)

    def test_its_options_are_known_where_it_is(self):
        self.assertIn("--rate-mean", whence("train", "--help").out)
        self.assertIn("learning rate of the mean (gaussian)", " ".join(whence("train", "--help").out.split()))
        self.assert_refused(("train", "--out", self.path("x"), "--rate-mean", "1"), "--rate-mean", "fcgan")
        support.WHENCE = os.environ["WHENCE"]
        try:
            self.assert_refused(("train", "--out", self.path("x"), "--rate-mean", "1"), "rate-mean")
            self.assert_refused(("train", "--out", self.path("x"), "--game", "gaussian"), "--game", "fcgan")
        finally:
            support.WHENCE = os.environ["WHENCE_WITH_TOY"]


if __name__ == "__main__":
    main()
