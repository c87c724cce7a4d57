"""A run's instances and their labels as they lie in the files of its data, by id, turned as --orient says."""
import csv
import gzip
import io
import os

import h5py
import numpy as np

from .results import Missing

PLANTED = 10 ** 9  # ids from here on are of another file


def opened(path):
    with open(path, "rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path, "rb") if packed else open(path, "rb")


def idx_array(path):
    with opened(path) as file:
        head = file.read(4)
        shape = [int.from_bytes(file.read(4), "big") for _ in range(head[3])]
        return np.frombuffer(file.read(), np.uint8).reshape(shape)


def idx(place):
    names = place.split(",")
    return idx_array(names[0]), idx_array(names[1]) if len(names) > 1 else None


def mnist(place):
    def path(name):
        plain = os.path.join(place, name)
        return plain if os.path.exists(plain) else plain + ".gz"
    return idx(path("train-images-idx3-ubyte") + "," + path("train-labels-idx1-ubyte"))


def cifar10(place):
    parts = []
    for path in place.split(","):
        with opened(path) as file:
            parts.append(np.frombuffer(file.read(), np.uint8).reshape(-1, 3073))
    records = np.concatenate(parts)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0]


def npy(place):
    names = place.split(",")
    return np.load(names[0], mmap_mode="r"), np.load(names[1]) if len(names) > 1 else None


class Rows:
    """An HDF5 array, read by rows: whole it may be larger than memory."""

    def __init__(self, path, name):
        self.path, self.name = path, name

    def __getitem__(self, ids):
        with h5py.File(self.path, "r") as file:
            return np.stack([file[self.name][i] for i in ids])


def hdf5(place):
    path, colon, names = place.rpartition(":")
    if not colon or place.endswith((".h5", ".hdf5", ".hdf")):
        path, names = place, ""
    with h5py.File(path, "r") as file:
        wide = [name for name in file if isinstance(file[name], h5py.Dataset) and file[name].ndim > 1]
        name, _, labels = names.partition(",")
        name = name or ("X" if "X" in file else wide[0])
        labels = labels or ("labels" if "labels" in file and "," not in names else "")
        return Rows(path, name), file[labels][...] if labels else None


def csv_table(place):
    path, _, column = place.partition(",")
    with opened(path) as file:
        lines = [line for line in csv.reader(io.TextIOWrapper(file, "utf-8-sig", newline=""), delimiter=",") if line]
    try:
        names, rows = [], np.array(lines, float)
    except ValueError:
        names, rows = lines[0], np.array(lines[1:], float)
    if not column:
        return rows, None
    place = names.index(column) if column in names else int(column) - 1
    return np.delete(rows, place, 1), rows[:, place].astype(int)


READERS = {"idx": idx, "mnist": mnist, "cifar10": cifar10, "npy": npy, "hdf5": hdf5, "csv": csv_table}


def turned(rows, orient):
    if orient == "transpose":
        return rows.swapaxes(-1, -2)
    return np.moveaxis(rows, -1, 1) if orient == "channels-first" else rows


def source_of(run):
    """(rows, labels or None) of the run's data; Missing where they are drawn, were moved away or cannot be read."""
    kind, _, place = run.settings.get("data", "").partition(":")
    if kind not in READERS:
        raise Missing("the data are drawn by the run, not files")
    try:
        return READERS[kind](place)
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise Missing("the data are not where they were (%s)" % error) from error


def images_shape(shape):
    """The shape of one instance as an image; None where it is none."""
    return tuple(shape) if len(shape) == 2 or len(shape) == 3 and shape[0] in (1, 3) else None


def images_of(run, ids):
    """Images [len(ids), ...] as floats from 0 to 1 (over all of them); Missing where the instances are no images."""
    if any(i >= PLANTED for i in ids):
        raise Missing("planted instances lie in another file")
    rows = turned(np.asarray(source_of(run)[0][np.asarray(ids)]), run.settings.get("orient", "none")).astype(float)
    if images_shape(rows.shape[1:]) is None:
        raise Missing("the instances are not images")
    return (rows - rows.min()) / max(rows.max() - rows.min(), 1e-300)


def labels_of(run, ids):
    """Labels [len(ids)] of instances, -1 of planted ones; None where the data have none or are not at hand."""
    try:
        labels = source_of(run)[1]
    except Missing:
        return None
    if labels is None:
        return None
    ids = np.asarray(ids)
    return np.where(ids < PLANTED, labels[np.minimum(ids, len(labels) - 1)].astype(np.int64), -1)
