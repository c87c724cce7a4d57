"""Games in PyTorch that the program has built in as well, exported for `--game script:FILE`."""

import os
import sys

import numpy as np
import torch
from torch import nn

from support import SOURCE, arrays

sys.path.insert(0, os.path.join(SOURCE, "tools"))
import whence  # noqa: E402


def softplus(x):
    """log(1 + e^x) to full precision, as the program has it; torch's is x beyond 20."""
    return -torch.nn.functional.logsigmoid(-x)


def load_flat(players, theta):
    """Sets the players' parameters, one after another, to the numbers of theta [P]."""
    at = 0
    with torch.no_grad():
        for player in players.values():
            for tensor in player.parameters():
                tensor.copy_(torch.from_numpy(theta[at:at + tensor.numel()]).view_as(tensor))
                at += tensor.numel()
    assert at == len(theta)


def start_of(run):
    return arrays(os.path.join(run, "trajectory.h5"))["params"][0]


def perceptron(*widths):
    layers = []
    for one, other in zip(widths, widths[1:]):
        layers += [nn.Linear(one, other), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double()


class Fcgan(whence.Game):
    """The fcgan of `--preset paper` without tanh."""
    noise = 10

    def __init__(self, width, hidden, l2=0.001):
        self.l2 = l2
        self.players = {"generator": perceptron(self.noise, hidden, width),
                        "discriminator": perceptron(width, hidden, 1)}

    def terms(self, players, x, noise, labels):
        g, d = players["generator"], players["discriminator"]
        real, fake = d(x).squeeze(1), d(g(noise)).squeeze(1)
        penalty = {name: 0.5 * self.l2 * sum(layer.weight.square().sum() for layer in player if hasattr(layer, "weight"))
                   for name, player in players.items()}
        return {"generator": whence.Terms(noise=softplus(-fake), penalty=penalty["generator"]),
                "discriminator": whence.Terms(instances=softplus(-real), noise=softplus(fake),
                                              penalty=penalty["discriminator"])}

    def sample(self, players, noise):
        return players["generator"](noise)

    def metrics(self, players, x, noise, labels):
        fake = players["discriminator"](players["generator"](noise))
        return {"fooled": torch.sigmoid(fake).mean()}


class MlpVae(whence.Game):
    """The mlp-vae of one hidden layer."""

    def __init__(self, width, hidden, latent, beta):
        self.noise, self.beta = latent, beta
        net = nn.Module()
        net.encoder, net.decoder = perceptron(width, hidden, 2 * latent), perceptron(latent, hidden, width)
        self.players = {"vae": net}

    def terms(self, players, x, noise, labels):
        x = x.flatten(1)
        mu, log_variance = players["vae"].encoder(x).chunk(2, 1)
        logits = players["vae"].decoder(mu + torch.exp(log_variance * 0.5) * noise)
        reconstruction = (softplus(logits) - logits * x).sum(1)
        divergence = 0.5 * (mu.square() + log_variance.exp() - log_variance - 1).sum(1)
        return {"vae": whence.Terms(instances=reconstruction + self.beta * divergence)}


class Sigmoidal(nn.Module):
    """A (transposed) convolution, and of hidden layers sigmoid and layer norm over a whole sample; kernels have their
    channels last, as the program stores them."""

    def __init__(self, transposed, kernel, stride, before, after, hidden):
        super().__init__()
        self.transposed, self.stride = transposed, stride
        self.weight = nn.Parameter(torch.zeros(kernel, kernel, before, after))
        self.bias = nn.Parameter(torch.zeros(after))
        if hidden:
            self.gain, self.offset = nn.Parameter(torch.ones(after)), nn.Parameter(torch.zeros(after))

    def forward(self, x):
        if self.transposed:
            x = torch.nn.functional.conv_transpose2d(x, self.weight.permute(2, 3, 0, 1), self.bias, self.stride)
        else:
            x = torch.nn.functional.conv2d(x, self.weight.permute(3, 2, 0, 1), self.bias, self.stride)
        if not hasattr(self, "gain"):
            return x
        h = torch.sigmoid(x)
        centred = h - h.mean((1, 2, 3), keepdim=True)
        deviation = (centred.square().mean((1, 2, 3), keepdim=True) + 1e-12).sqrt()
        return centred / deviation * self.gain[:, None, None] + self.offset[:, None, None]


class Dcgan(whence.Game):
    """The dcgan of Terashita et al., 28 x 28 pixels."""
    KERNELS, STRIDES = (4, 3, 3, 2, 3, 3, 2), (1, 2, 1, 1, 2, 1, 1)

    def __init__(self, latent, channels, l2=0.001):
        self.noise, self.l2, last = latent, l2, len(self.KERNELS) - 1
        up = [Sigmoidal(True, self.KERNELS[i], self.STRIDES[i], latent if i == last else channels, channels, True)
              for i in range(last, -1, -1)]
        down = [Sigmoidal(False, self.KERNELS[i], self.STRIDES[i], channels if i else 1, channels, True)
                for i in range(last + 1)]
        self.players = {"generator": nn.Sequential(*up, Sigmoidal(False, 1, 1, channels, 1, False), nn.Tanh()).double(),
                        "discriminator": nn.Sequential(*down, Sigmoidal(False, 1, 1, channels, 1, False)).double()}

    def terms(self, players, x, noise, labels):
        g, d = players["generator"], players["discriminator"]
        real = d(x.reshape(-1, 1, 28, 28)).flatten()
        fake = d(g(noise[:, :, None, None])).flatten()
        penalty = {name: 0.5 * self.l2 * sum(p.square().sum() for key, p in player.named_parameters() if "weight" in key)
                   for name, player in ((name, players[name]) for name in ("generator", "discriminator"))}
        return {"generator": whence.Terms(noise=softplus(-fake), penalty=penalty["generator"]),
                "discriminator": whence.Terms(instances=softplus(-real), noise=softplus(fake),
                                              penalty=penalty["discriminator"])}

    def sample(self, players, noise):
        return players["generator"](noise[:, :, None, None]).flatten(1)


def export(game, path, width_or_shape, theta=None, low=-1.0, labels=None):
    """Exports the game, beginning at theta, with made-up instances as its example."""
    if theta is not None:
        load_flat(game.players, theta)
    shape = (width_or_shape,) if isinstance(width_or_shape, int) else width_or_shape
    numbers = np.random.default_rng(5).uniform(low, 1.0, (8,) + tuple(shape))
    return whence.export(game, path, torch.from_numpy(numbers), labels=labels)
