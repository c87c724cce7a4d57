#!/usr/bin/env python3
"""What counting kink crossings gains by moves that are carried forward instead of frozen: carried_moves.py RUN SEED
[--epochs-back 5] [--targets 70] [--pilots 40] [--directions 4,16,32].

RUN: whence train --preset published --seed SEED --held-out 10000 (2D-Normal, 10,000 instances, float64, all steps recorded).
Removing instance j moves theta by d_j(t) at step t. `frozen` takes the sum of its uses' gradients before t, as whence influence
does one epoch back. `carried`, which it does beyond, takes that of frozen moves which leaves a few directions B alone, and in those
follows
  y_j(t + 1) = y_j(t) - B^T (J_t d_j + the jumps of the units that d_j takes across their kink) + B^T (j's use at t),
where J_t is the derivative of the step. B are the main directions of exact less frozen moves of some pilots, which are retrained.
Prints the error of the moves at the end and Kendall's tau with the truth, for no crossings, exact, frozen and carried moves.
Needs PyTorch, h5py and SciPy; memory: 46 kB a step and instance."""
import argparse
import os
import sys

import h5py
import numpy as np
import torch
from scipy.stats import kendalltau

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs"))
from vae_support import normals  # noqa: E402

SHAPES = ((32, 10), (32, 32), (2, 32), (64, 2), (64, 64), (1, 64))  # the generator's three layers, the discriminator's
ENDS = np.cumsum([a * b for a, b in SHAPES])
OF_GENERATOR, ALL = ENDS[2], ENDS[-1]
LATENTS, POINTS, HELD_OUT, VALIDATION, BATCH, INSTANCES = 3, 5, 6, 4, 100, 10_000


def layers(theta):
    """[..., P] as the six matrices."""
    return [part.reshape(theta.shape[:-1] + shape) for part, shape in zip(theta.split([a * b for a, b in SHAPES], -1), SHAPES)]


def perceptron(weights, x):
    """Pre-activations and outputs of two hidden layers of ReLUs, and the output: a1, h1, a2, h2, y."""
    a1 = x @ weights[0].mT
    a2 = torch.relu(a1) @ weights[1].mT
    return a1, torch.relu(a1), a2, torch.relu(a2), torch.relu(a2) @ weights[2].mT


def positive(a):
    return (a > 0).double()


