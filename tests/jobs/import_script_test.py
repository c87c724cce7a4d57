"""Checkpoints of an exported model, written by any PyTorch training of it, come in as runs that tracin scores."""

import os

import numpy as np

from import_support import import_checkpoints
from support import ProgramTest, arrays, main
from vae_support import torch_or_skip, write_idx

torch = torch_or_skip()
import script_support  # noqa: E402
from script_support import whence  # noqa: E402

STEPS = (20, 40)


class Coder(torch.nn.Module):
    """An autoencoder with a buffer, a frozen scale and two layers of one weight; its layers stand in no order of use."""

    def __init__(self):
        super().__init__()
        self.second = torch.nn.Linear(3, 9)
        self.first = torch.nn.Linear(9, 3)
        self.tied = torch.nn.Linear(9, 3, bias=False)
        self.tied.weight = self.first.weight
        self.register_buffer("shift", torch.tensor([0.1, 0.2, 0.3]))
        self.scale = torch.nn.Parameter(torch.tensor(2.0), requires_grad=False)
        self.norm = torch.nn.LayerNorm(9)

    def forward(self, x):
        return self.norm(self.second(torch.tanh(self.first(x) + 0.1 * self.tied(x) + self.shift)) * self.scale)


class Autoencoder(whence.Game):
    noise = 0

    def __init__(self):
        self.players = {"coder": Coder().double()}

    def terms(self, players, x, noise, labels):
        x = x.flatten(1)
        return {"coder": whence.Terms(instances=(players["coder"](x) - x).square().sum(1))}


class ImageGan(script_support.Fcgan):
    """The GAN of perceptrons, on images."""

    def terms(self, players, x, noise, labels):
        return super().terms(players, x.flatten(1), noise, labels)

    def metrics(self, players, x, noise, labels):
        return super().metrics(players, x.flatten(1), noise, labels)


