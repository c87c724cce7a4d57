"""Which files a result was made of. A file whose sources were replaced since is stale; that is seen by checksums of what the
files hold and never by their times."""
import zlib

import h5py
import numpy as np

from .results import settings, text


def content_fingerprint(file):
    """The content of a finished result (an open h5py.File) as eight hexadecimal digits: the CRC-32 of the lines NAME=CRC of
    its arrays in alphabetical order, each CRC being the array's own checksum. include/whence/io/artifact.h has the same."""
    lines = ["%s=%08x\n" % (name, int(file[name].attrs["crc32"])) for name in sorted(file)
             if isinstance(file[name], h5py.Dataset)]
    return "%08x" % zlib.crc32("".join(lines).encode())


def run_fingerprint(file):
    """The training run of an open trajectory.h5, as the attribute `run` of every result made of it has it."""
    crc = zlib.crc32(np.ascontiguousarray(file["batch_crc"][...]).tobytes())
    crc = zlib.crc32(np.ascontiguousarray(file["params_crc"][...]).tobytes(), crc)
    for name in ("settings", "data"):
        crc = zlib.crc32(text(file, name).encode(), crc)
    return "%08x" % crc


def overtaken(run, name):
    """Why a JSON table of one run is not of the files that lie beside it now; "" where it is. Tables of several runs are
    checked by each of them, through `whence.open(...)` of their folders."""
    content = run.json(name)
    sources = content.get("made_of")
    if sources is None:
        return "it was made by a Whence that did not note what of, so it may be of older files"
    reasons = [_differs(other, made_of) for other, made_of in zip(_folders(run, content), sources)]
    return next((reason for reason in reasons if reason), "")


def cleansing_overtaken(cleansing, influence):
    """Why the selections of an open cleansing.h5 are not by the open influence.h5; "" where they are: the harm of a selection
    by influence is that influence or its negative, number by number."""
    epochs = int(settings(text(cleansing, "settings"))["epochs-back"])
    metrics, horizons = text(influence, "metrics").split(","), list(influence["epochs_back"][...])
    for s, name in enumerate(text(cleansing, "selections").split(",")):
        metric = name.partition(":")[2] if name.startswith("influence:") else name
        if metric != "disc-loss" and not name.startswith("influence:"):
            continue
        harm = cleansing["harm"][s]
        if metric in metrics and epochs in horizons:
            now = influence["influence"][0, metrics.index(metric), horizons.index(epochs)]
            if np.array_equal(harm, now) or np.array_equal(harm, -now):
                continue
        return f"selection {name} was made of another influence.h5 than the one there now"
    return ""


def _folders(run, content):
    """The runs of a table: the folder itself where there is one, else the folders it names, also if all were moved."""
    names = content.get("runs", [])
    if len(names) == 1 and run.has("trajectory.h5"):
        return [run]
    return [run.beside(name) for name in names]


def _differs(run, made_of):
    if run is None:
        return ""  # the runs are not here: there is nothing that could have overtaken the table
    for name, fingerprint in made_of.items():
        file = "trajectory.h5" if name == "run" else name
        if not run.has(file):
            continue
        opened = run.opened(file)
        now = run_fingerprint(opened) if name == "run" else content_fingerprint(opened)
        if now != fingerprint:
            return "%s was replaced since it was made of it" % file
    return ""
