#!/usr/bin/env python3
"""Steps of exported models beside the same steps in an eager PyTorch loop, on one thread each, in turns: the ratio, what a
trace costs in steps and what one of eight queries costs in traces.
  tests/bench/script_ratio.py WHENCE DATA     (mnist:DIR)"""
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools", "examples"))
import arguments
import torch
import dcgan
import ddpm
import vae
import wgan_gp
import whence

TURNS, SECONDS, BATCH = 3, 1.0, 64
GAMES = {"vae 784-400-20": (lambda: vae.VaeGame(784, 400, 20), 0.0, False),
         "dcgan, 8 channels": (lambda: dcgan.DcganGame(32, 8, 28), -1.0, True),
         "wgan_gp, 64 wide": (lambda: wgan_gp.WganGpGame(784, 64, 16), -1.0, False),
         "ddpm, 8 channels": (lambda: ddpm.DdpmGame(8, 28), -1.0, False)}


def eager_step(game, x, labels):
    """What `whence check` times: noise is given, g is formed."""
    noise = torch.randn(BATCH, game.noise)

    def step():
        terms, names = game.terms(game.players, x, noise, labels), list(game.players)
        for name in names:
            one = terms[name]
            loss = sum(part.sum() for part in (one.instances, one.noise) if part is not None) / BATCH + one.penalty
            torch.autograd.grad(loss, list(game.players[name].parameters()), retain_graph=name != names[-1])
    return step


def seconds_each(step):  # as in whence check: one to warm up
    step()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < SECONDS:
        step()
        count += 1
    return (time.perf_counter() - begin) / count


def main():
    program, data = sys.argv[1:]
    torch.set_num_threads(1)
    print("%-20s %13s %13s %7s %14s %14s" % ("float32, batch %d" % BATCH, "eager steps/s", "exported", "ratio", "trace in steps",
                                             "8 queries in 1"))
    for name, (make, low, labelled) in GAMES.items():
        torch.manual_seed(0)
        game, labels = make(), torch.arange(BATCH) % 10 if labelled else None
        x = low + (1 - low) * torch.rand(BATCH, 1, 28, 28)
        with tempfile.TemporaryDirectory() as place:
            model = os.path.join(place, "model.pt")
            whence.export(game, model, arguments.images(28, low), labels=None if labels is None else labels[:8])
            best, eager = [0.0, float("inf"), float("inf")], float("inf")
            for _ in range(TURNS):
                eager = min(eager, seconds_each(eager_step(game, x, labels)))
                told = subprocess.run([program, "check", model, "--data", data, "--batch", str(BATCH), "--pixels",
                                       "minus-one-to-one" if low else "zero-to-one"], capture_output=True, text=True, check=True)
                steps, _, trace, eight = map(float, re.search(
                    r": ([0-9.]+) steps and ([0-9.]+) traces a second\n.* is ([0-9.]+) steps, one of eight ([0-9.]+) ",
                    told.stdout).groups())
                best = [max(best[0], steps), min(best[1], trace), min(best[2], eight)]
        print("%-20s %13.1f %13.1f %7.2f %14.1f %14.1f" % (name, 1 / eager, best[0], 1 / eager / best[0], best[1], best[2]))


if __name__ == "__main__":
    main()
