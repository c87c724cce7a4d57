"""What the examples share: their arguments, and finding the package."""
import argparse
import os
import sys

import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))


def read(description, **sizes):
    """Arguments FILE, --seed and --NAME for each of `sizes`; seeds PyTorch."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("file", help="model to write, FILE.pt")
    parser.add_argument("--seed", type=int, default=0, help="of the parameters at the start")
    for name, value in sizes.items():
        parser.add_argument("--" + name, type=int, default=value, help="default: %(default)s")
    chosen = parser.parse_args()
    torch.manual_seed(chosen.seed)
    return chosen


def images(side, low=0.0):
    """Eight made-up images of one channel, as an example for the export."""
    return low + (1 - low) * torch.rand(8, 1, side, side)
