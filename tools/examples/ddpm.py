"""A small denoising diffusion model: a U-Net with GroupNorm, SiLU and attention. Its noise is epsilon, one number a pixel,
and the time."""
import math

import torch
from torch import nn

import arguments  # finds whence
import whence


class Block(nn.Module):
    def __init__(self, before, after, time):
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(4, before), nn.SiLU(), nn.Conv2d(before, after, 3, padding=1))
        self.time = nn.Linear(time, after)
        self.second = nn.Sequential(nn.GroupNorm(4, after), nn.SiLU(), nn.Conv2d(after, after, 3, padding=1))
        self.skip = nn.Conv2d(before, after, 1)

    def forward(self, x, time):
        return self.skip(x) + self.second(self.first(x) + self.time(time)[:, :, None, None])


class Attention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.norm, self.attention = nn.GroupNorm(4, channels), nn.MultiheadAttention(channels, 2, batch_first=True)

    def forward(self, x):
        rows = self.norm(x).flatten(2).transpose(1, 2)
        return x + self.attention(rows, rows, rows, need_weights=False)[0].transpose(1, 2).reshape_as(x)


class UNet(nn.Module):
    def __init__(self, channels):
        super().__init__()
        time = 4 * channels
        self.register_buffer("frequencies", torch.exp(torch.linspace(0, math.log(1000.0), channels // 2)))
        self.time = nn.Sequential(nn.Linear(2 * (channels // 2), time), nn.SiLU(), nn.Linear(time, time))
        self.start, self.down = nn.Conv2d(1, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, 2, 1)
        self.one, self.two, self.middle = (Block(channels, channels, time), Block(channels, 2 * channels, time),
                                           Attention(2 * channels))
        self.up = nn.ConvTranspose2d(2 * channels, channels, 4, 2, 1)
        self.three = Block(2 * channels, channels, time)
        self.end = nn.Sequential(nn.GroupNorm(4, channels), nn.SiLU(), nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, x, t):
        angles = t * self.frequencies
        time = self.time(torch.cat([angles.sin(), angles.cos()], 1))
        high = self.one(self.start(x), time)
        low = self.middle(self.two(self.down(high), time))
        return self.end(self.three(torch.cat([high, self.up(low)], 1), time))


class DdpmGame(whence.Game):
    def __init__(self, channels, side):
        self.pixels, self.noise = side * side, side * side + 1
        self.players = {"unet": UNet(channels)}

    def terms(self, players, x, noise, labels):
        epsilon, t = noise[:, :self.pixels].view_as(x), whence.uniform(noise[:, self.pixels:])
        angle = (0.02 + 0.96 * t[:, :, None, None]) * (math.pi / 2)
        guess = players["unet"](angle.cos() * x + angle.sin() * epsilon, t)
        return {"unet": whence.Terms(instances=(guess - epsilon).square().flatten(1).mean(1))}


if __name__ == "__main__":
    chosen = arguments.read(__doc__, side=28, channels=8)
    whence.export(DdpmGame(chosen.channels, chosen.side), chosen.file, arguments.images(chosen.side, -1.0))
