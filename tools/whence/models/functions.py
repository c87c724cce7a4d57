"""A game's functions in the form in which they are traced: flat lists of tensors in, flat tuples of tensors out."""
import torch

from .failure import CannotExport
from .game import Terms

PARTS = ("instances", "noise", "penalty")


def terms_of(players, x, noise, labels):
    """{player: Terms} of the game, with the right players."""
    found = players.game.terms(players.modules, x, noise, labels)
    if not isinstance(found, dict) or any(not isinstance(one, Terms) for one in found.values()):
        raise CannotExport("terms() must return a dict from players' names to whence.Terms")
    for name in players.modules:
        if name not in found:
            raise CannotExport("terms() has nothing for the player '%s'" % name)
    for name in found:
        if name not in players.modules:
            raise CannotExport("terms() names '%s', which is no player" % name)
    return found


def used_parts(terms):
    """Which parts one player's terms have."""
    return {"instances": terms.instances is not None, "noise": terms.noise is not None,
            "penalty": isinstance(terms.penalty, torch.Tensor) or terms.penalty != 0}


def flat_terms(players, x, noise, labels):
    """The parts that there are, player by player, as tensors."""
    flat, found = [], terms_of(players, x, noise, labels)
    for name, terms in ((name, found[name]) for name in players.modules):
        if not torch.jit.is_tracing():  # sizes are tensors there
            check_shapes(name, terms, x.shape[0], noise.shape[0], x.dtype)
        used = used_parts(terms)
        flat += [torch.as_tensor(getattr(terms, part), dtype=x.dtype) for part in PARTS if used[part]]
    return tuple(flat)


def check_shapes(player, terms, instances, rows, dtype):
    for part, count in (("instances", instances), ("noise", rows)):
        value = getattr(terms, part)
        if value is None:
            continue
        if not isinstance(value, torch.Tensor):
            raise CannotExport("the %s terms of '%s' are no tensor" % (part, player))
        if value.dim() == 0:
            raise CannotExport("the %s terms of '%s' are a scalar; they must be one value %s, [%d], not their sum or mean"
                               % (part, player, "an instance" if part == "instances" else "a row of noise", count))
        if tuple(value.shape) != (count,):
            raise CannotExport("the %s terms of '%s' have the shape %s, but must have [%d]"
                               % (part, player, list(value.shape), count))
        if value.dtype != dtype:
            raise CannotExport("the %s terms of '%s' are %s where the parameters are %s; leave the dtype to the input"
                               % (part, player, str(value.dtype)[6:], str(dtype)[6:]))
    if isinstance(terms.penalty, torch.Tensor) and terms.penalty.dim() != 0:
        raise CannotExport("the penalty of '%s' has the shape %s, but must be one number"
                           % (player, list(terms.penalty.shape)))


def flat_metrics(players, names, x, noise, labels):
    """The metrics as tensors, in the order of `names`."""
    found = players.game.metrics(players.modules, x, noise, labels)
    values = []
    for name in names or sorted(found):
        value = found.get(name)
        if not isinstance(value, torch.Tensor) or value.dim() != 0:
            raise CannotExport("the metric '%s' is no scalar tensor" % name)
        values.append(value)
    return tuple(values)


def functions_of(players, description):
    """{name: function of (self, parameters, tensors...)} of what the game has."""
    labelled, suffix = description["labels"], description["dtype"]

    def terms(_, parameters, x, noise, *labels):
        with players.holding(parameters):
            return flat_terms(players, x, noise, labels[0] if labels else None)

    def sample(_, parameters, noise):
        with players.holding(parameters):
            return players.game.sample(players.modules, noise)

    def metrics(_, parameters, x, noise, *labels):
        with players.holding(parameters):
            return flat_metrics(players, description["metrics"], x, noise, labels[0] if labels else None)

    # Arguments need names in a traced method.
    def with_labels(function):
        if labelled:
            return lambda self, parameters, x, noise, labels: function(self, parameters, x, noise, labels)
        return lambda self, parameters, x, noise: function(self, parameters, x, noise)

    made = {"terms_" + suffix: with_labels(terms)}
    if description["sample"]:
        made["sample_" + suffix] = lambda self, parameters, noise: sample(self, parameters, noise)
    if description["metrics"]:
        made["metrics_" + suffix] = with_labels(metrics)
    return made
