"""Checkpoints of a model that whence.export made a game of: the same module's names, so only names count."""
import json
import zipfile

import numpy as np

from ..models.state import numbers_crc
from .failure import ImportFailure, sentence
from .matching import Fit, kept, refuse_other_types, same_names

COUNTERS = ("num_batches_tracked",)


def description_of(path):
    """What an exported model's file says of itself, without loading the model."""
    try:
        with zipfile.ZipFile(path) as file:
            record = next(name for name in file.namelist() if name.endswith("extra/whence.json"))
            return json.loads(file.read(record).decode("utf-8"))
    except (OSError, zipfile.BadZipFile, StopIteration, ValueError, KeyError) as error:
        raise ImportFailure("%s: is no model made by whence.export (%s)" % (path, sentence(error))) from None


def model_of(settings):
    """The file of `--game script:FILE` in a run's settings; None for a built-in game."""
    game = next((line[len("game = "):] for line in settings.splitlines() if line.startswith("game = ")), "")
    return game[len("script:"):] if game.startswith("script:") else None


def united(value, players, rename, name="", depth=4):
    """(name, tensors by name) of every dictionary inside a checkpoint that holds one dictionary of tensors for each player of
    several, under the player's name or one that --rename makes it."""
    if not isinstance(value, dict) or len(players) < 2:
        return
    renamed = {old: new for old, new in rename}
    parts = {renamed.get(key, key): key for key, inner in value.items() if isinstance(key, str) and isinstance(inner, dict)}
    if all(player in parts for player in players):
        yield name or ".", {"%s.%s" % (parts[player], key): tensor for player in players
                            for key, tensor in value[parts[player]].items() if hasattr(tensor, "dim")}
    if depth > 0:
        for key, inner in value.items():
            yield from united(inner, players, rename, "%s.%s" % (name, key) if name else str(key), depth - 1)


def without_player(layout):
    """The layout of a game of one player by the names of its own state_dict(), and what comes before them."""
    front = layout[0]["player"] + "."
    return [dict(entry, name=entry["name"][len(front):]) for entry in layout], front


def check_other(path, name, one, other, chosen):
    """Refuses a constant or a tied parameter that is not what the model was exported with."""
    if "same_as" in other:
        same = chosen[other["same_as"]].tensor
        if one.tensor.shape != same.shape or not np.array_equal(one.tensor.detach().numpy(), same.detach().numpy()):
            raise ImportFailure("%s: %s and %s differ, but are one parameter in the model" % (path, one.name, other["same_as"]))
    elif list(one.tensor.shape) != other["shape"] or numbers_crc(one.tensor) != other["crc32"]:
        raise ImportFailure("%s: %s is not the constant that the model was exported with; export the model with the "
                            "checkpoint loaded" % (path, one.name))


def exported_fit(path, tensors, layout, options, used):
    """How a dictionary of tensors fits the layout of an exported model. options: leave_out, rename, and exported, its
    description."""
    entries = kept(tensors, options.leave_out, options.rename, used, COUNTERS)
    ways = [(layout, "")] + ([without_player(layout)] if len(options.exported["players"]) == 1 else [])
    for names, front in ways:
        fit = same_names(names, entries, {}, {})
        if fit is None:
            continue
        chosen = {entry["name"]: one for entry, one in zip(layout, fit.tensors)}
        taken = {one.name for one in fit.tensors}
        prefix = next(key[:-len(names[0]["name"])] for key, one in entries.items() if one is fit.tensors[0])
        others, rest = options.exported.get("others", {}), []
        for key, one in entries.items():
            if one.name in taken:
                continue
            name = front + key[len(prefix):] if key.startswith(prefix) else None
            if name in others:
                check_other(path, name, one, others[name], chosen)
            else:
                rest.append(one)
        for one in fit.tensors:
            refuse_other_types(path, one)
        return Fit(names, fit.tensors, rest)
    unknown = Fit(layout, [None] * len(layout), list(entries.values()))
    unknown.misfits.append("  an exported model's tensors are taken by their names alone; --rename OLD=NEW gives a layer or a "
                           "player its name, as in --rename net=%s" % layout[0]["name"].rpartition(".")[0])
    return unknown
