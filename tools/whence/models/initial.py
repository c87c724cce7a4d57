"""How a seed would draw the parameters: found by watching the modules' reset_parameters, or the game's own initialise(),
draw them."""
import contextlib
import math

import torch

from .failure import first_line
from .tracing import Players

NEVER = 6.0  # standard errors that no draw is away from what it should be


def starts(game):
    """One description a parameter, in the order of Players: {"kind": "uniform", "first": least, "second": most}, "normal" with
    mean and deviation, "constant" with its number, or "unknown" with a reason."""
    given, drawn = Players(game, torch.float64), Players(game, torch.float64)
    failed = {}
    with torch.random.fork_rng(devices=[]), torch.no_grad(), watched(drawn.tensors) as seen:
        torch.manual_seed(0)
        if game.initialise is not None:
            drawn.game.initialise(drawn.modules)
        else:
            for module in drawn.modules.values():
                reset(module, failed)
    found = []
    for number, (tensor, value) in enumerate(zip(drawn.tensors, given.tensors)):
        start, after = seen.get(number, (None, None))
        if start is None and game.initialise is None and constant_all(value):
            start, after = {"kind": "constant", "first": float(value.reshape(-1)[0])}, tensor
        if start is None:
            found.append(unknown(failed.get(id(tensor), "nothing draws it: neither a module's reset_parameters nor the game's "
                                                        "initialise()")))
        elif not torch.equal(tensor, after):
            found.append(unknown("it is changed after it has been drawn"))
        elif game.initialise is None and not could_be(value.detach(), start):
            found.append(unknown("what was exported is nothing that its module's reset_parameters draws; the game's initialise() "
                                 "can say how"))
        else:
            found.append(start)
    return found


def unknown(reason):
    return {"kind": "unknown", "reason": reason}


def constant_all(value):
    return value.numel() > 0 and bool((value == value.reshape(-1)[0]).all())


def reset(module, failed):
    """As when it was made: what is inside first, then the module, which may have its own way with it."""
    for part in reversed(list(module.modules())):
        function = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
        if function is None:
            continue
        try:
            function()
        except Exception as error:  # any code of the user's
            for tensor in part.parameters():
                failed[id(tensor)] = "%s.reset_parameters fails: %s" % (type(part).__name__, first_line(error))


@contextlib.contextmanager
def watched(tensors):
    """Gives {number of the tensor: (its last draw, the numbers drawn)}, of draws that fill a whole tensor."""
    places = {(tensor.data_ptr(), tuple(tensor.shape)): number for number, tensor in enumerate(tensors) if tensor.numel()}
    seen, kept = {}, {name: torch.Tensor.__dict__.get(name) for name in ("uniform_", "normal_", "fill_", "zero_")}
    originals = {name: getattr(torch.Tensor, name) for name in kept}

    def watch(name, describe):
        def draw(self, *arguments, **named):
            result = originals[name](self, *arguments, **named)
            number = places.get((self.data_ptr(), tuple(self.shape)))
            if number is not None and self.is_contiguous():
                seen[number] = (describe(*arguments, **named), self.detach().clone())
            return result
        setattr(torch.Tensor, name, draw)

    watch("uniform_", lambda first=0.0, second=1.0, **named: {"kind": "uniform", "first": float(named.get("from", first)),
                                                            "second": float(named.get("to", second))})
    watch("normal_", lambda mean=0.0, std=1.0, **_: {"kind": "normal", "first": float(mean), "second": float(std)})
    watch("fill_", lambda value: {"kind": "constant", "first": float(value)})
    watch("zero_", lambda: {"kind": "constant", "first": 0.0})
    try:
        yield seen
    finally:
        for name, before in kept.items():
            if before is None:
                delattr(torch.Tensor, name)
            else:
                setattr(torch.Tensor, name, before)


def could_be(values, start):
    """Whether numbers may well have been drawn so."""
    values, n = values.reshape(-1), values.numel()
    if start["kind"] == "constant":
        return bool((values == torch.tensor(start["first"]).to(torch.float32)).all()
                    or (values == start["first"]).all())
    if start["kind"] == "uniform":
        middle, half = (start["first"] + start["second"]) / 2, (start["second"] - start["first"]) / 2
        away = (values - middle).abs()
        if float(away.max()) > half * (1 + 1e-6):
            return False
        deviation, of_square = half / math.sqrt(3), 0.8
    else:
        middle, deviation, of_square = start["first"], start["second"], 2.0
        if float((values - middle).abs().max()) > 2 * NEVER * deviation:
            return False
    if n < 30:
        return True
    mean, square = float(values.mean()) - middle, float((values - middle).square().mean())
    return (abs(mean) <= NEVER * deviation / math.sqrt(n)
            and abs(square - deviation ** 2) <= NEVER * deviation ** 2 * math.sqrt(of_square / n))
