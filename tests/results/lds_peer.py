#!/usr/bin/env python3
"""TracIn as one writes it in PyTorch, for `whence validate --scores`: of each checkpoint, the product of an instance's
gradient with a test image's, times the rate, added up. An mlp-vae of tanh units; noise is drawn anew for every gradient."""
import argparse
import csv
import os
import sys

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, linear

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
import whence  # noqa: E402


def loss(tensors, x, samples, latent):
    layers = list(zip(tensors[::2], tensors[1::2]))
    half = len(layers) // 2

    def network(h, part):
        for weight, bias in part[:-1]:
            h = torch.tanh(linear(h, weight, bias))
        return linear(h, *part[-1])

    mu, log_variance = network(x, layers[:half]).split(latent)
    code = mu + torch.exp(log_variance / 2) * torch.randn(samples, latent, dtype=x.dtype)
    logits = network(code, layers[half:])
    reconstruction = binary_cross_entropy_with_logits(logits, x.expand_as(logits), reduction="none").sum(1).mean()
    return reconstruction + 2 * (mu.square() + log_variance.exp() - log_variance - 1).sum()  # beta 4


def gradients(tensors, images, samples, latent):
    return torch.stack([torch.cat([one.flatten() for one in torch.autograd.grad(loss(tensors, x, samples, latent), tensors)])
                        for x in images])


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("run")
    options.add_argument("--queries", default="training", help="tracin-NAME.h5 of this name says which test images")
    options.add_argument("--checkpoints", default="40,80,120,160,200,240,280,320,360,400")
    options.add_argument("--samples", type=int, default=16)
    options.add_argument("-o", "--out", required=True)
    chosen = options.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    run = whence.open(chosen.run)
    latent, rate = int(run.settings["latent"]), float(run.settings["rate"])
    queries, _ = run.tracin(chosen.queries)
    images = [torch.from_numpy(np.asarray(run.images(ids), float)).flatten(1) for ids in (run.ids, queries["id"])]
    scores = torch.zeros(len(images[0]), len(images[1]), dtype=torch.float64)
    for step in map(int, chosen.checkpoints.split(",")):
        tensors = [torch.from_numpy(np.array(one)).double().requires_grad_() for one in run.tensors(step).values()]
        of_tests = gradients(tensors, images[1], chosen.samples, latent)
        for begin in range(0, len(images[0]), 100):
            scores[begin:begin + 100] += rate * gradients(tensors, images[0][begin:begin + 100], chosen.samples, latent) @ of_tests.T
    with open(chosen.out, "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id"] + ["loss:%d" % q for q in range(len(images[1]))])
        table.writerows([int(i)] + row.tolist() for i, row in zip(run.ids, scores))


if __name__ == "__main__":
    main()