class Recorded:
    """A run's steps, points and last query."""

    def __init__(self, folder, seed, epochs_back):
        self.file, self.seed = h5py.File(os.path.join(folder, "trajectory.h5"), "r"), seed
        self.batches, rates = self.file["batch"][:], self.file["rate"][0]
        self.end = len(self.batches)
        self.first = self.end - epochs_back * (INSTANCES // BATCH)
        self.rates = torch.cat([torch.full((OF_GENERATOR,), rates[0]), torch.full((ALL - OF_GENERATOR,), rates[1])]).double()
        self.points = self.drawn(POINTS)

    def drawn(self, purpose):
        z = normals(self.seed, purpose, 0, 0, 2 * INSTANCES).reshape(-1, 2)
        return torch.tensor(np.stack([1 + z[:, 0], 1 + .8 * z[:, 0] + .6 * z[:, 1]], 1))

    def theta(self, t):
        return torch.tensor(self.file["params"][t])

    def step(self, t):
        """theta, the real points and the latents."""
        latents = torch.tensor(normals(self.seed, LATENTS, t, 0, 10 * BATCH).reshape(BATCH, 10))
        return self.theta(t), self.points[self.batches[t]], latents

    def query(self):
        """The gradient [P] of ALL at the end."""
        theta = self.theta(self.end).requires_grad_()
        latents = torch.tensor(normals(self.seed, VALIDATION, 0, 0, 10 * INSTANCES).reshape(-1, 10))
        generated = perceptron(layers(theta)[:3], latents)[-1]
        by_point = torch.zeros(INSTANCES, 2, dtype=torch.float64)
        for held_out in self.drawn(HELD_OUT).split(1000):
            apart = held_out[:, None] - generated.detach()[None]
            logs = -.5 * apart.square().sum(2)
            by_point += (torch.softmax(logs, 1)[:, :, None] * apart).sum(0)
        return torch.autograd.grad((generated * by_point / INSTANCES).sum(), theta)[0]


def by_logits(logits):
    """Derivatives of D's and G's loss by D's logits of generated and real points [2 B], [B]."""
    of_discriminator = torch.cat([torch.sigmoid(logits[..., :BATCH]), -torch.sigmoid(-logits[..., BATCH:])], -1) / BATCH
    return of_discriminator, -torch.sigmoid(-logits[..., :BATCH]) / BATCH


def step_gradients(theta, real, latents, weights):
    """[R, P] of both players' losses for theta [R, P], with weights [R, B] of the real points."""
    w = layers(theta)
    b1, g1, b2, g2, generated = perceptron(w[:3], latents)
    x = torch.cat([generated, real.expand(len(theta), -1, -1)], 1)
    a1, h1, a2, h2, logits = perceptron(w[3:], x)
    by_d, by_g = by_logits(logits[..., 0])
    by_d = torch.cat([by_d[:, :BATCH], by_d[:, BATCH:] * weights], 1)
    q2 = by_d[..., None] * w[5] * positive(a2)
    q1 = (q2 @ w[4]) * positive(a1)
    to_input = (((by_g[..., None] * w[5] * positive(a2[:, :BATCH])) @ w[4]) * positive(a1[:, :BATCH])) @ w[3]
    p2 = (to_input @ w[2]) * positive(b2)
    p1 = (p2 @ w[1]) * positive(b1)
    parts = (p1.mT @ latents, p2.mT @ g1, to_input.mT @ g2, q1.mT @ x, q2.mT @ h1, by_d[:, None] @ h2)
    return torch.cat([part.flatten(1) for part in parts], 1)


def retrained(run, positions):
    """Exact moves [steps + 1, n, P] float32, by retraining without each."""
    moves = np.zeros((run.end - run.first + 1, len(positions), ALL), np.float32)
    theta = run.theta(run.first).repeat(len(positions), 1)
    for t in range(run.first, run.end):
        recorded, real, latents = run.step(t)
        moves[t - run.first] = theta - recorded
        weights = torch.tensor((run.batches[t][None] != positions[:, None]).astype(float))
        theta = theta - run.rates * step_gradients(theta, real, latents, weights)
    moves[-1] = theta - run.theta(run.end)
    return moves


def uses(run, positions):
    """Of each step the instances that it uses, and how their removal moves theta, [uses, P]; and frozen moves as retrained()."""
    place = {int(position): j for j, position in enumerate(positions)}
    each, total = [], torch.zeros(len(positions), ALL, dtype=torch.float64)
    frozen = np.zeros((run.end - run.first + 1, len(positions), ALL), np.float32)
    for t in range(run.first, run.end):
        frozen[t - run.first] = total
        rows = [i for i, position in enumerate(run.batches[t]) if int(position) in place]
        theta, real, _ = run.step(t)
        w, x = layers(theta), real[rows]
        a1, h1, a2, h2, logits = perceptron(w[3:], x)
        by_logit = -torch.sigmoid(-logits[:, 0]) / BATCH
        q2 = by_logit[:, None] * w[5] * positive(a2)
        q1 = (q2 @ w[4]) * positive(a1)
        moves = torch.cat([torch.zeros(len(rows), OF_GENERATOR), (q1[:, :, None] * x[:, None]).flatten(1),
                           (q2[:, :, None] * h1[:, None]).flatten(1), by_logit[:, None] * h2], 1) * run.rates
        each.append((torch.tensor([place[int(run.batches[t][i])] for i in rows], dtype=torch.long), moves))
        total.index_add_(0, *each[-1])
    frozen[-1] = total
    return each, frozen


def main_directions(moves, count):
    """[P, count], orthonormal, of moves [steps, n, P] at twenty times."""
    times = np.linspace(len(moves) // 20, len(moves) - 1, 20).astype(int)
    rows = torch.tensor(moves[times].reshape(-1, ALL), dtype=torch.float64)
    vectors = torch.linalg.eigh(rows @ rows.T)[1].flip(1)[:, :count]
    return torch.linalg.qr(rows.T @ vectors)[0]


def losses_gradient(theta, real, latents):
    """g(theta) [P] of both players, to be differentiated again."""
    w = layers(theta)
    generated = perceptron(w[:3], latents)[-1]
    of_generated, of_real = (perceptron(w[3:], x)[-1][:, 0] for x in (generated, real))
    softplus = torch.nn.functional.softplus
    of_discriminator = (softplus(-of_real).sum() + softplus(of_generated).sum()) / BATCH
    by_d = torch.autograd.grad(of_discriminator, w[3:], create_graph=True)
    by_g = torch.autograd.grad(softplus(-of_generated).sum() / BATCH, w[:3], create_graph=True)
    return torch.cat([part.flatten() for part in by_g + by_d])


def sides(theta, moves, real, latents):
    """Of each hidden layer whether moves [n, P] take its units across their kink: [n, samples, units] of +-1 and 0, and the
    slopes without moves. The generator's layers, then the discriminator's."""
    def slopes(w, x):
        a1, _, a2, _, y = perceptron(w[:3], x)
        c1, _, c2, _, _ = perceptron(w[3:], torch.cat([y, real.expand(y.shape[:-2] + real.shape)], -2))
        return [positive(a) for a in (a1, a2, c1, c2)]
    there, moved = slopes(layers(theta), latents), slopes(layers(theta + moves), latents)
    return [b - a for a, b in zip(there, moved)], there


def jumps(theta, moves, real, latents):
    """[n, P]: how far the gradients jump as units change sides."""
    w = layers(theta)
    g1, _, g2, generated = perceptron(w[:3], latents)[1:]
    x = torch.cat([generated, real])
    h1, logits = perceptron(w[3:], x)[1], perceptron(w[3:], x)[-1]
    by_d, by_g = by_logits(logits[:, 0])
    (f1, f2, c1, c2), (n1, n2, m1, m2) = sides(theta, moves, real, latents)

    def backwards(by_logit, rows):
        jump2, slope2 = by_logit[:, None] * w[5] * c2[:, rows], by_logit[:, None] * w[5] * m2[rows]
        return (jump2 @ w[4]) * (m1[rows] + c1[:, rows]) + (slope2 @ w[4]) * c1[:, rows], jump2
    generated_rows = slice(0, BATCH)
    q1, q2 = backwards(by_d, slice(None))
    to_input = (((by_g[:, None] * w[5] * m2[generated_rows]) @ w[4]) * m1[generated_rows]) @ w[3]
    jump = backwards(by_g, generated_rows)[0] @ w[3]
    p2 = (jump @ w[2]) * n2 + (to_input @ w[2]) * f2
    p1 = (p2 @ w[1]) * n1 + (((to_input @ w[2]) * n2) @ w[1]) * f1
    hidden = torch.relu(perceptron(w[:3], latents)[2])
    parts = (p1.mT @ latents, p2.mT @ g1, jump.mT @ hidden, q1.mT @ x, q2.mT @ h1, torch.zeros(len(moves), 64, 1))
    return torch.cat([part.flatten(1) for part in parts], 1)


def carried(run, each, frozen, directions):
    """Moves as retrained(), carried forward in the directions [P, r]."""
    n = frozen.shape[1]
    moves, y = np.zeros_like(frozen), torch.zeros(n, directions.shape[1], dtype=torch.float64)

    def moved(t):
        still = torch.tensor(frozen[t - run.first]).double()
        return still + (y - still @ directions) @ directions.T
    for t in range(run.first, run.end):
        theta, real, latents = run.step(t)
        d = moved(t)
        moves[t - run.first] = d
        leaf = theta.clone().requires_grad_()
        g = losses_gradient(leaf, real, latents)
        pulled = torch.stack([torch.autograd.grad(g, leaf, column * run.rates, retain_graph=True)[0] for column in directions.T])
        y = y - d @ pulled.T - (jumps(theta, d, real, latents) * run.rates) @ directions
        who, rows = each[t - run.first]
        y.index_add_(0, who, rows @ directions)
    moves[-1] = moved(run.end)
    return moves


def kappa(theta, v, real, latents):
    """Of each of D's units on each sample the jump of <v, g> when its slope goes from 0 to 1, [2 B, units] of both layers."""
    w, t = layers(theta), layers(v)
    b1, g1, b2, g2, generated = perceptron(w[:3], latents)
    x = torch.cat([generated, real])
    a1, h1, a2, _, logits = perceptron(w[3:], x)
    m1, m2 = positive(a1), positive(a2)
    by_d, by_g = by_logits(logits[:, 0])
    tangent1 = x @ t[3].T
    tangent2 = h1 @ t[4].T + (tangent1 * m1) @ w[4].T
    k1, k2 = tangent1 * (((by_d[:, None] * w[5]) * m2) @ w[4]), tangent2 * (by_d[:, None] * w[5])
    along = g2 @ t[2].T + ((g1 @ t[1].T + ((latents @ t[0].T) * positive(b1)) @ w[1].T) * positive(b2)) @ w[2].T
    tangent1 = along @ w[3].T
    k1[:BATCH] += tangent1 * (((by_g[:, None] * w[5]) * m2[:BATCH]) @ w[4])
    k2[:BATCH] += ((tangent1 * m1[:BATCH]) @ w[4].T) * (by_g[:, None] * w[5])
    of_logit = torch.relu(a2) @ t[5][0] + (tangent2 * m2) @ w[5][0]
    return k1, k2, (by_d * of_logit)[BATCH:]


def estimates(run, query, positions, kinds):
    """Estimate [n] without crossings, and with those that each kind of moves has."""
    u, plain = query, np.zeros(INSTANCES)
    counted = {name: np.zeros(len(positions)) for name in kinds}
    for t in range(run.end - 1, run.first - 1, -1):
        theta, real, latents = run.step(t)
        v = u * run.rates
        k1, k2, of_weight = kappa(theta, v, real, latents)
        plain[run.batches[t]] += of_weight.numpy()
        for name, moves in kinds.items():
            c1, c2 = sides(theta, torch.tensor(moves[t - run.first]).double(), real, latents)[0][2:]
            counted[name] -= ((c1 * k1).sum((1, 2)) + (c2 * k2).sum((1, 2))).numpy()
        leaf = theta.clone().requires_grad_()
        u = u - torch.autograd.grad(losses_gradient(leaf, real, latents), leaf, v)[0]
    return {"none": plain[positions], **{name: plain[positions] + more for name, more in counted.items()}}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("seed", type=int)
    for name, default in (("epochs-back", 5), ("targets", 70), ("pilots", 40)):
        parser.add_argument("--" + name, type=int, default=default)
    parser.add_argument("--directions", default="4,16,32")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    run = Recorded(given.run, given.seed, given.epochs_back)
    chosen = np.random.default_rng(given.seed).permutation(INSTANCES)[:given.targets + given.pilots]
    exact = retrained(run, chosen)
    each, frozen = uses(run, chosen[:given.targets])
    pilots = exact[:, given.targets:] - uses(run, chosen[given.targets:])[1]
    exact = exact[:, :given.targets]
    kinds = {"exact": exact, "frozen": frozen}
    for count in map(int, given.directions.split(",")):
        kinds["carried, %d directions" % count] = carried(run, each, frozen, main_directions(pilots, count))
    query = run.query()
    truth = exact[-1].astype(float) @ query.numpy()
    print("%s, k = %d, %d targets, %d pilots" % (given.run, given.epochs_back, given.targets, given.pilots))
    for name, found in estimates(run, query, chosen[:given.targets], kinds).items():
        error = np.linalg.norm(kinds[name][-1] - exact[-1]) / np.linalg.norm(exact[-1]) if name in kinds else float("nan")
        print("  %-24s error of moves %.3f   tau %.3f   Pearson %.4f" % (
            name, error, kendalltau(found, truth)[0], np.corrcoef(found, truth)[0, 1]), flush=True)


if __name__ == "__main__":
    main()
