"""Kink crossings in games exported from PyTorch: those of the built-in games, other layers' against retraining, and reasons
where there are none."""

import os

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import script_support
from script_support import Dcgan, Fcgan, MlpVae, softplus, whence
from support import whence as run_whence
from support import ProgramTest, arrays, attributes, main, relative_difference
from vae_support import write_idx

POINTS = ("--data", "normal2d", "--held-out", 40, "--batch", 20, "--epochs", 3, "--engine", "torch")


class Gan(whence.Game):
    """Players of any layers, without penalties."""
    noise = 3

    def __init__(self, generator, discriminator, loss=softplus):
        self.players = {"generator": generator.double(), "discriminator": discriminator.double()}
        self.loss = loss

    def terms(self, players, x, noise, labels):
        real, fake = players["discriminator"](x).squeeze(1), players["discriminator"](players["generator"](noise)).squeeze(1)
        return {"generator": whence.Terms(noise=softplus(-fake)),
                "discriminator": whence.Terms(instances=self.loss(-real), noise=softplus(fake))}


class ByRows(Gan):
    """Asks how many rows there are, as code for whole mini-batches does."""

    def terms(self, players, x, noise, labels):
        real, fake = players["discriminator"](x).view(x.shape[0]), players["discriminator"](players["generator"](noise)).view(x.shape[0])
        cross = F.binary_cross_entropy_with_logits
        one, none = torch.ones(x.size(0), dtype=x.dtype), torch.zeros(x.size(0), dtype=x.dtype)
        return {"generator": whence.Terms(noise=cross(fake, one, reduction="none")),
                "discriminator": whence.Terms(instances=cross(real, torch.ones_like(fake), reduction="none"),
                                              noise=cross(fake, none, reduction="none"))}


class Together(Gan):
    """The discriminator sees instances and points at once."""

    def terms(self, players, x, noise, labels):
        real, fake = players["discriminator"](torch.cat([x, players["generator"](noise)])).squeeze(1).chunk(2)
        return {"generator": whence.Terms(noise=softplus(-fake)),
                "discriminator": whence.Terms(instances=softplus(-real), noise=softplus(fake))}


class Compared(Gan):
    """An instance's term looks at the points of the mini-batch."""

    def terms(self, players, x, noise, labels):
        real, fake = players["discriminator"](x).squeeze(1), players["discriminator"](players["generator"](noise)).squeeze(1)
        return {"generator": whence.Terms(noise=softplus(-fake)), "discriminator": whence.Terms(instances=softplus(fake.mean() - real))}


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, 12), nn.Linear(2, 1)

    def forward(self, x):
        return self.last(F.linear(F.relu(self.first(x)), self.first.weight.t()))


class Edited(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, 12), nn.Linear(12, 1)

    def forward(self, x):
        h = self.first(x)
        h[:, :4].mul_(2.0)
        return self.last(torch.relu(h))


class Rows(nn.Module):
    """What a model may do that finds the number of rows by itself."""

    def forward(self, h):
        return h.view(h.size(0), -1)


class TwoHeads(whence.Game):
    """A VAE whose mean and log-variance are layers of their own. The decoder takes small codes by large weights, so that its
    units are moved by the encoder's weights and hardly by their own."""
    noise = 2

    def __init__(self):
        net = nn.Module()
        net.body, net.mean, net.log_variance = nn.Linear(2, 40), nn.Linear(40, 2), nn.Linear(40, 2)
        net.up, net.out = nn.Linear(2, 40, bias=False), nn.Linear(40, 2)
        with torch.no_grad():
            net.up.weight *= 20
        self.players = {"vae": net.double()}

    def terms(self, players, x, noise, labels):
        vae = players["vae"]
        h = F.leaky_relu(vae.body(x), 0.3)
        mean, log_variance = vae.mean(h), vae.log_variance(h)
        code = 0.05 * (mean + torch.exp(0.5 * log_variance) * noise)
        error = (vae.out(F.relu(vae.up(code))) - x).square().sum(1)
        return {"vae": whence.Terms(instances=error + 0.1 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1))}


def net(*widths, between=nn.ReLU):
    layers = []
    for one, other in zip(widths, widths[1:]):
        layers += [nn.Linear(one, other), between()]
    return nn.Sequential(*layers[:-1])


