#!/usr/bin/env python3
"""Turns PyTorch checkpoints of a VAE into a Whence run folder, so that `whence tracin` can score them.

    tools/import_checkpoints.py CHECKPOINTS --out RUN -- --game mlp-vae --data mnist:DIR --instances 59000 ...

CHECKPOINTS is a folder of .pt, .pth or .tar files, each a state dict or a training checkpoint that holds one, with
the training step in its name (the last number in it). What follows `--` are options of `whence train` that say what
the networks were trained on: game, data, beta, latent, rate, batch, ... The steps to record are those of the
checkpoints. The networks must have the layers of that game, in its order. Batches of an imported run are not known, so
it can be scored but not traced back.
"""
import argparse
import json
import math
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
import types
import unittest.mock
import zlib

os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"

import h5py
import numpy as np

SUFFIXES = (".pt", ".pth", ".tar")


class ImportFailure(Exception):
    """What the user has to know, in one or more lines."""


def listed(values):
    return ", ".join(str(value) for value in list(values)[:8]) + (", ..." if len(values) > 8 else "")


def sentence(error):
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]


def steps_of(folder):
    """(step, path) of every checkpoint in a folder, by step."""
    if not os.path.isdir(folder):
        raise ImportFailure("%s: no such folder" % folder)
    found = {}
    for name in sorted(os.listdir(folder)):
        stem, suffix = os.path.splitext(name)
        if suffix not in SUFFIXES:
            continue
        numbers = re.findall(r"\d+", stem)
        if not numbers:
            raise ImportFailure("%s: its name holds no training step" % os.path.join(folder, name))
        step = int(numbers[-1])
        if step in found:
            raise ImportFailure("%s and %s are both of step %d" % (found[step], name, step))
        found[step] = os.path.join(folder, name)
    if not found:
        raise ImportFailure("%s: holds no checkpoints (%s)" % (folder, ", ".join("*" + s for s in SUFFIXES)))
    return sorted(found.items())


def state_dicts(value, name="", depth=4):
    """(name, tensors by name) of every dictionary inside a checkpoint that holds tensors, the outermost (.) first."""
    import torch

    if isinstance(value, dict):
        tensors = {key[len("module."):] if key.startswith("module.") else key: inner
                   for key, inner in value.items() if isinstance(key, str) and isinstance(inner, torch.Tensor)}
        if tensors:
            yield name or ".", tensors
    elif not isinstance(value, (list, tuple)):
        return
    if depth > 0:
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from state_dicts(inner, "%s.%s" % (name, key) if name else str(key), depth - 1)


class TensorUnpickler(pickle.Unpickler):
    """Makes tensors, containers, numbers and texts, and nothing that could run code."""

    ALLOWED = re.compile(r"collections\.OrderedDict|torch\._utils\._rebuild_(tensor_v2|parameter)|torch\.Size|"
                         r"torch\.(storage\.)?\w*Storage|torch\.(float|int|uint|bfloat)\d+")

    def find_class(self, module, name):
        if not self.ALLOWED.fullmatch(module + "." + name):
            raise pickle.UnpicklingError("it holds a %s.%s; --trust loads that, and can run code" % (module, name))
        return super().find_class(module, name)


def tensors_only():
    """What torch.load takes for Python's pickle."""
    module = types.ModuleType("tensors_only")
    module.__dict__.update({name: value for name, value in vars(pickle).items() if not name.startswith("__")})
    module.Unpickler = TensorUnpickler
    module.load = lambda file, **options: TensorUnpickler(file, **options).load()
    return module


def load(path, trust):
    """What a checkpoint holds."""
    import torch

    chosen = pickle if trust else tensors_only()
    try:
        # PyTorch 1.13 drops pickle_module and takes its own import of pickle.
        with unittest.mock.patch.object(torch.serialization, "pickle", chosen):
            return torch.load(path, map_location="cpu", pickle_module=chosen)
    except Exception as error:  # torch has no common class for what damaged or unusual files raise
        words = "".join(c for c in sentence(error) if c.isprintable())[:200]
        raise ImportFailure("%s: cannot be loaded as a PyTorch checkpoint (%s)" % (path, words)) from None


def matched(tensors, layout):
    """Tensors in the layout's order, by name where all names fit, else in the order of the file; and what misfits."""
    if all(entry["name"] in tensors for entry in layout):
        chosen = [(entry["name"], tensors[entry["name"]]) for entry in layout]
        extra = sorted(set(tensors) - {entry["name"] for entry in layout})
    else:
        chosen = list(tensors.items())[:len(layout)]
        extra = [name for name, _ in list(tensors.items())[len(layout):]]
    misfits = ["  no tensor for %s %s" % (entry["name"], entry["shape"]) for entry in layout[len(chosen):]]
    misfits += ["  %s %s is not %s %s" % (name, list(tensor.shape), entry["name"], entry["shape"])
                for (name, tensor), entry in zip(chosen, layout) if list(tensor.shape) != entry["shape"]]
    misfits += ["  %s %s has no place" % (name, list(tensors[name].shape)) for name in extra]
    return [tensor for _, tensor in chosen], misfits


