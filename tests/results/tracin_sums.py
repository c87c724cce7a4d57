#!/usr/bin/env python3
"""Tables 1, 2, 3, 5, 6 and 10 of VAE-TracIn from one pass: queries of all kinds in one file, and scores as sums of files.

    tests/results/tracin_sums.py queries RUN PICTURES -o queries.h5 [--number 64] [--mixtures]
    whence tracin --run RUN --queries file:hdf5:queries.h5:X --checkpoints STEPS --with-cosines --name NAME
    tests/results/tracin_sums.py tables queries.h5 RUN/tracin-NAME.h5 [RUN/tracin-OTHER.h5 ...]

PICTURES is a numpy file of all instances by id, as the run's --data has them. Scores of checkpoints without weights add up, so that files of
other checkpoints of the same queries are summed: of ten checkpoints and of twenty others, say.
"""
import argparse
import json
import os
import subprocess
import sys

os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..", "tools"))

import h5py
import numpy as np

from whence.report import tracin_tables

TRAIN, TEST, MIXTURE = range(3)
SHARE = 0.75  # of x_major in a mixture


def chosen(arguments, queries):
    """Who these queries are: a pass over no instances, at the last checkpoint."""
    subprocess.run([arguments.whence, "tracin", "--run", arguments.run, "--queries", queries, "--instances", "none", "--checkpoints", "last",
                    "--samples", "1", "--name", "chosen", "--overwrite", "--quiet"], check=True)
    with h5py.File(os.path.join(arguments.run, "tracin-chosen.h5")) as file:
        return {name: file[name][:] for name in ("query_id", "query_position", "query_label", "instance_id", "major", "minor")
                if name in file}


def write_queries(arguments):
    pictures = np.load(arguments.pictures, mmap_mode="r")
    points, kinds, major, minor, labels = [], [], [], [], []
    for kind, name in ((TRAIN, "train"), (TEST, "test")):
        found = chosen(arguments, "%s:%d" % (name, arguments.number))
        points += [pictures[row] for row in found["query_id"]]
        kinds += [kind] * len(found["query_id"])
        major += found["query_position"].tolist()
        minor += [-1] * len(found["query_id"])
        labels += found["query_label"].tolist()
    if arguments.mixtures:
        found = chosen(arguments, "mixtures")
        for a, b in zip(found["major"], found["minor"]):
            points.append(sum(np.float32(share) * pictures[found["instance_id"][p]].astype(np.float32) / 255
                              for share, p in ((SHARE, a), (1 - SHARE, b))))
        kinds += [MIXTURE] * len(found["major"])
        major += found["major"].tolist()
        minor += found["minor"].tolist()
        labels += [-1] * len(found["major"])
        points = [x.astype(np.float32) / 255 if x.dtype == np.uint8 else x for x in points]
    with h5py.File(arguments.output, "w") as file:
        file["X"] = np.stack(points)
        for name, values in (("kind", kinds), ("major", major), ("minor", minor), ("label", labels)):
            file["of/" + name] = values


class Scores(dict):
    """Some queries of the summed scores, as tracin_tables reads those of a file of one kind."""

    def __init__(self, queries, **arrays):
        super().__init__(arrays)
        self.queries, self.file = queries, self


def tables(arguments):
    with h5py.File(arguments.queries) as file:
        kind, major, minor, label = (file["of/" + name][:] for name in ("kind", "major", "minor", "label"))
    total, steps, last = 0, [], {}
    for path in arguments.scores:
        with h5py.File(path) as file:
            if not (file["weight"][:] == 1).all():
                raise SystemExit(path + ": weights other than none do not add up so")
            total = total + file["score"][:]
            steps += file["step"][:].tolist()
            if steps[-1] == max(steps):
                last = {name: file[name][:] for name in ("latent_mean", "query_latent_mean", "label") if name in file}
    of = [np.flatnonzero(kind == which) for which in (TRAIN, TEST, MIXTURE)]
    test = {**last, "query_latent_mean": last["query_latent_mean"][of[TEST]], "query_label": label[of[TEST]]}
    found = {"steps": sorted(steps),
             "self_top": tracin_tables.self_top(Scores("train", score=total[of[TRAIN]], query_position=major[of[TRAIN]])),
             "foremost": tracin_tables.foremost(Scores("test", score=total[of[TEST]], **test))}
    if len(of[MIXTURE]) > 0:
        found["mixtures"] = tracin_tables.mixtures(Scores("mixtures", score=total[of[MIXTURE]], query_id=of[MIXTURE],
                                                          major=major[of[MIXTURE]], minor=minor[of[MIXTURE]]))
    print(json.dumps(found, indent=1))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
commands = parser.add_subparsers(required=True)
writing = commands.add_parser("queries")
writing.add_argument("run")
writing.add_argument("pictures")
writing.add_argument("-o", "--output", required=True)
writing.add_argument("--number", type=int, default=64)
writing.add_argument("--mixtures", action="store_true")
writing.add_argument("--whence", default="whence")
writing.set_defaults(work=write_queries)
reading = commands.add_parser("tables")
reading.add_argument("queries")
reading.add_argument("scores", nargs="+")
reading.set_defaults(work=tables)
arguments = parser.parse_args()
arguments.work(arguments)
