"""A small GAN and its training in PyTorch, from a run's own start, batches and latents: what torch.optim makes of it,
and the same with steps that autograd can go back through."""

import json

import numpy as np

from support import arrays, attributes
from vae_support import VALIDATION_LATENTS, normals, torch_or_skip

TRAINING_LATENTS = 3  # number of the purpose of random streams


class Steps:
    """torch.optim's formulas without in-place operations; `clip`: largest norm; `average`: decay of the average."""

    def __init__(self, optimiser, clip=0, average=0, **options):
        self.step_of, self.decoupled = getattr(self, optimiser), optimiser == "adamw"
        self.options, self.clip, self.average, self.taken, self.memory, self.mean = options, clip, average, 0, {}, None

    def step(self, theta, g, rate):
        torch = torch_or_skip()
        if self.clip:
            norm = torch.sqrt((g * g).sum())
            g = g * torch.clamp(self.clip / (norm + 1e-6), max=1)
        before = theta
        decay = self.options.get("weight_decay", 0)
        if self.decoupled:
            theta = theta * (1 - rate * decay)
        else:
            g = g + decay * theta
        theta = self.step_of(theta, g, rate)
        self.taken += 1
        if self.average:
            self.mean = self.average * (before if self.mean is None else self.mean) + (1 - self.average) * theta
        return theta

    def model(self, theta):
        return theta if self.mean is None else self.mean

    def kept(self, name, like):
        return self.memory.get(name, torch_or_skip().zeros_like(like))

    @staticmethod
    def root(v, inside):
        torch = torch_or_skip()
        v = v + inside  # autograd has no derivative of a root at 0; there the step's is 1 / epsilon
        return torch.where(v > 0, torch.sqrt(torch.where(v > 0, v, torch.ones_like(v))), torch.zeros_like(v))

    def sgd(self, theta, g, rate):
        return theta - rate * g

    def momentum(self, theta, g, rate):
        mu = self.options.get("momentum", 0.9)
        b = self.memory["b"] = mu * self.kept("b", g) + g
        return theta - rate * (g + mu * b if self.options.get("nesterov") else b)

    def adam(self, theta, g, rate):
        (b1, b2), eps = self.options.get("betas", (0.9, 0.999)), self.options.get("eps", 1e-8)
        m = self.memory["m"] = b1 * self.kept("m", g) + (1 - b1) * g
        v = self.memory["v"] = b2 * self.kept("v", g) + (1 - b2) * g * g
        t = self.taken + 1
        spread = self.root(v / (1 - b2 ** t), self.options.get("eps_root", 0))
        return theta - rate * (m / (1 - b1 ** t)) / (spread + eps)

    adamw = adam

    def rmsprop(self, theta, g, rate):
        alpha, eps = self.options.get("alpha", 0.99), self.options.get("eps", 1e-8)
        mu = self.options.get("momentum", 0)
        v = self.memory["v"] = alpha * self.kept("v", g) + (1 - alpha) * g * g
        step = g / (self.root(v, self.options.get("eps_root", 0)) + eps)
        if mu:
            step = self.memory["b"] = mu * self.kept("b", g) + step
        return theta - rate * step


class Gan:
    """The run in a folder: --game fcgan with biases on 3 x 3 images."""

    def __init__(self, folder, images):
        self.torch = torch_or_skip()
        self.torch.set_num_threads(1)
        self.run, self.attributes = arrays(folder + "/trajectory.h5"), attributes(folder + "/trajectory.h5")
        self.layout = json.loads(self.attributes["layout"])
        self.parameters = sum(int(np.prod(one["shape"])) for one in self.layout)
        self.points = self.tensor(images.reshape(len(images), -1)[self.run["instance_id"]] / 127.5 - 1)
        self.players = [[one for one in self.layout if one["player"] == player]
                        for player in ("generator", "discriminator")]
        self.sizes = [sum(int(np.prod(one["shape"])) for one in player) for player in self.players]
        self.latent = self.players[0][0]["shape"][1]
        self.steps, self.batch = self.run["batch"].shape

    def tensor(self, values):
        return self.torch.tensor(np.asarray(values), dtype=self.torch.float64)

    def start(self):
        return self.tensor(self.run["params"][0][:self.parameters]).split(self.sizes)

    def latents(self, t, purpose=TRAINING_LATENTS, count=None):
        count = self.batch if count is None else count
        return self.tensor(normals(0, purpose, t, 0, count * self.latent).reshape(count, self.latent))

    def net(self, player, theta, x):
        """The perceptron of a player: hidden ReLUs, a linear output."""
        tensors, offset = [], 0
        for one in self.players[player]:
            size = int(np.prod(one["shape"]))
            tensors.append(theta[offset:offset + size].reshape(one["shape"]))
            offset += size
        for kernel, bias in zip(tensors[::2], tensors[1::2]):
            x = x @ kernel.T + bias
            if kernel is not tensors[-2]:
                x = self.torch.relu(x)
        return x

    def losses(self, theta, real, latents, weights):
        softplus = self.torch.nn.functional.softplus
        fake = self.net(1, theta[1], self.net(0, theta[0], latents))[:, 0]
        true = self.net(1, theta[1], real)[:, 0]
        return softplus(-fake).sum() / len(latents), ((weights * softplus(-true)).sum() + softplus(fake).sum()) / len(latents)

    def disc_loss(self, theta, held_out):
        held_out = self.tensor(held_out)
        latents = self.latents(0, VALIDATION_LATENTS, len(held_out))
        return self.losses(theta, held_out, latents, self.torch.ones(len(held_out), dtype=self.torch.float64))[1]

    def by_torch(self, make_optimiser, rates, turns, clip=0):
        """The end [P] of training by torch.optim's optimisers, one a player; turns(t): the players that move."""
        theta = [part.clone().requires_grad_() for part in self.start()]
        optimisers = [make_optimiser([part], rates(0)) for part in theta]
        ones = self.torch.ones(self.batch, dtype=self.torch.float64)
        for t in range(self.steps):
            losses = self.losses(theta, self.points[self.run["batch"][t]], self.latents(t), ones)
            gradients = [self.torch.autograd.grad(loss, part, retain_graph=True)[0] for loss, part in zip(losses, theta)]
            for player in turns(t):
                theta[player].grad = gradients[player]
                if clip:
                    self.torch.nn.utils.clip_grad_norm_([theta[player]], clip)
                optimisers[player].param_groups[0]["lr"] = rates(t)
                optimisers[player].step()
        return np.concatenate([part.detach().numpy() for part in theta])

    def unrolled(self, make_optimiser, rates, turns, weights, first=0):
        """End and model, as graphs of the instances' weights [N] from step `first` on."""
        theta, optimisers = [part.requires_grad_() for part in self.start()], [make_optimiser() for _ in (0, 1)]
        for t in range(self.steps):
            if t == first:
                theta = [part.detach().requires_grad_() for part in theta]
            # Of their own at each step: a player that stayed is part of what the other's theta came from.
            theta = [part + 0 for part in theta]
            positions = self.run["batch"][t]
            present = weights[positions] if t >= first else self.torch.ones(len(positions), dtype=self.torch.float64)
            losses = self.losses(theta, self.points[positions], self.latents(t), present)
            gradients = [self.torch.autograd.grad(loss, part, create_graph=True)[0] for loss, part in zip(losses, theta)]
            for player in turns(t):
                theta[player] = optimisers[player].step(theta[player], gradients[player], rates(t))
        return theta, [one.model(part) for one, part in zip(optimisers, theta)]