def theta_of(path, value, layout, key):
    """theta [P] from the one dictionary of a checkpoint that fits the layout, or from that named key."""
    import torch

    found = list(state_dicts(value))
    if not found:
        raise ImportFailure("%s: holds no state dict (tensors in a dictionary, by names that are text)" % path)
    found.sort(key=lambda one: -sum(tensor.numel() for tensor in one[1].values()))  # of equals, the outermost first
    chosen = [one for one in found if key in (None, one[0])]
    if not chosen:
        raise ImportFailure("%s: holds no state dict %s, but %s" % (path, key, listed([name for name, _ in found])))
    fits = {}
    for name, tensors in chosen:
        ordered, misfits = matched(tensors, layout)
        if not misfits:
            fits[name] = np.concatenate([t.detach().to(torch.float64).numpy().ravel() for t in ordered])
    if not fits:
        name, tensors = chosen[0]
        raise ImportFailure("%s: its tensors%s do not fit:\n%s" % (
            path, "" if name == "." else " (%s)" % name, "\n".join(matched(tensors, layout)[1])))
    theta, *others = fits.values()
    if not all(np.array_equal(theta, other) for other in others):
        raise ImportFailure("%s: %s fit and differ; --key NAME chooses one" % (path, listed(fits)))
    return theta


