"""The common PyTorch VAE: 784-400-20 with two heads, Bernoulli pixels."""
import torch
import torch.nn.functional as F
from torch import nn

import arguments  # finds whence
import whence


class Vae(nn.Module):
    def __init__(self, pixels, width, latent):
        super().__init__()
        self.fc1, self.mean, self.log_variance = nn.Linear(pixels, width), nn.Linear(width, latent), nn.Linear(width, latent)
        self.fc3, self.fc4 = nn.Linear(latent, width), nn.Linear(width, pixels)

    def encode(self, x):
        h = F.relu(self.fc1(x))
        return self.mean(h), self.log_variance(h)

    def decode(self, z):
        return self.fc4(F.relu(self.fc3(z)))


class VaeGame(whence.Game):
    def __init__(self, pixels, width, latent):
        self.players, self.noise = {"vae": Vae(pixels, width, latent)}, latent

    def terms(self, players, x, noise, labels):
        vae, x = players["vae"], x.flatten(1)
        mean, log_variance = vae.encode(x)
        logits = vae.decode(mean + torch.exp(0.5 * log_variance) * noise)
        reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
        return {"vae": whence.Terms(instances=reconstruction + divergence)}

    def sample(self, players, noise):
        return torch.sigmoid(players["vae"].decode(noise))


if __name__ == "__main__":
    chosen = arguments.read(__doc__, side=28, width=400, latent=20)
    game = VaeGame(chosen.side ** 2, chosen.width, chosen.latent)
    whence.export(game, chosen.file, arguments.images(chosen.side))
