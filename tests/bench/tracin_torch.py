#!/usr/bin/env python3
"""TracIn of VAEs by Whence beside the best loops that PyTorch's users write, of the same model with the same noise, on one
thread each, in turns: (a) the samples of an instance as one batch, one backward pass an instance, one product of eight
instances with all queries; (b) torch.func.vmap(grad) over a chunk of instances. Milliseconds of processor time an instance, smallest of ROUNDS,
and the largest difference of the scores from Whence's, over the largest score.
  tests/bench/tracin_torch.py WHENCE GAME [--torch PYTHON] [--dtype float32] [--rounds 3] [--queries 128] [--peers FOLDER]
FOLDER: where captum and dattri are (PYTHON -m pip install --target FOLDER captum dattri), which are measured, too (tracin_peers.py).
GAME: mlp-vae (d = 128) or conv-vae (d = 64). PYTHON: one with PyTorch 2.x, by default that of tools/setup --torch2."""
import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "jobs"))
SAMPLES, SEED, STEPS, TOGETHER = 16, 0, 2, 8
# Latents, pixels, instances of the two runs whose times are compared, instances by PyTorch, chunk of vmap.
SIZES = {"mlp-vae": (128, (28, 28), (128, 640), 24, 8), "conv-vae": (64, (3, 64, 64), (32, 288), 16, 4)}
TORCH = os.path.expanduser("~/.local/share/whence/torch-cuda/bin/python3")


def processor_seconds(command):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


# -- In the Python that has PyTorch.

def networks(game, d, pixels):
    import torch
    nn = torch.nn

    def stack(layers):
        return nn.Sequential(*[one for layer in layers for one in (layer, nn.ReLU())][:-1])

    def down(a, b, stride=2, padding=1):
        return nn.Conv2d(a, b, 4, stride, padding)

    def up(a, b, stride=2, padding=1):
        return nn.ConvTranspose2d(a, b, 4, stride, padding)

    if game == "mlp-vae":
        widths = [int(np.prod(pixels)), 8 * d, 4 * d, 2 * d]
        return (stack([nn.Linear(a, b) for a, b in zip(widths, widths[1:] + [2 * d])]),
                stack([nn.Linear(a, b) for a, b in zip([d] + widths[:0:-1], widths[::-1])]))
    encoder = stack([down(3, 32), down(32, 32), down(32, 64), down(64, 64), down(64, 256, 1, 0)])
    decoder = stack([up(256, 64, 1, 0), up(64, 64), up(64, 32), up(32, 32), up(32, 3)])
    return (nn.Sequential(nn.Unflatten(1, (3, 64, 64)), encoder, nn.ReLU(), nn.Flatten(), nn.Linear(256, 2 * d)),
            nn.Sequential(nn.Linear(d, 256), nn.ReLU(), nn.Unflatten(1, (256, 1, 1)), decoder, nn.Flatten()))


def torch_turn(path, peers):
    """One turn of both loops and of `peers`, a folder or empty, self-influence and with queries: JSON of milliseconds an instance and differences."""
    import time

    import torch
    torch.set_num_threads(1)
    with np.load(path) as held:
        given = {name: held[name] for name in held.files}
    game, d, pixels = str(given["game"]), int(given["latent"]), tuple(given["pixels"])
    theta, x, noise, queries, query_noise = (torch.tensor(given[name]) for name in ("theta", "x", "noise", "queries", "query_noise"))
    torch.manual_seed(0)
    model = torch.nn.ModuleList(networks(game, d, pixels)).to(theta.dtype)
    torch.nn.utils.vector_to_parameters(theta, model.parameters())

    class Loss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = model

        def forward(self, one, eps):
            mu, log_variance = self.encoder(one.unsqueeze(0)).chunk(2, dim=1)
            logits = self.decoder(mu + torch.exp(0.5 * log_variance) * eps)
            if game == "mlp-vae":
                rec = torch.nn.functional.binary_cross_entropy_with_logits(logits, one.expand_as(logits), reduction="sum")
            else:
                rec = (torch.sigmoid(logits) - one).square().sum()
            return rec / SAMPLES + float(given["beta"]) * 0.5 * (mu ** 2 + log_variance.exp() - log_variance - 1).sum()

    loss, chunk = Loss(), int(given["chunk"])
    parameters = dict(loss.named_parameters())

    def gradient(one, eps):
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss(one, eps), list(parameters.values()))])

    def of_each(values, one, eps):
        return torch.func.functional_call(loss, values, (one, eps))

    by_instance = torch.func.vmap(torch.func.grad(of_each), (None, 0, 0))

    def by_loop(matrix):
        found = []
        for begin in range(0, len(x), TOGETHER):
            rows = [gradient(*pair) for pair in zip(x[begin:begin + TOGETHER], noise[begin:begin + TOGETHER])]
            found += [torch.stack([g @ g for g in rows]) if matrix is None else matrix @ torch.stack(rows).T]
        return torch.cat(found, -1)

    def by_vmap(matrix):
        found = []
        for begin in range(0, len(x), chunk):
            parts = by_instance(parameters, x[begin:begin + chunk], noise[begin:begin + chunk])
            if matrix is None:
                found.append(sum(g.flatten(1).square().sum(1) for g in parts.values()))
            else:
                found.append(matrix @ torch.cat([g.flatten(1) for g in parts.values()], 1).T)
        return torch.cat(found, -1)

    matrix = torch.stack([gradient(one, eps) for one, eps in zip(queries, query_noise)])
    result = {"torch": torch.__version__}
    for kind, rows, truth in (("self", None, given["self_scores"]), ("queries", matrix, given["scores"])):
        for name, way in (("a", by_loop), ("b", by_vmap)):
            begin = time.process_time()
            scores = way(rows)
            seconds = time.process_time() - begin
            scores = scores.detach().double().numpy()
            result[kind + " " + name] = [1e3 * seconds / len(x), float(np.abs(scores - truth).max() / np.abs(truth).max())]
    if peers:
        sys.path.append(peers)
        from tracin_peers import peers_turn
        for name, (took, scores) in peers_turn(loss, x, noise, queries, query_noise).items():
            truth = given["self_scores" if name.startswith("self") else "scores"][..., :scores.shape[-1]]
            result[name] = [took, float(np.abs(scores.double().numpy() - truth).max() / np.abs(truth).max())]
    print(json.dumps(result))