class ScriptCrossingsTest(ProgramTest):
    def exported(self, name, game, *options, shape=2, rates="0.1", theta=None):
        script_support.export(game, self.path(name + ".pt"), shape, theta)
        return self.train(name, "--game", "script:" + self.path(name + ".pt"), "--rates", rates, *options)

    def influence(self, folder, *options, ranks=1):
        self.run_fine("influence", "--run", folder, "--overwrite", "--crossings", "on", *options, ranks=ranks)
        return (arrays(os.path.join(folder, "influence.h5"))["influence"],
                attributes(os.path.join(folder, "influence.h5"))["crossings_each"])

    def same_as(self, built_in, exported, *options):
        right, crossings = self.influence(built_in, *options)
        plain = self.run_fine("influence", "--run", built_in, "--overwrite", "--crossings", "off", *options)
        without = arrays(os.path.join(built_in, "influence.h5"))["influence"]
        self.assertGreater(relative_difference(without, right), 1e-3, plain)  # there is something to see
        for ranks in (1, 2):
            found, each = self.influence(exported, *options, ranks=ranks)
            self.assertEqual(each, crossings)
            self.assertLess(relative_difference(found, right), 1e-9)

    def test_a_gan_has_those_of_the_built_in_one(self):
        options = ("--seed", 3, "--dtype", "float64", *POINTS, "--instances", 120)
        for activation in ("relu", "leaky-relu"):
            with self.subTest(activation):
                built_in = self.train(activation, "--game", "fcgan", "--preset", "paper", "--generator-output", "linear",
                                      "--generator-hidden", 8, "--discriminator-hidden", 8, "--rate-generator", 0.1,
                                      "--rate-discriminator", 0.2, "--latent", 10, "--activation", activation, *options)
                game = Fcgan(2, 8)
                if activation == "leaky-relu":
                    for player in game.players.values():
                        player[1] = nn.LeakyReLU(0.2)
                exported = self.exported("own-" + activation, game, *options, rates="0.1,0.2",
                                         theta=script_support.start_of(built_in))
                self.same_as(built_in, exported, "--metric", "all,disc-loss", "--epochs-back", "1,3")
        said = run_whence("influence", "--run", exported, "--metric", "all", "--epochs-back", "2", "--overwrite").err
        self.assertIn("--crossings auto: counted 2 epochs back, with moves carried forward for 2", said)

    def test_a_vae_has_those_of_the_built_in_one(self):
        write_idx(self.path("x.idx"), np.random.default_rng(2).integers(0, 256, (90, 4, 5)).astype(np.uint8))
        data = ("--data", "idx:" + self.path("x.idx"), "--instances", 60, "--held-out", 20, "--epochs", 3, "--batch", 12,
                "--dtype", "float64", "--engine", "torch")
        built_in = self.train("vae", "--game", "mlp-vae", "--latent", 3, "--hidden", 9, "--beta", 2, "--rate", 0.02, *data)
        script_support.export(MlpVae(20, 9, 3, 2.0), self.path("own-vae.pt"), (4, 5), script_support.start_of(built_in), 0.0)
        exported = self.train("own-vae", "--game", "script:" + self.path("own-vae.pt"), "--rates", 0.02, *data)
        self.same_as(built_in, exported, "--metric", "loss,loss:4", "--epochs-back", "1,2")

    def test_layers_that_no_built_in_game_has_against_retraining(self):
        """Errors to the size of the truth: with crossings little is left but the curvature of what is smooth."""
        leaky = lambda: nn.LeakyReLU(0.1)
        leaks = lambda: Gan(net(3, 8, 2, between=leaky), net(2, 40, 40, 1, between=leaky))
        mixed = lambda: Gan(nn.Sequential(Rows(), net(3, 8, 2, between=nn.SiLU)),
                            nn.Sequential(Rows(), nn.Linear(2, 40), nn.Tanh(), nn.Linear(40, 40), nn.ReLU(), nn.Linear(40, 1)))
        momentum = ("--optimiser", "momentum", "--momentum", 0.5)  # its moves are frozen
        for name, game, rate, within, options in (
            ("leaky", leaks, 0.003, 0.001, ("--dtype", "float64")),
            ("leaky-float32", leaks, 0.003, 0.002, ("--dtype", "float32")),
            ("mixed", mixed, 0.003, 0.001, ("--dtype", "float64")),
            ("heads", TwoHeads, 0.0003, 0.005, ("--dtype", "float64")),
            ("heads-momentum", TwoHeads, 0.0003, 0.005, ("--dtype", "float64", *momentum)),
        ):
            with self.subTest(name):
                torch.manual_seed(1)
                folder = self.exported(name, game(), *options, *POINTS, "--instances", 400, rates=rate)
                metric = "loss" if game is TwoHeads else "disc-loss"
                self.run_fine("counterfactual", "--run", folder, "--metric", metric, "--targets", 60)
                truth = arrays(os.path.join(folder, "counterfactual.h5"))
                right, error = truth["influence"][0, 0], {}
                for crossings in ("on", "off"):
                    self.run_fine("influence", "--run", folder, "--metric", metric, "--crossings", crossings, "--overwrite")
                    estimate = arrays(os.path.join(folder, "influence.h5"))["influence"][0, 0, 0]
                    error[crossings] = np.linalg.norm(estimate[truth["target_position"]] - right) / np.linalg.norm(right)
                self.assertLess(error["on"], within, error)
                self.assertGreater(error["off"], 2 * error["on"], error)

    def test_a_model_that_asks_for_the_number_of_rows(self):
        """Few of them are looked at again, and a rank may hold none."""
        folders = []
        for game in (ByRows, Gan):
            torch.manual_seed(1)
            folders.append(self.exported(game.__name__, game(net(3, 8, 2), net(2, 40, 40, 1)), "--dtype", "float64", *POINTS,
                                         "--instances", 400, rates=0.05))
        folder, plain = folders
        right, crossings = self.influence(plain, "--metric", "disc-loss", "--epochs-back", "1,2")
        found, each = self.influence(folder, "--metric", "disc-loss", "--epochs-back", "1,2")
        self.assertEqual(each, crossings)
        self.assertLess(relative_difference(found, right), 1e-9)
        few = self.exported("few", Gan(net(3, 4, 2), net(2, 12, 1)), "--dtype", "float64", *POINTS[:4], "--batch", 2, *POINTS[6:], "--instances", 40)
        alone, crossings = self.influence(few, "--metric", "disc-loss", "--epochs-back", "1")
        apart, each = self.influence(few, "--metric", "disc-loss", "--epochs-back", "1", ranks=4)
        self.assertEqual(each, crossings)
        self.assertLess(relative_difference(apart, alone), 1e-9)

    def test_reasons_where_layers_are_not_recognised(self):
        twice = nn.Linear(2, 2)
        for name, game, reason in (
            ("hinge", Gan(net(3, 4, 2), net(2, 4, 1), loss=lambda d: F.relu(1 + d)), "relu is not relu or leaky_relu of a dense"),
            ("elu", Gan(net(3, 4, 2), net(2, 4, 1, between=lambda: nn.ELU(2.0))), "elu is not relu or leaky_relu of a dense"),
            ("twice", Gan(net(3, 4, 2), nn.Sequential(twice, nn.ReLU(), twice, nn.ReLU(), nn.Linear(2, 1))),
             "are not used once each on instances"),
            ("norm", Gan(net(3, 4, 2), nn.Sequential(nn.Linear(2, 4), nn.LayerNorm(4), nn.ReLU(), nn.Linear(4, 1))),
             "layer_norm uses parameters of discriminator"),
            ("tied", Gan(net(3, 4, 2), Tied()), "linear uses parameters of discriminator"),
            ("edited", Gan(net(3, 4, 2), Edited()), "mul_ changes a tensor in place"),
            ("together", Together(net(3, 4, 2), net(2, 4, 1)), "a layer has other rows than instances and latents"),
            ("compared", Compared(net(3, 4, 2), net(2, 4, 1)), "or an instance's on latents"),
            ("mixed-points", Gan(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Tanh(),
                                               nn.Linear(4, 2)), net(2, 4, 1)), "depends on other rows"),
            ("smooth", Gan(net(3, 4, 2, between=nn.Tanh), net(2, 4, 1, between=nn.Tanh)), "its units have no kinks"),
        ):
            with self.subTest(name):
                folder = self.exported(name, game, *POINTS, "--instances", 120)
                said = run_whence("influence", "--run", folder, "--metric", "disc-loss").err
                self.assertIn("--crossings auto: none are counted: of the model's layers: ", said)
                self.assertIn(reason, said)
                self.assert_refused(["influence", "--run", folder, "--metric", "disc-loss", "--crossings", "on", "--overwrite"],
                                    "--crossings on", reason)


if __name__ == "__main__":
    main()
