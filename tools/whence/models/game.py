"""What a user writes: the players, and each one's loss as terms."""
import dataclasses
import math
from typing import Optional, Union

import torch


@dataclasses.dataclass
class Terms:
    """A player's loss, L = (sum_j w_j instances_j + sum_l noise_l) / |S| + penalty. Whence applies the weights w_j
    (1 = present, 0 = removed), the divisor |S| of the whole mini-batch and the slices of ranks, and adds the penalty
    once."""
    instances: Optional[torch.Tensor] = None  #: [b], a value an instance, of its own instance alone
    noise: Optional[torch.Tensor] = None      #: [l], a value a row of noise, of no instance
    penalty: Union[float, torch.Tensor] = 0.0  #: a number of the parameters alone, e.g. an L2 penalty


def uniform(noise):
    """Uniform numbers on (0, 1) from standard normal ones: their distribution function."""
    return 0.5 * (1.0 + torch.erf(noise * math.sqrt(0.5)))


class Game:
    """A game of players. Set `players` and `noise` and write `terms`; `sample` and `metrics` are optional.

    players  name -> nn.Module, in order; each owns its parameters (those that require a gradient), no two share one
    noise    standard normal numbers a row of noise; there are as many rows as instances
    larger_is_better  names of those `metrics` that are better when larger (whence cleanse)
    """
    players = {}
    noise = 0
    larger_is_better = ()

    def terms(self, players, x, noise, labels):
        """{player: Terms} of instances x [b, shape of one], noise [b, self.noise] and labels [b] (None where the example
        has none). Compute with `players`, not with `self`."""
        raise NotImplementedError

    # initialise(self, players): draws the parameters anew in place, with torch.nn.init, where that is not what the modules'
    # reset_parameters does; for `--initial seed`, which draws them by --seed in the same way
    initialise = None
    # sample(self, players, noise) -> points [m, shape of one], for the metrics all, is, fid and for pictures
    sample = None
    # metrics(self, players, x, noise, labels) -> {name: scalar tensor} of the held-out instances
    metrics = None