def recording(steps):
    """The --record that keeps these steps. A list of steps cannot hold step 0, so there may be none (None)."""
    last, number = steps[-1], len(steps) - 1
    if steps[0] > 0:
        return "steps:" + ",".join(str(step) for step in steps)
    if steps == [*range(0, last, steps[1]), last]:
        return "every:%d" % steps[1]
    return "checkpoints:%d" % number if steps == [last * c // number for c in range(number + 1)] else None


def recordable(checkpoints):
    """The checkpoints that a run can hold: without that of step 0 where no --record keeps it besides the others."""
    steps, start = [step for step, _ in checkpoints], checkpoints[0][1]
    if steps[-1] == 0:
        raise ImportFailure("%s: is the only checkpoint, and step 0 alone makes no run" % start)
    if recording(steps):
        return checkpoints
    sys.stderr.write("import_checkpoints: %s: left out, as step 0 goes with evenly spread ones only\n" % start)
    return checkpoints[1:]


def given(options, name):
    """The value of --NAME among options, None where it is not there."""
    for option, following in zip(options, [*options[1:], ""]):
        if option == "--" + name:
            return following
        if option.startswith("--%s=" % name):
            return option.split("=", 1)[1]
    return None


def run_whence(program, *arguments):
    try:
        done = subprocess.run([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True)
    except OSError as error:
        raise ImportFailure("%s: cannot be started (%s); tools/build makes it" % (program, sentence(error))) from None
    if done.returncode != 0:
        raise ImportFailure(done.stderr.strip() or "%s ended with %d" % (program, done.returncode))


def plan_of(program, options, steps):
    """What trajectory.h5 has to be, from `whence train --describe`."""
    if given(options, "out") is not None:
        raise ImportFailure("--out: goes before the --")
    if given(options, "steps") not in (None, str(steps[-1])):
        raise ImportFailure("--steps: the last checkpoint is of step %d; leave it out" % steps[-1])
    own = {"steps": str(steps[-1]), "record": recording(steps)}
    own = [text for name, value in own.items() if given(options, name) is None for text in ("--" + name, value)]
    with tempfile.TemporaryDirectory() as place:
        path = os.path.join(place, "plan.json")
        run_whence(program, "train", *options, *own, "--out", place, "--describe", path)
        with open(path) as file:
            plan = json.load(file)
    # Jobs compare a trajectory with what its settings say it is, and call the file damaged where they differ.
    if plan["parameters"] != sum(math.prod(entry["shape"]) for entry in json.loads(plan["attributes"]["layout"])):
        raise ImportFailure("--optimiser adam: records its averages too, which are not imported; give --optimiser sgd")
    if plan["recorded"] != steps:
        names = [name for name in ("--checkpoints", "--record") if given(options, name[2:]) is not None] or ["--config"]
        raise ImportFailure("%s: the steps to keep would be %s, but the checkpoints are of steps %s; leave it out" % (
            " and ".join(names), listed(plan["recorded"]), listed(steps)))
    return plan


def crc(values, start=0):
    return zlib.crc32(np.ascontiguousarray(values).tobytes(), start)


def write_trajectory(path, plan, params):
    """trajectory.h5 as `whence train` leaves it, but for the batches, of which there are none."""
    steps, rates = plan["steps"], np.array([plan["rates"]], dtype=np.float64)
    with h5py.File(path, "w", libver=("v108", "v108")) as file:
        for name in ("schema", "schema_version", "whence_version", "git_sha", "sign_convention"):
            file.attrs[name] = np.bytes_(str(plan[name]).encode())
        for name, value in plan["attributes"].items():
            file.attrs[name] = np.bytes_(value.encode())
        file.attrs["imported"] = np.bytes_(b"PyTorch checkpoints; batches are not known")
        file["steps"] = np.array(plan["recorded"], dtype=np.int64)
        file["params"] = params
        file["params_crc"] = np.array([crc(row) for row in params], dtype=np.uint32).astype(np.int32)
        file.create_dataset("batch", shape=(steps, 0), dtype=np.int64)
        file["rate"] = np.repeat(rates, steps, axis=0)
        file["batch_crc"] = np.full(steps, np.uint32(crc(rates)).astype(np.int32))
        file["instance_id"] = np.array(plan["instance_ids"], dtype=np.int64)
        file["state"] = np.zeros((2, params.shape[1]), dtype=params.dtype)
        file["state_step"] = np.zeros(2, dtype=np.int64)
        file["state_crc"] = np.zeros(2, dtype=np.int32)
        file["committed"] = np.array([steps], dtype=np.int64)


def make_run(program, out, plan, params):
    """The run folder, made beside its place and moved there once the program has read it."""
    parent = os.path.dirname(os.path.abspath(out))
    os.makedirs(parent, exist_ok=True)
    # Asked beforehand, since HDF5 that finds a disk full while it closes a file can end the process.
    needs = params.nbytes + 2 * params[0].nbytes + 12 * plan["steps"] + 8 * len(plan["instance_ids"]) + 2 ** 16
    if shutil.disk_usage(parent).free < needs:
        raise ImportFailure("%s: needs %.1f MB, which its disk has not" % (out, needs / 1e6))
    with tempfile.TemporaryDirectory(prefix="import-", dir=parent) as place:
        fresh = os.path.join(place, "run")
        os.mkdir(fresh)  # unlike `place`, with the permissions of any other folder of the user
        with open(os.path.join(fresh, "run.cfg"), "w") as file:
            file.write(plan["attributes"]["settings"])
        write_trajectory(os.path.join(fresh, "trajectory.h5"), plan, params)
        try:
            run_whence(program, "verify", "--run", fresh)
        except ImportFailure as failure:
            raise ImportFailure(str(failure).replace(fresh, out)) from None
        os.rename(fresh, os.path.abspath(out))


def import_run(arguments):
    if not arguments.out:
        raise ImportFailure("--out: names no folder")
    if os.path.lexists(arguments.out):
        raise ImportFailure("%s: exists already" % arguments.out)
    checkpoints = recordable(steps_of(arguments.checkpoints))
    steps = [step for step, _ in checkpoints]
    plan = plan_of(arguments.whence, arguments.options, steps)
    layout = json.loads(plan["attributes"]["layout"])
    params = np.stack([theta_of(path, load(path, arguments.trust), layout, arguments.key).astype(plan["dtype"])
                       for _, path in checkpoints])
    if not np.isfinite(params).all():
        raise ImportFailure("%s: a parameter is not a finite number" % arguments.checkpoints)
    make_run(arguments.whence, arguments.out, plan, params)
    print("%s: %d checkpoints, steps %s" % (arguments.out, len(steps), listed(steps)))


def main():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    own = sys.argv[1:sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    parser = argparse.ArgumentParser(usage="%(prog)s CHECKPOINTS --out RUN [--key NAME] [--whence PROGRAM] [--trust] "
                                           "-- OPTIONS",
                                     description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoints", help="folder of checkpoints")
    parser.add_argument("--out", required=True, help="run folder to make")
    parser.add_argument("--key", help="which dictionary of a checkpoint holds the networks, where several could: "
                                      "model, or nets.ema for one inside another")
    parser.add_argument("--whence", default=os.environ.get("WHENCE", os.path.join(here, "build/bin/whence")),
                        help="the program (default: build/bin/whence)")
    parser.add_argument("--trust", action="store_true", help="load files that hold more than tensors and numbers")
    arguments = parser.parse_args(own)
    arguments.options = sys.argv[len(own) + 2:]
    try:
        import_run(arguments)
    except ImportFailure as failure:
        sys.exit("import_checkpoints: %s" % failure)
    except (OSError, MemoryError) as error:
        sys.exit("import_checkpoints: %s: %s" % (getattr(error, "filename", None) or arguments.out, sentence(error)))
    except ImportError as missing:
        sys.exit("import_checkpoints: needs PyTorch (Debian: python3-torch): %s" % missing)


if __name__ == "__main__":
    main()
