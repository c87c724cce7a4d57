#!/usr/bin/env python3
"""The steps of whence_step_times as a good user of PyTorch writes them, on the same GPU, replicas by torch.func.vmap:
eager, and as a CUDA graph. One line of JSON each.  eager_steps.py GAME DTYPE SECONDS"""

import json
import sys
import time

import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import binary_cross_entropy_with_logits, softplus


class Perceptron(nn.Sequential):
    def __init__(self, widths, biases):
        layers = []
        for before, after in zip(widths, widths[1:]):
            layers += [nn.Linear(before, after, bias=biases), nn.ReLU()]
        super().__init__(*layers[:-1])


class ConvBlock(nn.Module):
    """Convolution, sigmoid, layer norm over a sample with a gain and an offset a channel."""

    def __init__(self, convolution, channels):
        super().__init__()
        self.convolution = convolution
        self.norm = nn.GroupNorm(1, channels, eps=1e-12)

    def forward(self, x):
        return self.norm(torch.sigmoid(self.convolution(x)))


def dcgan(channels):
    kernels, strides = (4, 3, 3, 2, 3, 3, 2), (1, 2, 1, 1, 2, 1, 1)
    generator, discriminator = [], []
    for i, (kernel, stride) in enumerate(zip(reversed(kernels), reversed(strides))):
        generator.append(ConvBlock(nn.ConvTranspose2d(32 if i == 0 else channels, channels, kernel, stride), channels))
    for i, (kernel, stride) in enumerate(zip(kernels, strides)):
        discriminator.append(ConvBlock(nn.Conv2d(1 if i == 0 else channels, channels, kernel, stride), channels))
    return (nn.Sequential(*generator, nn.Conv2d(channels, 1, 1), nn.Tanh()),
            nn.Sequential(*discriminator, nn.Conv2d(channels, 1, 1)))


class Gan(nn.Module):
    def __init__(self, name):
        super().__init__()
        if name == "fcgan":
            self.generator, self.discriminator = Perceptron((10, 32, 32, 2), False), Perceptron((2, 64, 64, 1), False)
            self.batch = torch.randn(100, 2), torch.randn(100, 10)
        else:
            self.generator, self.discriminator = dcgan(int(name[5:]))
            self.batch = torch.randn(100, 1, 28, 28).tanh(), torch.randn(100, 32, 1, 1)

    def forward(self, x, z, weights):
        fake = self.generator(z)
        seen = self.discriminator(fake).flatten()
        generator = softplus(-seen).mean()
        seen = self.discriminator(fake.detach()).flatten()
        discriminator = ((weights * softplus(-self.discriminator(x).flatten())).sum() + softplus(seen).sum()) / len(x)
        return generator, discriminator

    def players(self):
        return self.generator, self.discriminator


class Vae(nn.Module):
    def __init__(self, name):
        super().__init__()
        if name == "mlp-vae":
            hidden = (1024, 512, 256)
            self.encoder = Perceptron((784, *hidden, 256), True)
            self.decoder = Perceptron((128, *reversed(hidden), 784), True)
            self.batch = torch.rand(64, 784), torch.randn(64, 128)
        else:
            widths = (3, 32, 32, 64, 64)
            down = [layer for a, b in zip(widths, widths[1:]) for layer in (nn.Conv2d(a, b, 4, 2, 1), nn.ReLU())]
            up = [layer for a, b in zip(widths[::-1], widths[-2::-1])
                  for layer in (nn.ConvTranspose2d(a, b, 4, 2, 1), nn.ReLU())]
            self.encoder = nn.Sequential(*down, nn.Conv2d(64, 256, 4), nn.ReLU(), nn.Flatten(), nn.Linear(256, 128))
            self.decoder = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Unflatten(-1, (256, 1, 1)),
                                         nn.ConvTranspose2d(256, 64, 4), nn.ReLU(), *up[:-1])
            self.batch = torch.rand(64, 3, 64, 64), torch.randn(64, 64)

    def forward(self, x, noise, weights):
        mean, log_variance = self.encoder(x).chunk(2, 1)
        logits = self.decoder(mean + torch.exp(log_variance / 2) * noise)
        each = binary_cross_entropy_with_logits(logits, x, reduction="none").flatten(1).sum(1)
        each = each + 2 * (mean.square() + log_variance.exp() - log_variance - 1).sum(1)
        return ((weights * each).sum() / len(x),)

    def players(self):
        return (self,)


