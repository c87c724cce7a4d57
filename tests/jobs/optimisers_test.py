"""Every optimiser trains as torch.optim does, and its trace-back is what autograd says of 60 unrolled steps."""

import functools
import math
import os

import h5py
import numpy as np

from optimiser_support import Gan, Steps
from support import ProgramTest, arrays, attributes, main, read_json, relative_difference, whence
from vae_support import torch_or_skip, write_idx
from toy_game_test import SPLIT, permutation

RATE, INSTANCES, HELD_OUT, BATCH = 0.01, 60, 25, 10
# Options of the program, and what they are in PyTorch.
OPTIMISERS = {
    "sgd": ((), "SGD", {}),
    "sgd-decay": (("--weight-decay", 0.2), "SGD", {"weight_decay": 0.2}),
    "momentum": ((), "SGD", {"momentum": 0.9}),
    "momentum-nesterov": (("--nesterov", "true", "--momentum", 0.8, "--weight-decay", 0.1), "SGD",
                          {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    "adam": ((), "Adam", {}),
    "adam-decay": (("--weight-decay", 0.1, "--beta1", 0.5, "--beta2", 0.9, "--epsilon", 1e-4), "Adam",
                   {"weight_decay": 0.1, "betas": (0.5, 0.9), "eps": 1e-4}),
    "adam-beta1-of-0": (("--beta1", 0), "Adam", {"betas": (0.0, 0.999)}),
    "adamw": ((), "AdamW", {"weight_decay": 0.01}),
    "adamw-decay": (("--weight-decay", 0.5), "AdamW", {"weight_decay": 0.5}),
    "rmsprop": ((), "RMSprop", {}),
    "rmsprop-momentum": (("--momentum", 0.7, "--beta2", 0.9, "--weight-decay", 0.1), "RMSprop",
                         {"momentum": 0.7, "alpha": 0.9, "weight_decay": 0.1}),
}


def everyone(t):
    return 0, 1


def three_to_one(t):
    return (1,) if t % 4 < 3 else (0,)


def constant(t):
    return RATE


class OptimisersTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.images = np.random.default_rng(1).integers(0, 256, (90, 3, 3)).astype(np.uint8)
        cls.file = os.path.join(cls.place, "x.idx")
        write_idx(cls.file, cls.images)
        order = permutation(0, SPLIT, 90)
        cls.held_out = cls.images.reshape(90, 9)[order[INSTANCES:INSTANCES + HELD_OUT]] / 127.5 - 1

    def trained(self, name, *options, epochs=10, ranks=1):
        return self.train(name, "--data", "idx:" + self.file, "--instances", INSTANCES, "--held-out", HELD_OUT,
                          "--batch", BATCH, "--epochs", epochs, "--latent", 3, "--generator-hidden", "7,6",
                          "--discriminator-hidden", "8", "--biases", "true", "--rate-generator", RATE,
                          "--rate-discriminator", RATE, *options, ranks=ranks)

    def run_of(self, name, *options, **how):
        optimiser = name.split("-")[0]
        return self.trained("-".join([name, *map(str, options)]).replace("/", ""), "--optimiser", optimiser,
                            *OPTIMISERS[name][0], *options, **how)

    def influence(self, folder, epochs=10, **how):
        self.run_fine("influence", "--run", folder, "--metric", "disc-loss,gen-loss", "--kink-width", 0, "--epochs-back",
                      epochs, "--overwrite", **how)
        return arrays(folder + "/influence.h5")

    def check(self, name, *options, turns=everyone, rates=constant, clip=0, average=0, extra=None, torch_too=True,
              engine="auto", within=1e-10):
        """Training against torch.optim, and influences on disc-loss against 60 unrolled steps."""
        folder = self.run_of(name, *options, "--engine", engine)
        gan = Gan(folder, self.images)
        end = gan.run["params"][-1]
        torch = gan.torch
        in_torch = OPTIMISERS[name][2]
        if torch_too:
            make = getattr(torch.optim, OPTIMISERS[name][1])
            plain = gan.by_torch(lambda parts, rate: make(parts, lr=rate, **in_torch), rates, turns, clip)
            self.assertLess(relative_difference(end[:gan.parameters], plain), within)
        weights = torch.ones(INSTANCES, dtype=torch.float64, requires_grad=True)
        steps = functools.partial(Steps, name.split("-")[0], clip=clip, average=average, **in_torch, **(extra or {}))
        theta, model = gan.unrolled(steps, rates, turns, weights)
        self.assertLess(relative_difference(end[:gan.parameters], torch.cat(theta).detach().numpy()), within)
        value = gan.disc_loss(model, self.held_out)
        by_weight = torch.autograd.grad(value, weights)[0].numpy()
        found = self.influence(folder)
        self.assertAlmostEqual(found["value"][0], value.item(), delta=1e-10)
        self.assertLess(relative_difference(found["influence"][0, 0, 0], -by_weight), within)
        return folder

    def test_training_is_torchs_and_traces_are_those_of_unrolled_autograd(self):
        torch_or_skip()
        for name in OPTIMISERS:
            with self.subTest(name):
                self.check(name)

    def test_the_torch_engine_traces_the_same(self):
        torch_or_skip()
        for name in ("adam", "rmsprop"):
            with self.subTest(name):
                self.check(name, engine="torch")

    def test_clipped_gradients(self):
        torch_or_skip()
        for name in ("momentum", "adam"):
            with self.subTest(name):
                # Some gradients are longer than this, some are not.
                self.check(name, "--clip-norm", 0.5, clip=0.5)
        norms = self.norms_of(Gan(self.run_of("sgd"), self.images))
        self.assertTrue((norms > 0.5).any() and (norms < 0.5).any(), norms)

    def norms_of(self, gan):
        moved = np.diff(gan.run["params"], axis=0) / RATE
        return np.array([[np.linalg.norm(part) for part in np.split(step, gan.sizes[:1])] for step in moved])

    def test_players_that_take_turns_have_counts_and_moments_of_their_own(self):
        torch_or_skip()
        turns = ("--update", "alternating", "--discriminator-steps", 3)
        for name in ("momentum", "adamw", "rmsprop"):
            with self.subTest(name):
                self.check(name, *turns, turns=three_to_one)

    def test_the_average_is_the_model(self):
        torch_or_skip()
        for name, more in (("sgd", ()), ("adam", ("--update", "alternating", "--discriminator-steps", 3)),
                           ("momentum", ("--clip-norm", 0.5))):
            with self.subTest(name):
                folder = self.check(name, "--average", 0.9, *more, average=0.9, clip=0.5 * (name == "momentum"),
                                    turns=three_to_one if name == "adam" else everyone)
                end = arrays(folder + "/trajectory.h5")["params"][-1]
                parameters = Gan(folder, self.images).parameters
                self.assertGreater(np.abs(end[-parameters:] - end[:parameters]).max(), 1e-4)
                # Retraining looks at the average, too.
                self.run_fine("counterfactual", "--run", folder, "--metric", "disc-loss", "--targets", 5)
                self.assertAlmostEqual(arrays(folder + "/counterfactual.h5")["baseline"].flat[0],
                                       arrays(folder + "/influence.h5")["value"][0], delta=1e-12)

    def test_epsilon_inside_the_root(self):
        torch_or_skip()
        for name in ("adam", "rmsprop"):
            with self.subTest(name):
                self.check(name, "--epsilon", 0, "--epsilon-root", 1e-5, extra={"eps": 0, "eps_root": 1e-5},
                           torch_too=False)

    def test_rates_are_those_of_torchs_schedulers(self):
        schedulers = torch_or_skip().optim.lr_scheduler
        steps, warmup = 60, 7

        def rates_of(make):
            torch = torch_or_skip()
            optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=RATE)
            scheduler, rates = make(optimiser), []
            for _ in range(steps):
                rates.append(optimiser.param_groups[0]["lr"])
                optimiser.step()
                scheduler.step()
            return np.array(rates)

        def warmed(after):
            return lambda optimiser: schedulers.SequentialLR(
                optimiser, [schedulers.LinearLR(optimiser, 1 / warmup, 1, warmup - 1), after(optimiser, steps - warmup)],
                [warmup])

        cosine = schedulers.CosineAnnealingLR
        linear = functools.partial(schedulers.LinearLR, start_factor=1, end_factor=0)
        for name, decay, wanted in (("cosine", (), cosine), ("linear", (), lambda o, n: linear(o, total_iters=n))):
            for options, make in (((), lambda o: wanted(o, steps)), (("--warmup", warmup), warmed(wanted))):
                folder = self.trained(name + str(len(options)), "--rate-decay", name, *options)
                np.testing.assert_allclose(arrays(folder + "/trajectory.h5")["rate"][:, 0], rates_of(make), rtol=1e-12,
                                           atol=1e-17)
        rate = arrays(self.trained("root", "--rate-decay", "inverse-sqrt", "--warmup", 5) + "/trajectory.h5")["rate"][:, 1]
        np.testing.assert_allclose(rate, [RATE * ((t + 1) / 5 if t < 5 else 1 / math.sqrt(t - 4)) for t in range(steps)])

    def test_a_changing_rate_is_traced_back(self):
        torch_or_skip()
        self.check("adamw", "--rate-decay", "cosine", "--warmup", 5,
                   rates=lambda t: RATE * ((t + 1) / 5 if t < 5 else (1 + math.cos(math.pi * (t - 5) / 55)) / 2))

    def test_sparse_recordings_replay_the_whole_state(self):
        more = ("--average", 0.9, "--clip-norm", 1)
        all_steps, some = (self.run_of("adam", *more, "--record", record) for record in ("all", "every:7"))
        whole, replayed = (arrays(folder + "/trajectory.h5") for folder in (all_steps, some))
        np.testing.assert_array_equal(replayed["params"], whole["params"][replayed["steps"]])
        self.assertEqual(whole["params"].shape[1] % 4, 0)
        wanted, found = (self.influence(folder)["influence"] for folder in (all_steps, some))
        np.testing.assert_array_equal(found, wanted)
        for folder in (all_steps, some):
            self.run_fine("counterfactual", "--run", folder, "--metric", "disc-loss", "--targets", 6, "--epochs-back", "1,4")
        np.testing.assert_array_equal(*(arrays(folder + "/counterfactual.h5")["influence"] for folder in (all_steps, some)))
        self.assertLess(arrays(some + "/counterfactual.h5")["distance"].max(), 1e-12)

    def test_ranks_and_dtypes_agree(self):
        for name in ("adam", "rmsprop"):
            with self.subTest(name):
                alone = self.run_of(name, "--record", "every:9")
                wanted = self.influence(alone)["influence"]
                for ranks in (2, 3):
                    self.assertLess(relative_difference(self.influence(alone, ranks=ranks)["influence"], wanted), 1e-9)
                shared = self.run_of(name, "--record", "every:11", ranks=3)
                self.assertLess(relative_difference(self.influence(shared, ranks=2)["influence"], wanted), 1e-8)
                narrow = self.run_of(name, "--dtype", "float32")
                self.assertLess(relative_difference(self.influence(narrow)["influence"], wanted), 0.02)

    def test_estimates_meet_retraining_and_cleansing_works(self):
        for name in ("momentum", "adamw"):
            with self.subTest(name):
                folder = self.run_of(name, "--test", 5, "--activation", "tanh")  # no kinks
                self.influence(folder, epochs="1,2")
                self.run_fine("counterfactual", "--run", folder, "--metric", "disc-loss,gen-loss", "--targets", 60, "--epochs-back",
                              "1,2")
                self.run_fine("validate", "--run", folder)
                for row in read_json(folder + "/validation.json")["rows"]:
                    self.assertGreater(row["pearson"], 0.9, row)
                self.run_fine("cleanse", "--run", folder, "--select", "influence:disc-loss,random", "--remove", 3, "--metric",
                              "disc-loss")

    def test_what_becomes_of_moments_near_zero_is_said(self):
        folder = self.run_of("adam", "--epsilon", 3e-4)
        self.influence(folder)
        share = attributes(folder + "/influence.h5")["near_zero_share"]
        self.assertRegex(share, r"^disc-loss 0\.\d+, gen-loss 0\.\d+ \(kink width 0\)$")
        self.assertIn("near_zero_share: " + share, whence("info", folder + "/influence.h5").out)
        plain = self.run_of("sgd")
        self.influence(plain)
        self.assertNotIn("near_zero_share", attributes(plain + "/influence.h5"))

    def test_the_size_of_the_state_is_said_beforehand(self):
        folder = self.path("dry")
        said = whence("train", "--out", folder, "--optimiser", "adam", "--average", 0.9, "--epochs", 1, "--instances", 100,
                      "--dry-run").out
        self.assertIn("22784 numbers (theta, m, v, average: 178.0 KiB a state)", said)

    def test_runs_from_before_the_options_are_the_same_runs(self):
        folder = self.copy_of(self.run_of("adam"), "before")
        new = ("average", "beta1", "beta2", "clip-norm", "discriminator-steps", "epsilon", "epsilon-root", "momentum", "nesterov",
               "warmup", "weight-decay")
        drop = lambda text: "\n".join(line for line in text.splitlines() if line.split(" = ")[0] not in new) + "\n"
        with open(folder + "/run.cfg") as file:
            text = drop(file.read())
        with open(folder + "/run.cfg", "w") as file:
            file.write(text)
        with h5py.File(folder + "/trajectory.h5", "r+") as file:
            file.attrs["settings"] = np.bytes_(drop(file.attrs["settings"].decode()).encode())
        self.assertEqual(len(text.splitlines()) + len(new), len(open(self.run_of("adam") + "/run.cfg").readlines()))
        np.testing.assert_array_equal(self.influence(folder)["influence"], self.influence(self.run_of("adam"))["influence"])
        with open(folder + "/run.cfg", "a") as file:
            file.write("beta1 = 0.5\n")
        self.assert_refused(["influence", "--run", folder, "--overwrite"], "beta1")

    def test_impossible_values_are_refused(self):
        for words, name in ((("--beta1", 0.5), "--beta1"), (("--optimiser", "adam", "--momentum", 0.5), "--momentum"),
                            (("--optimiser", "adam", "--beta2", 1), "--beta2"), (("--average", 1), "--average"),
                            (("--optimiser", "adam", "--epsilon", 0), "--epsilon"), (("--clip-norm", -1), "--clip-norm"),
                            (("--optimiser", "momentum", "--nesterov", "yes"), "--nesterov"), (("--warmup", 999999), "--warmup"),
                            (("--discriminator-steps", 2), "--discriminator-steps"), (("--rate-decay", "exp"), "--rate-decay"),
                            (("--optimiser", "lion"), "--optimiser")):
            with self.subTest(words):
                self.assert_refused(["train", "--out", self.path("x"), *words], name)


if __name__ == "__main__":
    main()
