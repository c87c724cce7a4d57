"""A plain classifier: cross entropy, no noise."""
import torch
import torch.nn.functional as F
from torch import nn

import arguments  # finds whence
import whence


class ClassifierGame(whence.Game):
    noise = 0
    larger_is_better = ("accuracy-margin",)

    def __init__(self, side, channels):
        self.players = {"classifier": nn.Sequential(
            nn.Conv2d(1, channels, 5, 2, 2), nn.ReLU(), nn.Conv2d(channels, 2 * channels, 5, 2, 2), nn.ReLU(), nn.Flatten(),
            nn.Linear(2 * channels * ((side + 3) // 4) ** 2, 10))}

    def terms(self, players, x, noise, labels):
        return {"classifier": whence.Terms(instances=F.cross_entropy(players["classifier"](x), labels, reduction="none"))}

    def metrics(self, players, x, noise, labels):
        """How far the right class's logit is above the mean of all, on average."""
        logits = players["classifier"](x)
        return {"accuracy-margin": (logits.gather(1, labels[:, None]).squeeze(1) - logits.mean(1)).mean()}


if __name__ == "__main__":
    chosen = arguments.read(__doc__, side=28, channels=8)
    whence.export(ClassifierGame(chosen.side, chosen.channels), chosen.file, arguments.images(chosen.side),
                  labels=torch.arange(8))
