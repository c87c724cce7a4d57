"""whence.export: from a Game to a file that `whence train --game script:FILE` takes."""
import sys

import torch

from . import checks, file
from .failure import CannotExport, first_line
from .functions import flat_metrics, flat_terms, functions_of, terms_of, used_parts
from .initial import starts
from .operators import nodes_in
from .state import others_of
from .tracing import DTYPES, Players, traced

OTHER_ROWS = (5, 3, 2, 4)  # of other examples, or one less than the first has


def export(game, path, example, labels=None):
    """Writes `game` to `path`. `example` [b, shape of one]: some instances, 2 or more; `labels` [b]: theirs, where the game
    uses labels. Raises CannotExport, one sentence, where the file could not mean what the module does. Returns the
    description that the file holds."""
    check_example(game, example, labels)
    description, modules, warned = None, {}, []
    for dtype in DTYPES:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            players = Players(game, DTYPES[dtype])
            checks.check_modules(players)
            inputs = first_inputs(game, example, labels, DTYPES[dtype])
            if description is None:
                description = described(game, players, inputs)
            description["dtype"] = dtype
            functions = functions_of(players, description)
            module, told = traced(functions, {name: examples_of(name, players, inputs) for name in functions})
            check(players, module, functions, inputs, description, told)
            modules[dtype] = (players, functions, inputs)
    write(path, modules, description)
    if description["mixes"]:
        print("whence.export: %s change with the other instances of a mini-batch (batch normalisation): removing one takes "
              "its own term away and leaves it in the statistics; one rank has to hold a whole mini-batch"
              % description["mixes"], file=sys.stderr)
    return description


def check_example(game, example, labels):
    if not isinstance(example, torch.Tensor) or example.dim() < 2 or example.shape[0] < 2:
        raise CannotExport("example must be a tensor of 2 or more instances, [b, shape of one]")
    if labels is not None and tuple(labels.shape) != (example.shape[0],):
        raise CannotExport("labels must be one number an instance of the example, [%d]" % example.shape[0])
    if not game.players:
        raise CannotExport("the game has no players")
    for name, module in game.players.items():
        if not isinstance(module, torch.nn.Module):
            raise CannotExport("players['%s'] is no torch.nn.Module" % name)
        if not name or any(c in name for c in " ,.:/'\""):
            raise CannotExport("players['%s']: a player's name is one word" % name)
    if int(game.noise) < 0:
        raise CannotExport("noise is %d, but must be 0 or more" % game.noise)


def first_inputs(game, example, labels, dtype):
    """(x, noise, labels) of the example."""
    x = example.detach().to(device="cpu", dtype=dtype).clone()
    noise = torch.randn(x.shape[0], int(game.noise), dtype=torch.float64).to(dtype)
    return x, noise, None if labels is None else labels.detach().to(device="cpu", dtype=torch.int64).clone()


def other_inputs(inputs):
    """Other values, and other numbers of them: mixtures of instances, and noise within the range of the example."""
    x, noise, labels = inputs
    for number, wanted in enumerate(OTHER_ROWS):
        rows = min(wanted, x.shape[0] - 1)
        order = torch.randperm(x.shape[0])
        share = torch.rand((rows,) + (1,) * (x.dim() - 1), dtype=x.dtype)
        values = share * x[order][:rows] + (1 - share) * x.flip(0)[:rows]
        if number % 2:
            values = x.min() + (x.max() - x.min()) * torch.rand(values.shape, dtype=x.dtype)
        yield (values, torch.randn(rows, noise.shape[1], dtype=x.dtype),
               None if labels is None else labels[order][:rows])


def arguments_of(name, inputs):
    x, noise, labels = inputs
    if name.startswith("sample"):
        return (noise,)
    return (x, noise) if labels is None else (x, noise, labels)


def examples_of(name, players, inputs):
    return (players.values(),) + arguments_of(name, inputs)


def called(what, function):
    """The result of a function of the user's; what it raises in one sentence."""
    try:
        return function()
    except CannotExport:
        raise
    except Exception as error:
        raise CannotExport("%s fails: %s" % (what, first_line(error))) from error


