"""The training step of each checkpoint of a folder: from its name, or from the file itself."""
import math
import os
import re

import torch

from .failure import ImportFailure, listed
from .loading import load

SUFFIXES = (".pt", ".pth", ".tar", ".ckpt", ".safetensors")
MAGIC = (b"PK\3\4", b"\x80\2")  # how files of torch.save begin, whatever they are called
INSIDE = "inside"  # a value of --step
KEYS = ("global_step", "step")
# Words that a training step follows in names; the first that a folder's names have counts.
WORDS = {"step": r"(?:global[-_]?)?steps?", "iteration": r"iter(?:ation)?s?", "epoch": r"epochs?"}
WHOLE = r"(\d+)([kKmM](?![A-Za-z0-9]))?(?!\d|\.\d|[eE][-+]?\d)"  # 5000, 5k; not a part of 0.25 or 1e-4
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
MEASURES = re.compile(r"(?:loss|acc(?:uracy)?|err(?:or)?|elbo|fid|score|lr|beta|seed)[-_=. ]*$", re.IGNORECASE)
THOUSANDS = {None: 1, "": 1, "k": 10 ** 3, "K": 10 ** 3, "m": 10 ** 6, "M": 10 ** 6}
ADVICE = r"say where it is, as in --step 'step=(\d+)'"


def files_of(folder):
    """Names of the checkpoints in a folder."""
    if not os.path.isdir(folder):
        raise ImportFailure("%s: no such folder" % folder)
    names = sorted(name for name in os.listdir(folder) if os.path.splitext(name)[1] in SUFFIXES or by_torch(folder, name))
    if not names:
        raise ImportFailure("%s: holds no checkpoints (%s)" % (folder, ", ".join("*" + s for s in SUFFIXES)))
    return names


def stem_of(name):
    return os.path.splitext(name)[0] if os.path.splitext(name)[1] in SUFFIXES else name


def by_torch(folder, name):
    """Whether a file without a suffix begins like one of torch.save."""
    path = os.path.join(folder, name)
    if "." in name or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(4).startswith(MAGIC)


def by_pattern(pattern, names):
    """{name: step}, where the pattern's first group matches it."""
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise ImportFailure("--step '%s': is not a regular expression (%s)" % (pattern, error)) from None
    if wanted.groups < 1:
        raise ImportFailure(r"--step '%s': has no group, as (\d+), for the step" % pattern)
    steps = {}
    for name in names:
        found = wanted.search(name)
        number = re.fullmatch(r"(\d+)([kKmM]?)", found[1] or "") if found else None
        if number is None:
            raise ImportFailure("--step '%s': finds no step in %s" % (pattern, name))
        steps[name] = int(number[1]) * THOUSANDS[number[2]]
    return steps


def by_word(stems):
    """The word that steps follow, and {stem: step} of the stems where that is one number; None, {} without the word."""
    for word, pattern in WORDS.items():
        before = "(?<![A-Za-z0-9])%s[-_=. ]*" % pattern
        wanted = re.compile(before + WHOLE, re.IGNORECASE)
        found = {stem: {int(number[1]) * THOUSANDS[number[2]] for number in wanted.finditer(stem)} for stem in stems}
        if any(re.search(before + r"\d", stem, re.IGNORECASE) for stem in stems):
            return word, {stem: steps.pop() for stem, steps in found.items() if len(steps) == 1}
    return None, {}


def by_place(stems):
    """{stem: step}: the only number, or the only one in which names that are otherwise the same differ."""
    numbers = {stem: list(NUMBER.finditer(stem)) for stem in stems if NUMBER.search(stem)}
    counts = {len(found) for found in numbers.values()}
    place = 0
    if counts != {1}:
        texts = {tuple(NUMBER.split(stem)) for stem in numbers}
        columns = list(zip(*([number[0] for number in found] for found in numbers.values())))
        varying = [at for at, column in enumerate(columns) if len(set(column)) > 1]
        if len(texts) != 1 or len(varying) != 1:
            return {}
        place = varying[0]
    chosen = {stem: found[place] for stem, found in numbers.items()}
    return {stem: int(number[0]) for stem, number in chosen.items()
            if number[0].isdecimal() and not MEASURES.search(stem[:number.start()])}


def held(value):
    """(key, step) that a checkpoint says of itself, or None."""
    for key in KEYS:
        step = value.get(key) if isinstance(value, dict) else None
        if isinstance(step, torch.Tensor) and step.numel() == 1:
            step = step.item()
        if isinstance(step, (int, float)) and not isinstance(step, bool) and math.isfinite(step) and step >= 0 \
                and step == int(step):
            return key, int(step)
    return None


def checkpoints_of(folder, choice, trust, tell):
    """(step, path) of every checkpoint of a folder, by step. choice: the value of --step; tell: called with what is to be
    said besides."""
    names = files_of(folder)
    stems = {name: stem_of(name) for name in names}
    word, named = None, {}
    if choice not in (None, INSIDE):
        named = by_pattern(choice, names)
    elif choice is None:
        word, found = by_word(stems.values())
        found = found if word else by_place(stems.values())
        named = {name: found[stem] for name, stem in stems.items() if stem in found}
    paths, only_epoch, from_files = {}, [], []
    for name in names:
        path = os.path.join(folder, name)
        own, step = held(load(path, trust)), named.get(name)
        if own is None and step is None:
            raise ImportFailure("%s: holds no %s" % (path, " or ".join(KEYS)) if choice == INSIDE else
                                "%s: its name does not tell which number is the training step; %s" % (path, ADVICE))
        if own is None and word == "epoch":
            only_epoch.append(path)
        elif own is not None and choice is None and (step is None or word == "epoch"):
            from_files.append(path)
            step = own[1]
        elif own is not None and choice is None and own[1] != step:
            raise ImportFailure(r"%s: its name says step %d, but it holds %s %d; --step inside takes that, "
                                r"--step PATTERN the name's" % (path, step, *own))
        elif own is not None and choice == INSIDE:
            step = own[1]
        elif own is not None and own[1] != step:
            tell("%s: is taken as step %d, as --step says, though it holds %s %d" % (path, step, *own))
        if step in paths:
            raise ImportFailure("%s and %s are both of step %d" % (paths[step], path, step))
        paths[step] = path
    if only_epoch and from_files:
        raise ImportFailure("%s: tell only their epoch, but %s their step; %s" % (listed(only_epoch), listed(from_files), ADVICE))
    return sorted(paths.items())
