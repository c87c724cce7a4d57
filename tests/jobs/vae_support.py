"""What the tests of VAEs share: Whence's noise by NumPy, the networks in PyTorch, small image files."""

import struct
import unittest

import numpy as np

VALIDATION_LATENTS, TRACIN_INSTANCES, TRACIN_QUERIES = 4, 33, 34  # numbers of the purposes of random streams


def philox(seed, subsequence, counters):
    """Philox4x32-10 (Salmon et al., SC 2011): four words [n, 4] for each 64-bit counter."""
    mask = np.uint64(0xFFFFFFFF)
    counters = np.asarray(counters, dtype=np.uint64)
    c = [counters & mask, counters >> np.uint64(32), np.full_like(counters, subsequence & 0xFFFFFFFF),
         np.full_like(counters, subsequence >> 32)]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        a, b = c[0] * np.uint64(0xD2511F53), c[2] * np.uint64(0xCD9E8D57)
        c = [(b >> np.uint64(32)) ^ c[1] ^ np.uint64(key[0]), b & mask,
             (a >> np.uint64(32)) ^ c[3] ^ np.uint64(key[1]), a & mask]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return np.stack(c, axis=-1)


def pairs(seed, purpose, step, index):
    """Two uniform numbers [n] on [0, 1) of each draw's counter, of which it is the first or the second."""
    words = philox(seed, (purpose << 32) | step, index // np.uint64(2))
    return [((words[:, i] | words[:, i + 1] << np.uint64(32)) >> np.uint64(11)) * 2.0 ** -53 for i in (0, 2)]


def uniforms(seed, purpose, step, first, count):
    """Draws first .. first + count - 1 of a stream of uniform numbers on [0, 1)."""
    index = np.arange(first, first + count, dtype=np.uint64)
    return np.where(index % np.uint64(2) == 0, *pairs(seed, purpose, step, index))


def normals(seed, purpose, step, first, count):
    """Draws first .. first + count - 1 of a stream of standard normal numbers (Box-Muller)."""
    index = np.arange(first, first + count, dtype=np.uint64)
    uniform = pairs(seed, purpose, step, index)
    radius, angle = np.sqrt(-2 * np.log(1 - uniform[0])), 2 * np.pi * uniform[1]
    return np.where(index % np.uint64(2) == 0, radius * np.cos(angle), radius * np.sin(angle))


def keyed_noise(seed, purpose, step, keys, samples, width):
    return np.stack([normals(seed, purpose, step, key << 32, samples * width).reshape(samples, width) for key in keys])


def vae(data, **changes):
    """Options of a small mlp-vae on these images, with changes."""
    values = {"game": "mlp-vae", "data": data, "instances": 120, "held_out": 20, "batch": 10, "steps": 60, "latent": 3,
              "hidden": "24,16", "rate": "0.003", "checkpoints": 3, **changes}
    return [text for name, value in values.items() for text in ("--" + name.replace("_", "-"), str(value))]


def write_idx(path, values):
    """An IDX file of unsigned bytes."""
    with open(path, "wb") as file:
        file.write(struct.pack(">BBBB", 0, 0, 8, values.ndim) + struct.pack(">%dI" % values.ndim, *values.shape))
        file.write(values.astype(np.uint8).tobytes())


def torch_or_skip():
    try:
        import torch
    except ImportError:
        raise unittest.SkipTest("no PyTorch for /usr/bin/python3 (python3-torch)")
    return torch


def mlp_vae(d, pixels):
    """Encoder and decoder of mlp-vae as PyTorch modules."""
    nn = torch_or_skip().nn

    def stack(*widths):
        layers = []
        for a, b in zip(widths, widths[1:]):
            layers += [nn.Linear(a, b), nn.ReLU()]
        return nn.Sequential(*layers[:-1])

    return nn.ModuleDict({"encoder": stack(pixels, 8 * d, 4 * d, 2 * d, 2 * d),
                          "decoder": stack(d, 2 * d, 4 * d, 8 * d, pixels)})


def conv_vae(d):
    """Encoder and decoder of conv-vae as PyTorch modules, on flat images."""
    nn = torch_or_skip().nn
    down = [nn.Unflatten(1, (3, 64, 64))]
    for a, b in ((3, 32), (32, 32), (32, 64), (64, 64)):
        down += [nn.Conv2d(a, b, 4, 2, 1), nn.ReLU()]
    down += [nn.Conv2d(64, 256, 4, 1, 0), nn.ReLU(), nn.Flatten(), nn.Linear(256, 2 * d)]
    up = [nn.Linear(d, 256), nn.ReLU(), nn.Unflatten(1, (256, 1, 1)), nn.ConvTranspose2d(256, 64, 4, 1, 0), nn.ReLU()]
    for a, b in ((64, 64), (64, 32), (32, 32)):
        up += [nn.ConvTranspose2d(a, b, 4, 2, 1), nn.ReLU()]
    return nn.ModuleDict({"encoder": nn.Sequential(*down),
                          "decoder": nn.Sequential(*up, nn.ConvTranspose2d(32, 3, 4, 2, 1), nn.Flatten())})


def torch_loss(model, x, noise, beta, bernoulli):
    """Mean over samples of the loss of one image x [d] with noise [m, dz]."""
    torch = torch_or_skip()
    mu, log_variance = model["encoder"](x.unsqueeze(0)).chunk(2, dim=1)
    logits = model["decoder"](mu + torch.exp(0.5 * log_variance) * noise)
    target = x.expand(len(noise), -1)
    if bernoulli:
        rec = torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    else:
        rec = torch.nn.functional.mse_loss(torch.sigmoid(logits), target, reduction="sum")
    kl = -0.5 * torch.sum(1 + log_variance - mu ** 2 - log_variance.exp())
    return rec / len(noise) + beta * kl
