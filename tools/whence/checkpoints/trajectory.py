"""The run folder of a series of parameters: run.cfg and trajectory.h5, as `whence train` leaves them."""
import json
import math
import os
import shutil
import subprocess
import tempfile
import zlib

import h5py
import numpy as np

from .failure import ImportFailure, listed, sentence


SOME = 100  # training instances whose losses are printed


def recording(steps):
    """The --record that keeps these steps. A list of steps cannot hold step 0, so there may be none (None)."""
    last, number = steps[-1], len(steps) - 1
    if steps[0] > 0:
        return "steps:" + ",".join(str(step) for step in steps)
    if steps == [*range(0, last, steps[1]), last]:
        return "every:%d" % steps[1]
    return "checkpoints:%d" % number if steps == [last * c // number for c in range(number + 1)] else None


def recordable(checkpoints, tell):
    """The checkpoints that a run can hold: without that of step 0 where no --record keeps it besides the others."""
    steps, start = [step for step, _ in checkpoints], checkpoints[0][1]
    if steps[-1] == 0:
        raise ImportFailure("%s: is the only checkpoint, and step 0 alone makes no run" % start)
    if recording(steps):
        return checkpoints
    tell("%s: left out, as step 0 goes with evenly spread ones only" % start)
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
                              stderr=subprocess.PIPE, encoding="utf-8", errors="surrogateescape")
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
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            plan = json.load(file)
    # Jobs compare a trajectory with what its settings say it is, and call the file damaged where they differ.
    if plan["parameters"] != sum(math.prod(entry["shape"]) for entry in json.loads(plan["attributes"]["layout"])):
        raise ImportFailure("--optimiser: what optimisers other than sgd remember, and the average of --average, would be "
                            "recorded too, but is not imported; give --optimiser sgd and leave --average out")
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
            file.attrs[name] = np.bytes_(value.encode("utf-8", "surrogateescape"))
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
        with open(os.path.join(fresh, "run.cfg"), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(plan["attributes"]["settings"])
        write_trajectory(os.path.join(fresh, "trajectory.h5"), plan, params)
        try:
            run_whence(program, "verify", "--run", fresh)
        except ImportFailure as failure:
            raise ImportFailure(str(failure).replace(fresh, out)) from None
        said = losses_of(program, fresh, plan)
        os.rename(fresh, os.path.abspath(out))
    return said


def losses_of(program, run, plan):
    """The mean loss of some training instances at the first and the last checkpoint, in words; leaves the run as it is."""
    first, last, count = plan["recorded"][0], plan["recorded"][-1], min(SOME, len(plan["instance_ids"]))
    steps = sorted({first, last})
    before = set(os.listdir(run))
    try:
        run_whence(program, "tracin", "--run", run, "--queries", "train:%d" % count, "--instances", "none", "--samples", "4",
                   "--checkpoints", ",".join(map(str, steps)), "--name", "imported", "--quiet")
        with h5py.File(os.path.join(run, "tracin-imported.h5"), "r") as file:
            means = file["query_loss"][...].mean(axis=1)
    except ImportFailure as failure:
        return "their losses cannot be computed: %s" % str(failure).splitlines()[0]
    finally:
        for name in set(os.listdir(run)) - before:
            os.remove(os.path.join(run, name))
    return "mean loss of %d training instances: %s" % (
        count, ", ".join("%.6g at step %d" % pair for pair in zip(means, steps)))
