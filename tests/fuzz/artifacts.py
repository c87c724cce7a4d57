"""Damages each kind of file that Whence reads, and holds every job that reads it to one rule: it ends with the right
numbers or with one sentence that names the file; never by a signal, without an end, or in another library's words.

WHENCE=build/bin/whence python3 tests/fuzz/artifacts.py --cases 4000 [--seed N] [--only NAME] [--workers 2]
prints the counts for each file and every broken rule; exit code 1 where there is one. Some hours for 10,000 cases.
"""

import argparse
import collections
import concurrent.futures
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs")]

import h5py
import numpy as np

import mutations
from at_hand import AtHand
from support import WHENCE, tiny
from vae_support import vae, write_idx

# Words of other libraries, and of a program that did not expect what it met.
FOREIGN = re.compile(r"HDF5-DIAG|Exception raised from|frame #|c10::|at::|std::|vector::|_M_|basic_string|bad_alloc|"
                     r"bad_array|terminate called|Assertion|INTERNAL ASSERT|json\.exception|filesystem error|stoll|stod|"
                     r"Segmentation|double free|corrupted|Expected |expected scalar|dimension|negative dimension|"
                     r"out of range|DefaultCPUAllocator")
# What huge numbers with a right checksum lead to names step and instance instead of the file.
DIVERGED = ("is not finite", "not a finite number")
LIMIT = 60  # seconds; a job here takes one

Artifact = collections.namedtuple("Artifact", "folder file jobs results")
Outcome = collections.namedtuple("Outcome", "artifact case kind how job code complaint")


