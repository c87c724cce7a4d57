"""WGAN-GP: the critic's loss itself holds a gradient. The penalty between instance j and fake j belongs to instance j, so
it goes when j is removed."""
import torch
from torch import nn

import arguments  # finds whence
import whence


def perceptron(*widths):
    layers = []
    for one, other in zip(widths, widths[1:]):
        layers += [nn.Linear(one, other), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class WganGpGame(whence.Game):
    def __init__(self, pixels, width, latent):
        self.latent, self.noise = latent, latent + 1  # the last number: where between instance and fake
        self.players = {"generator": perceptron(latent, width, width, pixels), "critic": perceptron(pixels, width, width, 1)}

    def terms(self, players, x, noise, labels):
        generator, critic = players["generator"], players["critic"]
        x = x.flatten(1)
        fake = torch.tanh(generator(noise[:, :self.latent]))
        share = whence.uniform(noise[:, self.latent:])
        between = share * x + (1 - share) * fake
        slope, = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        penalty = 10 * (slope.norm(2, 1) - 1).square()
        of_fake = critic(fake).squeeze(1)
        return {"generator": whence.Terms(noise=-of_fake),
                "critic": whence.Terms(instances=penalty - critic(x).squeeze(1), noise=of_fake)}

    def sample(self, players, noise):
        return torch.tanh(players["generator"](noise[:, :self.latent]))


if __name__ == "__main__":
    chosen = arguments.read(__doc__, side=28, width=64, latent=16)
    game = WganGpGame(chosen.side ** 2, chosen.width, chosen.latent)
    whence.export(game, chosen.file, arguments.images(chosen.side, -1.0))