def seconds(work, patience):
    begin = time.perf_counter()
    work()
    torch.cuda.synchronize()
    first = time.perf_counter() - begin
    for _ in range(0 if first > patience else 5):
        work()
    torch.cuda.synchronize()
    begin, calls = time.perf_counter(), 0
    while time.perf_counter() - begin < patience:
        for _ in range(10):
            work()
        calls += 10
        torch.cuda.synchronize()
    return (time.perf_counter() - begin) / calls


def training_step(model, x, noise, weights):
    parameters = [list(player.parameters()) for player in model.players()]

    def step():
        losses = model(x, noise, weights)
        gradients = [torch.autograd.grad(loss, own, retain_graph=True) for loss, own in zip(losses, parameters)]
        with torch.no_grad():
            for own, parts in zip(parameters, gradients):
                torch._foreach_add_(own, parts, alpha=-1e-5)

    return step


def trace_step(model, x, noise, weights):
    """u^T J and the derivative by every instance's weight, from <u, g> with g kept differentiable."""
    parameters = [list(player.parameters()) for player in model.players()]
    everything = [tensor for own in parameters for tensor in own]
    direction = [torch.randn_like(tensor) for tensor in everything]

    def step():
        present = weights.clone().requires_grad_()
        parts = [part for loss, own in zip(model(x, noise, present), parameters)
                 for part in torch.autograd.grad(loss, own, create_graph=True)]
        along = sum((u * part).sum() for u, part in zip(direction, parts))
        torch.autograd.grad(along, [*everything, present], allow_unused=True)

    return step


def replica_step(model, x, noise, weights, replicas):
    """One player's parameters differ by replica; the gradient of the sum of losses stands for both players' (the same
    number of passes)."""
    stacked, _ = stack_module_state([model] * replicas)
    stacked = {name: tensor.detach() for name, tensor in stacked.items()}
    present = weights.expand(replicas, -1).contiguous()
    gradient = vmap(grad(lambda tensors, w: sum(functional_call(model, tensors, (x, noise, w)))))

    def step():
        gradients = gradient(stacked, present)
        torch._foreach_add_(list(stacked.values()), [gradients[name] for name in stacked], alpha=-1e-5)

    return step


def graphed(step):
    """The step as one launch, by PyTorch's CUDA graphs."""
    aside = torch.cuda.Stream()
    aside.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(aside):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(aside)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def main(name, dtype, patience):
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.set_default_dtype(getattr(torch, dtype))
    model = (Gan if name.startswith(("fcgan", "dcgan")) else Vae)(name)
    x, noise = (tensor.cuda() for tensor in model.batch)
    model.cuda()
    weights = torch.ones(len(x), device="cuda")
    steps = [("train", 1, training_step), ("trace", 1, trace_step)]
    steps += [("replicas", count, lambda *all, count=count: replica_step(*all, count)) for count in (32, 200)]
    for what, count, make in steps:
        for way in ("eager PyTorch", "graphed PyTorch"):
            line = {"place": way, "device": "cuda", "game": name, "dtype": dtype, "what": what, "count": count}
            try:
                step = make(model, x, noise, weights)
                line["seconds"] = seconds(step if way == "eager PyTorch" else graphed(step), patience)
            except Exception as error:
                line["error"] = str(error).splitlines()[0][:200]
            print(json.dumps(line), flush=True)


main(sys.argv[1], sys.argv[2], float(sys.argv[3]))
