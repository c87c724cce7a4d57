"""--initial seed: an exported model's parameters drawn by --seed as its modules would draw them."""

import json
import math

import numpy as np
import torch
from torch import nn

from script_support import whence
from support import ProgramTest, arrays, main
from vae_support import normals, uniforms

INITIAL_PARAMETERS = 1  # number of the purpose of random streams
X = torch.rand(8, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    """Modules with starts of their own, and a parameter of no module."""

    def __init__(self):
        super().__init__()
        self.line, self.plane = nn.Linear(6, 16), nn.ConvTranspose1d(4, 3, 2)
        self.norm, self.attention = nn.LayerNorm(16), nn.MultiheadAttention(16, 2, batch_first=True)
        self.scale = nn.Parameter(torch.full((16,), 0.5))

    def forward(self, x):
        h = self.norm(self.line(x)) * self.scale
        h = h + self.attention(h[:, None], h[:, None], h[:, None], need_weights=False)[0][:, 0]
        return self.plane(h.view(-1, 4, 4)).flatten(1)


class Ramp(nn.Module):
    """Its parameter is drawn by nothing."""

    def __init__(self):
        super().__init__()
        self.line, self.steps = nn.Linear(6, 8), nn.Parameter(torch.arange(8.0))

    def forward(self, x):
        return self.line(x) * self.steps


class Game(whence.Game):
    def __init__(self, net):
        self.players = {"net": net}

    def terms(self, players, x, noise, labels):
        return {"net": whence.Terms(instances=players["net"](x).square().sum(1))}


class Overridden(Game):
    def initialise(self, players):
        for module in players["net"].modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0.5, 0.02)
                nn.init.zeros_(module.bias)


class InitialTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        np.save(cls.place + "/x.npy", np.random.default_rng(0).normal(size=(30, 6)))
        torch.manual_seed(3)
        cls.about = whence.export(Game(Net()), cls.place + "/net.pt", X)

    def options(self, model, *more):
        return ("--game", "script:" + self.path(model), "--data", "npy:" + self.path("x.npy"), "--instances", 20, "--held-out", 5,
                "--batch", 10, "--epochs", 1, "--rates", 0.01, "--dtype", "float64", *more)

    def start(self, name, model, *more):
        run = self.train(name, *self.options(model, *more))
        return arrays(run + "/trajectory.h5")["params"][0]

    def test_each_tensor_as_its_module_draws_it(self):
        """The formulas of PyTorch's documentation, with the numbers of the stream."""
        glorot = math.sqrt(6 / (16 + 48))
        uniform = {"net.line.weight": 1 / math.sqrt(6), "net.line.bias": 1 / math.sqrt(6), "net.plane.weight": 1 / math.sqrt(3 * 2),
                   "net.plane.bias": 1 / math.sqrt(3 * 2), "net.attention.in_proj_weight": glorot,
                   "net.attention.out_proj.weight": 1 / math.sqrt(16)}
        constant = {"net.norm.weight": 1, "net.norm.bias": 0, "net.attention.in_proj_bias": 0,
                    "net.attention.out_proj.bias": 0, "net.scale": 0.5}
        self.assertEqual(sorted([*uniform, *constant]), sorted(one["name"] for one in self.about["tensors"]))
        for seed in (0, 7):
            expected = []
            for number, tensor in enumerate(self.about["tensors"]):
                name, size = tensor["name"], int(np.prod(tensor["shape"]))
                expected.append(np.full(size, float(constant[name])) if name in constant else
                                uniform[name] * (2 * uniforms(seed, INITIAL_PARAMETERS, number, 0, size) - 1))
            start = self.start("drawn%d" % seed, "net.pt", "--initial", "seed", "--seed", seed)
            np.testing.assert_allclose(start, np.concatenate(expected), rtol=0, atol=1e-15)

    def test_the_file_says_it_otherwise(self):
        one, two = (self.start("file%d" % seed, "net.pt", "--seed", seed) for seed in (0, 7))
        np.testing.assert_array_equal(one, two)
        first = self.about["tensors"][0]["name"]
        self.assertEqual(first, "net.scale")
        np.testing.assert_array_equal(one[:16], 0.5)

    def test_a_game_says_how(self):
        net = nn.Sequential(nn.Linear(6, 4))
        about = whence.export(Overridden(net), self.path("own.pt"), X)
        self.assertEqual([one["start"]["kind"] for one in about["tensors"]], ["normal", "constant"])
        start = self.start("own", "own.pt", "--initial", "seed", "--seed", 5)
        np.testing.assert_allclose(start, np.concatenate([0.5 + 0.02 * normals(5, INITIAL_PARAMETERS, 0, 0, 24), np.zeros(4)]),
                                   rtol=0, atol=1e-15)

    def test_what_no_module_draws_is_refused(self):
        """Trained or otherwise chosen numbers, and what is changed after a draw, are not drawn in another way silently."""
        trained, shrunk, ramp = nn.Sequential(nn.Linear(6, 8)), nn.Sequential(nn.Linear(6, 8)), Ramp()
        with torch.no_grad():
            trained[0].weight.add_(0.3)
            shrunk[0].weight.mul_(0.25)
        for name, net, word in (("trained", trained, "0.weight"), ("shrunk", shrunk, "0.weight"), ("ramp", ramp, "net.steps")):
            whence.export(Game(net), self.path(name + ".pt"), X)
            self.assert_refused(("train", "--out", self.path("no-run"), *self.options(name + ".pt", "--initial", "seed")),
                                "--initial", word)
            self.start(name, name + ".pt")
        self.assert_refused(("train", "--out", self.path("no-run"), *self.options("net.pt", "--initial", "sed")), "--initial", "seed")

        class Halved(Game):
            def initialise(self, players):
                nn.init.normal_(players["net"][0].weight).data.mul_(0.5)
        about = whence.export(Halved(nn.Sequential(nn.Linear(6, 4))), self.path("halved.pt"), X)
        self.assertIn("changed after", json.dumps(about["tensors"][0]["start"]))

    def test_validation_over_seeds(self):
        """Runs that differ in their start as well are seeds of one experiment."""
        runs = []
        for seed in (0, 1):
            runs.append(self.train("seed%d" % seed, *self.options("net.pt", "--initial", "seed", "--seed", seed)))
            self.run_fine("influence", "--run", runs[-1], "--metric", "loss", "--epochs-back", 1)
            self.run_fine("counterfactual", "--run", runs[-1], "--metric", "loss", "--epochs-back", 1, "--targets", 10)
        one, two = (arrays(run + "/trajectory.h5")["params"][0] for run in runs)
        self.assertGreater(np.abs(one - two).max(), 0.1)
        told = self.run_fine("validate", "--run", runs[0], "--run", runs[1], "--critical", 2)
        self.assertRegex(told.out, r"loss +1 +\S+ +2 +10 ")  # metric, k, kink width, runs, targets


if __name__ == "__main__":
    main()