# -- In the Python that has h5py.

def make_runs(given, place):
    """Two runs of the same model with other numbers of instances; the options of tracin for each."""
    from vae_support import write_idx
    d, pixels, counts, _, _ = SIZES[given.game]
    images = os.path.join(place, "images.idx")
    write_idx(images, np.random.default_rng(1).integers(0, 256, (counts[1] + given.queries, *pixels)))
    runs = []
    for count in counts:
        runs.append(os.path.join(place, "run%d" % count))
        subprocess.run([given.whence, "train", "--game", given.game, "--data", "idx:" + images, "--instances", str(count),
                        "--held-out", str(given.queries), "--latent", str(d), "--batch", "16", "--steps", str(STEPS), "--checkpoints",
                        "1", "--dtype", given.dtype, "--out", runs[-1]], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    return runs


def tracin(given, run, queries, name):
    return processor_seconds([given.whence, "tracin", "--run", run, "--queries", queries, "--checkpoints", "last", "--samples",
                              str(SAMPLES), "--name", name, "--overwrite", "--quiet"])


def handed_over(given, run, place):
    """What PyTorch needs to do the same, and Whence's scores."""
    import h5py
    from vae_support import TRACIN_INSTANCES, TRACIN_QUERIES, keyed_noise
    d, pixels, _, some, chunk = SIZES[given.game]
    with h5py.File(os.path.join(run, "trajectory.h5")) as file:
        theta = file["params"][-1]
    with h5py.File(os.path.join(run, "tracin-queries.h5")) as file, h5py.File(os.path.join(run, "tracin-self.h5")) as of_self:
        ids, query_ids = file["instance_id"][:some], file["query_id"][:]
        scores, self_scores = file["score"][:, :some], of_self["self_influence"][:some]
    images = np.fromfile(os.path.join(place, "images.idx"), np.uint8)[4 + 4 * (1 + len(pixels)):].reshape(-1, int(np.prod(pixels)))

    def noise(purpose, chosen):
        return keyed_noise(SEED, purpose, STEPS, [int(i) for i in chosen], SAMPLES, d).astype(given.dtype)

    path = os.path.join(place, "given.npz")
    np.savez(path, game=given.game, latent=d, pixels=pixels, chunk=chunk, beta=4.0 if given.game == "mlp-vae" else 2.0,
             theta=theta.astype(given.dtype), x=(images[ids] / 255.0).astype(given.dtype), noise=noise(TRACIN_INSTANCES, ids),
             queries=(images[query_ids] / 255.0).astype(given.dtype), query_noise=noise(TRACIN_QUERIES, query_ids),
             scores=scores, self_scores=self_scores)
    return path


def main():
    if sys.argv[1] == "--turn":
        return torch_turn(*sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whence")
    parser.add_argument("game", choices=SIZES)
    parser.add_argument("--torch", default=TORCH)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, default=128)
    parser.add_argument("--peers", default="")
    given = parser.parse_args()
    counts = SIZES[given.game][2]
    best, apart = {}, {}
    with tempfile.TemporaryDirectory() as place:
        runs = make_runs(given, place)
        for _ in range(given.rounds):
            for kind, queries in (("self", "self"), ("queries", "test:%d" % given.queries)):
                less, more = (tracin(given, run, queries, kind) for run in runs)
                took = 1e3 * (more - less) / (counts[1] - counts[0])
                best[kind + " whence"] = min(took, best.get(kind + " whence", took))
            path = handed_over(given, runs[0], place)
            done = subprocess.run([given.torch, os.path.abspath(__file__), "--turn", path, given.peers], check=True,
                                  stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout)
            version = found.pop("torch")
            for name, (took, difference) in found.items():
                best[name], apart[name] = min(took, best.get(name, took)), difference
    print("%s, %s, m %d, torch %s, ms of processor time an instance" % (given.game, given.dtype, SAMPLES, version))
    print("%-12s %-8s %10s %10s %10s" % ("", "by", "ms", "to Whence", "differs"))
    for kind, name in (("self", "self"), ("queries", "%d queries" % given.queries)):
        ours = best[kind + " whence"]
        print("%-12s %-8s %10.2f" % (name, "Whence", ours))
        for way in [key.split()[1] for key in apart if key.startswith(kind)]:
            took = best["%s %s" % (kind, way)]
            print("%-12s %-8s %10.2f %10.2f %10.1e" % ("", way, took, took / ours, apart["%s %s" % (kind, way)]))


if __name__ == "__main__":
    main()