class ImportScriptTest(ProgramTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        torch.manual_seed(3)
        cls.images = np.random.default_rng(3).integers(0, 256, (30, 3, 3))
        write_idx(os.path.join(cls.place, "x"), cls.images)
        cls.game = Autoencoder()
        script_support.export(cls.game, os.path.join(cls.place, "coder.pt"), (3, 3), low=0.0)
        cls.gan = ImageGan(9, 4)
        script_support.export(cls.gan, os.path.join(cls.place, "gan.pt"), (3, 3))

    def options(self, model):
        return ("--game", "script:" + self.path(model), "--data", "idx:" + self.path("x"), "--rates", "0.1", "--dtype", "float64",
                "--train-rows", "0:24", "--instances", "24", "--held-out", "6", "--batch", "4")

    def trained(self):
        """States of a training by Adam that Whence never saw."""
        net = self.game.players["coder"]
        x = torch.from_numpy(self.images[:24].reshape(24, -1) / 255.0)
        optimiser = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=0.01)
        for step in range(1, STEPS[-1] + 1):
            optimiser.zero_grad()
            (net(x) - x).square().sum(1).mean().backward()
            optimiser.step()
            if step in STEPS:
                yield step, {name: value.clone() for name, value in net.state_dict().items()}

    def save(self, name, states, wrap=lambda state: state):
        os.makedirs(self.path(name))
        for step, state in states:
            torch.save(wrap(state), self.path(name, "step_%d.pt" % step))
        return self.path(name)

    def taken(self, folder, run, model="coder.pt", own=()):
        done = import_checkpoints(folder, self.path(run), *self.options(model), own=own)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.run_fine("verify", self.path(run))
        return arrays(self.path(run, "trajectory.h5"))["params"], done.stdout

    def refused(self, folder, words, model="coder.pt", own=()):
        done = import_checkpoints(folder, self.path("never"), *self.options(model), own=own)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertNotIn("Traceback", done.stderr)
        self.assertIn(words, done.stderr)
        self.assertFalse(os.path.exists(self.path("never")))

    def theta(self, state, names=("second.weight", "second.bias", "first.weight", "first.bias", "norm.weight", "norm.bias")):
        return torch.cat([state[name].flatten() for name in names]).numpy()

    def test_any_training_of_the_module_is_scored(self):
        states = list(self.trained())
        folder = self.save("adam", states, lambda state: {
            "global_step": 20, "state_dict": {"_orig_mod.model." + name: value for name, value in state.items()}})
        self.refused(folder, "its name says step 40, but it holds global_step 20")
        params, said = self.taken(folder, "run", own=["--step", r"step_(\d+)"])
        np.testing.assert_array_equal(params, [self.theta(state) for _, state in states])
        # The scores and losses are those of PyTorch's own gradients.
        self.run_fine("tracin", "--run", self.path("run"), "--queries", "test:6", "--quiet")
        found, net = arrays(self.path("run", "tracin.h5")), self.game.players["coder"]
        losses, gradients = [], []
        for _, state in states:
            net.load_state_dict(state)
            points = torch.from_numpy(self.images.reshape(30, -1) / 255.0)
            for x in points:
                loss = (net(x[None]) - x).square().sum()
                grads = torch.autograd.grad(loss, [p for p in net.parameters() if p.requires_grad])
                losses.append(loss.item())
                gradients.append(torch.cat([g.flatten() for g in grads]).numpy())
        losses, gradients = np.reshape(losses, (2, 30)), np.reshape(gradients, (2, 30, -1))
        np.testing.assert_allclose(found["loss"], losses[:, found["instance_id"]], rtol=1e-10)
        np.testing.assert_allclose(found["query_loss"], losses[:, found["query_id"]], rtol=1e-10)
        scores = np.einsum("cqp,cnp->qn", gradients[:, found["query_id"]], gradients[:, found["instance_id"]])
        np.testing.assert_allclose(found["score"], scores, rtol=0, atol=1e-10 * np.abs(scores).max())
        self.assertEqual(found["instance_id"].tolist(), list(range(24)))
        self.assertIn("mean loss of 24 training instances: %.6g at step 20, %.6g at step 40" % tuple(losses[:, :24].mean(1)), said)

    def test_constants_and_tied_parameters_are_those_of_the_export(self):
        state = {name: value.clone() for name, value in self.game.players["coder"].state_dict().items()}
        for name, change, words in (("shift", 1.0, "constant"), ("scale", 1.0, "constant"), ("tied.weight", 1.0, "one parameter")):
            self.refused(self.save("other-" + name, [(20, {**state, name: state[name] + change})]), words)
        self.refused(self.save("more", [(20, {**state, "third.weight": torch.zeros(2, 2)})]), "third.weight [2, 2] has no place")
        params, _ = self.taken(self.save("counted", [(20, {**state, "steps_seen": torch.tensor(7)})]), "run-counted")
        np.testing.assert_array_equal(params, [self.theta(state)])

    def test_names_alone_decide(self):
        state = self.game.players["coder"].state_dict()
        swapped = {name.replace("first", "a").replace("second", "b"): value for name, value in state.items()}
        folder = self.save("renamed", [(20, swapped)])
        self.refused(folder, "--rename")
        params, _ = self.taken(folder, "run-renamed", own=["--rename", "a=first", "--rename", "b=second"])
        np.testing.assert_array_equal(params, [self.theta(state)])

    def test_players_in_dictionaries_of_their_own(self):
        states = {name: module.state_dict() for name, module in self.gan.players.items()}
        expected = torch.cat([value.flatten() for state in states.values() for value in state.values()]).numpy()
        for name, wrap, own in (("plain", states, ()), ("inner", {"epoch": 3, "nets": states}, ()),
                                ("other", {"netG": states["generator"], "netD": states["discriminator"]},
                                 ("--rename", "netG=generator", "--rename", "netD=discriminator"))):
            params, _ = self.taken(self.save(name, [(20, wrap)]), "run-" + name, "gan.pt", own)
            np.testing.assert_array_equal(params, [expected])
        self.refused(self.save("half", [(20, {"generator": states["generator"]})]), "names", "gan.pt")


if __name__ == "__main__":
    main()