def whence(*arguments, timeout=LIMIT):
    """(exit code, stdout, stderr); code None when it did not end."""
    try:
        # Bytes that are not UTF-8 must not reach a terminal either: they are kept apart here.
        loaded = AtHand.of(WHENCE)
        done = loaded and loaded.run([WHENCE, *arguments], timeout)
        if done:
            return done
        done = subprocess.run([WHENCE, *arguments], stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        return None, b"", b""
    return done.returncode, done.stdout, done.stderr


def fine(*arguments):
    code, _, err = whence(*arguments, timeout=300)
    if code != 0:
        raise AssertionError("whence %s: %s: %s" % (" ".join(arguments), code, err.decode(errors="replace")))


def marks_of(path, schema, **more):
    """Attributes of a finished file, as the unfinished one of this schema has them."""
    with h5py.File(path) as file:
        return {**dict(file.attrs), "schema": np.bytes_(schema), **more}


def write(path, marks, arrays, sealed=False):
    with h5py.File(path, "w", libver=("v108", "v108")) as file:
        for name, value in marks.items():
            file.attrs[name] = value
        for name, values in arrays.items():
            file[name] = values
            if sealed:
                file[name].attrs.create("crc32", np.uint32(mutations.crc(values)), dtype="<u4")


INFLUENCE = ("--metric", "all,gen-loss", "--epochs-back", "1,2", "--quiet")
COUNTERFACTUAL = ("--metric", "all,gen-loss", "--epochs-back", "2", "--targets", "10", "--replicas", "4", "--quiet")
CLEANSE = ("--remove", "5,9", "--select", "influence:all,random", "--quiet")
TRACIN = ("--queries", "test:3", "--quiet")
DENSITY = ("--data", "normal2d", "--estimator", "knn,kde", "--k", "3", "--instances", "30", "--queries", "5", "--quiet")


def make_folders(place):
    """The undamaged runs, finished and unfinished; {name: Artifact}."""
    run, vae_run, density = (os.path.join(place, name) for name in ("run", "vae", "density"))
    training = tiny(instances=40, held_out=10, test=10, batch=10, epochs=3, latent=2, generator_hidden=3,
                    discriminator_hidden=3)
    fine("train", "--out", run, *training, "--quiet")
    fine("influence", "--run", run, *INFLUENCE)
    fine("counterfactual", "--run", run, *COUNTERFACTUAL)
    fine("cleanse", "--run", run, *CLEANSE)
    draw = np.random.default_rng(1)
    write_idx(place + "/images", draw.integers(0, 255, (160, 4, 4)))
    write_idx(place + "/labels", draw.integers(0, 4, 160))
    of_vae = vae("idx:%s/images,%s/labels" % (place, place), instances=40, steps=12, hidden="6,5", latent=2)
    fine("train", "--out", vae_run, *of_vae, "--quiet")
    fine("tracin", "--run", vae_run, *TRACIN)
    fine("density", "--out", density, *DENSITY)

    def part(name, *left_out):
        folder = os.path.join(place, name)
        shutil.copytree(run, folder)
        for file in left_out:
            os.remove(os.path.join(folder, file))
        return folder

    train = ("train", "--out", "{}", *training, "--quiet")
    half = part("half-trained", "influence.h5", "counterfactual.h5", "cleansing.h5")
    os.rename(half + "/trajectory.h5", half + "/trajectory.h5.part")
    with h5py.File(half + "/trajectory.h5.part", "r+") as file:
        file["committed"][...] = 7
    blocks, begun, traced = part("blocks", "counterfactual.h5"), part("begun", "counterfactual.h5"), part(
        "traced", "influence.h5", "cleansing.h5")
    marks = marks_of(run + "/counterfactual.h5", "whence.counterfactual_blocks", schema_version=np.bytes_("2"), replicas=np.bytes_("4"))
    for folder in (blocks, begun):
        write(folder + "/counterfactual.h5.part", marks, {"rows": np.zeros((3, 11)), "seal": np.zeros(3, dtype=np.int64)})
    with h5py.File(run + "/trajectory.h5") as file:
        theta = file["params"][8]
    write(begun + "/counterfactual.h5.part.0", marks_of(run + "/counterfactual.h5", "whence.begun_block"),
          {"step": np.array([8]), "state": np.tile(theta, (5, 1))}, sealed=True)
    # Two metrics in three sweeps and once frozen; sums of near zero, norms, results, influences and crossings.
    queries = np.linspace(0, 1e-3, 4 * 2 * len(theta))
    sums = np.linspace(0, 1e-3, 2 * 2 + 2 * 3 + 2 * 2 * 40 + 4 * 2 * 40 + 2 * 2 * 2 * 40 + 2)
    write(traced + "/influence.h5.part",
          marks_of(run + "/influence.h5", "whence.trace_checkpoint", schema_version=np.bytes_("3"), ranks_and_grid=np.bytes_("1 ranks, 1 query groups")),
          {"taken": np.array([3]), "queries": queries[None], "query_count": np.array([len(queries)]),
           "slice_crc": np.array([mutations.crc(queries)]), "sums": sums[None], "sum_count": np.array([len(sums)]),
           "sum_crc": np.array([mutations.crc(sums)])})

    verify, info = ("verify", "--run", "{}"), lambda file: ("info", "{}/" + file)

    def job(name, *options):
        return (name, "--run", "{}", *options)

    again = ("--overwrite",)
    influence, counterfactual, cleanse = (job("influence", *INFLUENCE), job("counterfactual", *COUNTERFACTUAL),
                                          job("cleanse", *CLEANSE))
    return {
        "trajectory.h5": Artifact(run, "trajectory.h5", [verify, info("trajectory.h5"), influence + again,
                                                         counterfactual + again, cleanse + again, job("validate"), train],
                                  ["influence.h5", "counterfactual.h5"]),
        "influence.h5": Artifact(run, "influence.h5", [verify, info("influence.h5"), job("validate"), cleanse + again,
                                                       influence], ["validation.json", "cleansing.h5"]),
        "counterfactual.h5": Artifact(run, "counterfactual.h5", [verify, info("counterfactual.h5"), job("validate"),
                                                                 counterfactual], ["validation.json"]),
        "cleansing.h5": Artifact(run, "cleansing.h5", [verify, info("cleansing.h5"), job("cleanse-table"), cleanse], []),
        "run.cfg": Artifact(run, "run.cfg", [verify, influence + again, train], ["influence.h5"]),
        "summary.json": Artifact(run, "summary.json", [job("validate"), influence + again], ["influence.h5"]),
        "tracin.h5": Artifact(vae_run, "tracin.h5", [verify, info("tracin.h5"), job("tracin", *TRACIN)], []),
        "trajectory.h5 of a VAE": Artifact(vae_run, "trajectory.h5", [verify, job("tracin", *TRACIN, *again)],
                                           ["tracin.h5"]),
        "density.h5": Artifact(density, "density.h5", [verify, info("density.h5"), ("density", "--out", "{}", *DENSITY)], []),
        "trajectory.h5.part": Artifact(half, "trajectory.h5.part", [train, train, info("trajectory.h5.part"), influence],
                                       ["trajectory.h5"]),
        "counterfactual.h5.part": Artifact(blocks, "counterfactual.h5.part", [counterfactual, info("counterfactual.h5.part")],
                                           ["counterfactual.h5"]),
        "counterfactual.h5.part.0": Artifact(begun, "counterfactual.h5.part.0",
                                             [counterfactual, info("counterfactual.h5.part.0")], ["counterfactual.h5"]),
        "influence.h5.part": Artifact(traced, "influence.h5.part", [influence, info("influence.h5.part")], ["influence.h5"]),
    }


def complaint_about(code, out, err, job, names):
    """What is wrong with how a job ended; None when nothing is."""
    if code is None:
        return "no end within %d s" % LIMIT
    if code not in (0, 1, 2):
        return "ended by signal or with code %d" % code
    for stream in (out, err):
        if re.search(rb"[\x00-\x08\x0b-\x1f\x7f]", stream):
            return "control characters on the terminal"
        try:
            stream.decode()
        except UnicodeDecodeError:
            return "bytes that are not UTF-8 on the terminal"
    lines = err.decode().splitlines()
    if code == 0:
        return None if not lines else "success with a sentence"
    if len(lines) != 1:
        return "%d sentences" % len(lines)
    if not lines[0].startswith("whence %s: " % job):
        return "does not begin with the job"
    if FOREIGN.search(lines[0].replace("'", "")):
        return "another library's words"
    if not any(name in lines[0] for name in names):
        return "names no file"
    return None


class Fuzz:
    def __init__(self, place, seed):
        self.place, self.seed = place, seed
        os.makedirs(os.path.join(place, "whole"), exist_ok=True)
        self.artifacts = make_folders(os.path.join(place, "whole"))

    def case(self, name, number, kind=None, job=None):
        """One damaged file and one job that reads it; returns the Outcome."""
        draw = random.Random("%s %s %s" % (self.seed, name, number))
        artifact = self.artifacts[name]
        folder = os.path.join(self.place, "case-%s-%d" % (name.replace(" ", "-"), number))
        shutil.copytree(artifact.folder, folder)
        try:
            try:
                kind, how = mutations.damage(os.path.join(folder, artifact.file), draw, kind)
            except (OSError, ValueError, TypeError, RuntimeError, KeyError) as impossible:
                return Outcome(name, number, kind or "?", "not possible: %s" % impossible, "", 0, None)
            chosen = artifact.jobs[job] if job is not None else draw.choice(artifact.jobs)
            arguments = [word.replace("{}", folder) for word in chosen]
            code, out, err = whence(*arguments)
            complaint = complaint_about(code, out, err, arguments[0], (artifact.file, folder, "--run", *DIVERGED))
            if complaint is None and code == 0 and kind == "raw":
                complaint = self.other_numbers(artifact, folder)
            said = (err or out).decode(errors="backslashreplace")[:400]
            return Outcome(name, number, kind, how, " ".join(chosen), code, complaint and "%s\n    %s" % (complaint, said))
        finally:
            mutations.clear(folder)

    @staticmethod
    def other_numbers(artifact, folder):
        """A flipped bit must not go through into a result."""
        for result in artifact.results:
            paths = [os.path.join(f, result) for f in (artifact.folder, folder)]
            if result.endswith(".h5") and all(os.path.isfile(p) for p in paths):
                with h5py.File(paths[0]) as whole, h5py.File(paths[1]) as found:
                    for array in whole:
                        if not np.array_equal(whole[array][()], found[array][()]):
                            return "other numbers in %s of %s" % (array, result)
        return None


def table(outcomes):
    """Counts for each kind of file."""
    lines = ["%-26s %7s %9s %9s %7s" % ("file", "cases", "refused", "harmless", "broken")]
    names = list(dict.fromkeys(o.artifact for o in outcomes))
    for name in [*names, None]:
        of = [o for o in outcomes if name in (o.artifact, None)]
        broken = sum(o.complaint is not None for o in of)
        refused = sum(o.complaint is None and o.code != 0 for o in of)
        lines.append("%-26s %7d %9d %9d %7d" % (name or "all", len(of), refused, len(of) - refused - broken, broken))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case of each file")
    parser.add_argument("--only", help="one kind of file")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no case later than this")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="whence-fuzz-") as place:
        fuzz = Fuzz(place, options.seed)
        names = [options.only] if options.only else list(fuzz.artifacts)
        cases = [(name, options.first + number) for number in range(-(-options.cases // len(names))) for name in names]
        outcomes, end = [], time.monotonic() + 60 * options.minutes
        with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
            for outcome in pool.map(lambda case: fuzz.case(*case) if time.monotonic() < end else None, cases):
                if outcome is None:
                    break
                outcomes.append(outcome)
                if outcome.complaint is not None:
                    print("%s, case %d: %s, %s; %s ended with %s: %s" % outcome, flush=True)
    print(table(outcomes))
    sys.exit(any(o.complaint is not None for o in outcomes))


if __name__ == "__main__":
    main()
