"""Tracing a game's functions with the parameters as an argument."""
import contextlib
import copy
import warnings
from typing import List, Optional

import torch
from torch.overrides import TorchFunctionMode

from .failure import CannotExport, first_line

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Players:
    """The players of a game in one dtype, and which tensor belongs where."""

    def __init__(self, game, dtype):
        memo = {}
        self.modules = copy.deepcopy(dict(game.players), memo)
        self.game = copy.copy(game)
        self.game.__dict__.update(copy.deepcopy(game.__dict__, memo))
        self.game.players = self.modules
        held = list(self.modules.values()) + [v for v in vars(self.game).values() if isinstance(v, torch.nn.Module)]
        for module in held:
            module.to(device="cpu", dtype=dtype)
        for owner in [self.game] + [part for module in held for part in module.modules()]:
            for name, value in list(vars(owner).items()):
                if isinstance(value, torch.Tensor) and value.is_floating_point():
                    setattr(owner, name, value.detach().to(device="cpu", dtype=dtype))
        self.tensors, self.places, self.names, self.counts = [], [], [], []
        for player in self.modules:
            self._collect(player)

    def _collect(self, player):
        known, own = {id(tensor) for tensor in self.tensors}, {}
        for prefix, module in self.modules[player].named_modules():
            for name, tensor in module._parameters.items():
                if tensor is None or not tensor.requires_grad:
                    continue
                if id(tensor) in known:
                    raise CannotExport("players['%s'].%s belongs to another player, too; each owns its parameters"
                                       % (player, (prefix + "." + name).lstrip(".")))
                if id(tensor) not in own:
                    own[id(tensor)] = len(self.tensors)
                    self.tensors.append(tensor)
                    self.names.append("%s.%s" % (player, (prefix + "." + name).replace("..", ".").lstrip(".")))
                self.places.append((module, name, own[id(tensor)]))
        if not own:
            raise CannotExport("players['%s'] has no parameter that requires a gradient" % player)
        self.counts.append(len(own))

    def values(self):
        """The parameters as they are, as leaves of their own."""
        return [tensor.detach().clone().requires_grad_() for tensor in self.tensors]

    @contextlib.contextmanager
    def holding(self, values):
        """The modules compute with these tensors in place of their parameters."""
        kept = [(module, name, module._parameters[name]) for module, name, _ in self.places]
        try:
            for module, name, index in self.places:
                put(module, name, values[index])
            yield
        finally:
            for module, name, parameter in kept:
                put(module, name, parameter)


def put(module, name, tensor):
    """Sets a module's parameter to any tensor, so that module.parameters() gives it as well."""
    module._parameters[name] = tensor
    names = getattr(module, "_flat_weights_names", ())  # recurrent modules compute with a list of their own
    if name in names:
        module._flat_weights[names.index(name)] = tensor


@torch.jit.script
def _gradients(outputs: List[torch.Tensor], inputs: List[torch.Tensor],
               by_output: Optional[List[Optional[torch.Tensor]]]) -> List[torch.Tensor]:
    return [torch.jit._unwrap_optional(one) for one in torch.autograd.grad(outputs, inputs, by_output, True, True)]


def _traceable_grad(outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, **others):
    """torch.autograd.grad as an operator of the graph: a trace of it would hold its numbers."""
    if any(others.get(name) for name in others if name != "only_inputs"):
        raise CannotExport("torch.autograd.grad with %s has no form that can be exported" % ", ".join(sorted(others)))
    if grad_outputs is not None and not isinstance(grad_outputs, (list, tuple)):
        grad_outputs = [grad_outputs]
    outputs = [outputs] if isinstance(outputs, torch.Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, torch.Tensor) else list(inputs)
    return tuple(_gradients(outputs, inputs, None if grad_outputs is None else list(grad_outputs)))


class _TwiceDifferentiable(TorchFunctionMode):
    """Attention written out, where a module has it by a name of its own: the fused kernels have no second
    derivative."""

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        if getattr(function, "__name__", "") == "scaled_dot_product_attention":
            return _attention(*arguments, **(keywords or {}))
        return function(*arguments, **(keywords or {}))


def _attention(query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    if dropout_p:
        raise CannotExport("attention with dropout %g is random; noise comes from `noise`" % dropout_p)
    if enable_gqa:
        raise CannotExport("attention with grouped queries cannot be exported")
    scores = query @ key.transpose(-2, -1) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(attn_mask.logical_not(), float("-inf"))
    elif attn_mask is not None:
        scores = scores + attn_mask
    return torch.softmax(scores, -1) @ value


@contextlib.contextmanager
def replacements():
    """What is computed in another way while a game is traced."""
    functional = torch.nn.functional
    kept = [(torch.autograd, "grad", torch.autograd.grad)]
    torch.autograd.grad = _traceable_grad
    if hasattr(functional, "scaled_dot_product_attention"):  # functional's own functions call it past the mode
        kept.append((functional, "scaled_dot_product_attention", functional.scaled_dot_product_attention))
        functional.scaled_dot_product_attention = _attention
    try:
        with _TwiceDifferentiable():
            yield
    finally:
        for module, name, function in kept:
            setattr(module, name, function)


def traced(functions, examples, initial=None):
    """A module whose methods are traces of `functions` {name: f}, with `examples` {name: arguments}, and which holds
    `initial`; and what PyTorch warned of."""
    class Exported(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("initial", initial)

    for name, function in functions.items():
        setattr(Exported, name, function)
    with warnings.catch_warnings(record=True) as caught, replacements():
        warnings.simplefilter("always")
        try:
            module = torch.jit.trace_module(Exported(), examples, check_trace=False)
        except CannotExport:
            raise
        except Exception as error:
            text = first_line(error)
            if "requires grad as a constant" in text:
                text = ("a tensor that requires a gradient comes from outside the players (or from a function imported "
                        "by name from torch.autograd)")
            raise CannotExport("cannot be traced: " + text) from error
    told = [str(one.message).splitlines()[0] + " (%s:%d)" % (one.filename, one.lineno) for one in caught
            if issubclass(one.category, torch.jit.TracerWarning)]
    return module, told
