"""A conditional DCGAN: both players see the label."""
import torch
import torch.nn.functional as F
from torch import nn

import arguments  # finds whence
import whence

CLASSES = 10


def one_hot(labels, like):
    return (labels[:, None] == torch.arange(CLASSES)).to(like)


class Generator(nn.Module):
    def __init__(self, latent, channels, side):
        super().__init__()
        self.channels, self.quarter = channels, side // 4
        self.start = nn.Linear(latent + CLASSES, 2 * channels * self.quarter ** 2)
        self.up = nn.Sequential(nn.LeakyReLU(0.2), nn.ConvTranspose2d(2 * channels, channels, 4, 2, 1), nn.LeakyReLU(0.2),
                                nn.ConvTranspose2d(channels, 1, 4, 2, 1), nn.Tanh())

    def forward(self, noise, labels):
        h = self.start(torch.cat([noise, one_hot(labels, noise)], 1))
        return self.up(h.view(-1, 2 * self.channels, self.quarter, self.quarter))


class Discriminator(nn.Module):
    def __init__(self, channels, side):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, channels, 4, 2, 1), nn.LeakyReLU(0.2),
                                  nn.Conv2d(channels, 2 * channels, 4, 2, 1), nn.LeakyReLU(0.2), nn.Flatten())
        self.end = nn.Linear(2 * channels * (side // 4) ** 2 + CLASSES, 1)

    def forward(self, x, labels):
        return self.end(torch.cat([self.down(x), one_hot(labels, x)], 1)).squeeze(1)


class DcganGame(whence.Game):
    def __init__(self, latent, channels, side):
        self.noise = latent
        self.players = {"generator": Generator(latent, channels, side), "discriminator": Discriminator(channels, side)}

    def terms(self, players, x, noise, labels):
        real = players["discriminator"](x, labels)
        fake = players["discriminator"](players["generator"](noise, labels), labels)
        return {"generator": whence.Terms(noise=-F.logsigmoid(fake)),
                "discriminator": whence.Terms(instances=-F.logsigmoid(real), noise=-F.logsigmoid(-fake))}


if __name__ == "__main__":
    chosen = arguments.read(__doc__, side=28, channels=8, latent=32)
    game = DcganGame(chosen.latent, chosen.channels, chosen.side)
    whence.export(game, chosen.file, arguments.images(chosen.side, -1.0), labels=torch.arange(8))
