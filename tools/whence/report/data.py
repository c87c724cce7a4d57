"""The first training instances as they lie in their files, turned as --orient says: images on their side are seen at once."""
import gzip
import os

import h5py
import numpy as np

from ..results import Missing, settings, text
from .tracin_figures import grid

SHOWN = 14
PLANTED = 10 ** 9  # ids from here on are of another file


def opened(path):
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb")


def idx(place, ids):
    with opened(place.split(",")[0]) as file:
        head = file.read(4)
        shape = [int.from_bytes(file.read(4), "big") for _ in range(head[3])]
        rows = np.frombuffer(file.read(), np.uint8).reshape(shape)
    return rows[ids]


def mnist(place, ids):
    path = os.path.join(place, "train-images-idx3-ubyte")
    return idx(path if os.path.exists(path) else path + ".gz", ids)


def cifar10(place, ids):
    records = []
    for path in place.split(","):
        with opened(path) as file:
            records.append(np.frombuffer(file.read(), np.uint8).reshape(-1, 3073)[:, 1:].reshape(-1, 3, 32, 32))
    return np.concatenate(records)[ids]


def npy(place, ids):
    return np.load(place.split(",")[0], mmap_mode="r")[ids]


def hdf5(place, ids):
    path, colon, names = place.rpartition(":")
    if not colon or place.endswith((".h5", ".hdf5", ".hdf")):
        path, names = place, ""
    with h5py.File(path, "r") as file:
        wide = [name for name in file if isinstance(file[name], h5py.Dataset) and file[name].ndim > 1]
        name = names.split(",")[0] or ("X" if "X" in file else wide[0])
        return np.stack([file[name][i] for i in ids])


READERS = {"idx": idx, "mnist": mnist, "cifar10": cifar10, "npy": npy, "hdf5": hdf5}


def turned(rows, orient):
    if orient == "transpose":
        return rows.swapaxes(-1, -2)
    return np.moveaxis(rows, -1, 1) if orient == "channels-first" else rows


def first_instances(run):
    """A row of images; "" where the data are none."""
    file = run.file("trajectory.h5", "whence.trajectory")
    options = settings(text(file, "settings"))
    kind, _, place = options.get("data", "").partition(":")
    ids = [int(i) for i in file["instance_id"][:SHOWN] if i < PLANTED]
    if kind not in READERS or not ids:
        return ""
    try:
        rows = turned(READERS[kind](place, ids), options.get("orient", "none"))
    except OSError as error:
        raise Missing("the data are not where they were (%s)" % error) from error
    shape = rows.shape[1:]
    if len(shape) not in (2, 3) or len(shape) == 3 and shape[0] not in (1, 3):
        return ""
    rows = rows.astype(float)
    span = max(rows.max() - rows.min(), 1e-300)
    flat = (rows - rows.min()) / span
    return grid([list(flat.reshape(len(flat), -1))], shape, "The first %d training instances, ids %s" % (
        len(ids), ", ".join(map(str, ids))))


TITLE = "Data"
FILES = ("trajectory.h5",)
SECTIONS = [("", first_instances)]