def described(game, players, inputs):
    """What the file says of the model."""
    x, noise, labels = inputs
    terms = called("terms()", lambda: terms_of(players, x, noise, labels))
    called("terms()", lambda: flat_terms(players, x, noise, labels))
    metrics = []
    if game.metrics is not None:
        metrics = sorted(called("metrics()", lambda: players.game.metrics(players.modules, x, noise, labels)))
        called("metrics()", lambda: flat_metrics(players, metrics, x, noise, labels))
    for name in metrics:
        if not name or not all(c.isalnum() or c in "-_" for c in name):
            raise CannotExport("the metric '%s': a name is made of letters, digits, - and _" % name)
    sizes, owners = [list(tensor.shape) for tensor in players.tensors], []
    for player, count in enumerate(players.counts):
        owners += [player] * count
    drawn = called("initialise()", lambda: starts(game))
    return {"name": type(game).__name__, "players": list(players.modules),
            "tensors": [{"name": n, "shape": s, "player": o, "start": d}
                        for n, s, o, d in zip(players.names, sizes, owners, drawn)],
            "terms": [used_parts(terms[name]) for name in players.modules], "noise": int(game.noise),
            "shape": list(x.shape[1:]), "labels": labels is not None, "sample": game.sample is not None,
            "others": others_of(players),
            "metrics": metrics, "larger_is_better": [n for n in metrics if n in game.larger_is_better], "mixes": ""}


def check(players, module, functions, inputs, description, warned):
    """All that a file has to hold, for one dtype."""
    for name, function in functions.items():
        plain = name.split("_")[0] + "()"
        graph = getattr(module, name).inlined_graph
        checks.check_operators(players, plain, graph)
        for batch in (inputs, *other_inputs(inputs)):
            own = arguments_of(name, batch)
            kept = [value.clone() for value in own]
            eager = as_tuple(called(plain, lambda: function(None, players.values(), *own)))
            again = as_tuple(called(plain + ": its trace", lambda: run(getattr(module, name), players.values(), *own)))
            if players.tensors[0].dtype == torch.float64:
                checks.check_finite(plain, eager)
                checks.check_same(plain, eager, again, warned)
            if any(not torch.equal(one, other) for one, other in zip(kept, own)):
                raise CannotExport("%s: changes its input in place" % plain)
        if name.startswith("sample") and (eager[0].dim() < 2 or eager[0].shape[0] != own[0].shape[0]):
            raise CannotExport("sample(): has the shape %s for %d rows of noise" % (list(eager[0].shape), own[0].shape[0]))
    if players.tensors[0].dtype == torch.float64:
        check_terms(players, functions["terms_float64"], getattr(module, "terms_float64"), inputs, description)


def check_terms(players, terms, trace, inputs, description):
    x, noise, labels = inputs
    rest = () if labels is None else (labels,)
    checks.check_derivatives(players, lambda values: run(trace, values, x, noise, *rest), description["terms"])
    mixes = checks.mixing(lambda x: terms(None, players.values(), x, noise, *rest), x, description["terms"], players)
    normalised = any(node.kind() == "aten::batch_norm" for node in nodes_in(trace.inlined_graph))
    if mixes and not normalised:
        raise CannotExport("terms(): %s change with another instance; a term has to depend on its own instance alone"
                           % " and ".join(mixes))
    description["mixes"] = " and ".join(mixes)
    numbers = [value.type().sizes() for node in nodes_in(trace.inlined_graph) for value in node.outputs()
               if value.type().kind() == "TensorType" and value.type().sizes()]
    total = sum(torch.Size(sizes).numel() for sizes in numbers)
    description["graph_numbers"] = max(1, total // x.shape[0])


def run(trace, *arguments):
    """As `whence` runs it: operator after operator."""
    with torch.jit.optimized_execution(False):
        return trace(*arguments)


def as_tuple(values):
    return (values,) if isinstance(values, torch.Tensor) else tuple(values)


def write(path, modules, description):
    """One module with the functions of all dtypes, and the parameters at the start."""
    functions, examples = {}, {}
    for dtype, (players, own, inputs) in modules.items():
        functions.update(own)
        examples.update({name: examples_of(name, players, inputs) for name in own})
    start = torch.cat([tensor.detach().reshape(-1).double() for tensor in modules["float64"][0].tensors])
    module, _ = traced(functions, examples, start)
    description.pop("dtype")
    file.write(path, module, description)
