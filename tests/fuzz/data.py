"""Damages files of each format that --data takes, and holds their readers to one rule: the numbers that h5py, NumPy or
Python's csv read there, or one sentence that names the file; never a signal, nor another library's words.

WHENCE_LOAD=build/bin/data_load_program /usr/bin/python3 tests/fuzz/data.py --cases 1000 [--seed N] [--only FORMAT]
prints the counts for each format and every broken rule; exit code 1 where there is one. A minute for 1,000 of each.
"""

import argparse
import collections
import csv
import gzip
import io
import itertools
import json
import os
import random
import re
import resource
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)),
                os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "jobs")]

import h5py
import numpy as np

import mutations
from artifacts import FOREIGN

LOAD = os.environ.get("WHENCE_LOAD", "build/bin/data_load_program")
LIMIT = 30  # seconds for one file
Outcome = collections.namedtuple("Outcome", "format case how refused complaint")


class Loader:
    """The program that loads sources, started again where one ended it."""

    def __init__(self):
        self.process = None

    def start(self):
        def few_gibibytes():
            resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        self.process = subprocess.Popen([LOAD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        preexec_fn=few_gibibytes)

    def load(self, source):
        """What the program says of the source, or text about its end."""
        if self.process is None:
            self.start()
        self.process.stdin.write(source.encode() + b"\n")
        self.process.stdin.flush()
        ready, _, _ = select.select([self.process.stdout], [], [], LIMIT)
        line = self.process.stdout.readline() if ready else b""
        if line:
            return json.loads(line.decode(errors="backslashreplace"))
        self.process.kill()
        _, error = self.process.communicate()
        said = "ended with code %s: %s" % (self.process.returncode, error.decode(errors="replace")[-300:])
        self.process = None
        return said if ready else "did not end within %d s" % LIMIT

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()


def crc(values):
    return zlib.crc32(np.ascontiguousarray(values).tobytes())


def expected(instances, labels=None):
    """What the program has to say of such arrays, as float64; None where it has to refuse them."""
    if instances.dtype == np.uint8:
        numbers = instances / 255.0
    elif instances.dtype.kind == "f" and instances.dtype.itemsize <= 8:
        with np.errstate(all="ignore"):
            numbers = instances.astype(np.float64)
    else:
        return None
    if instances.ndim < 2 or instances.size == 0 or not np.isfinite(numbers).all():
        return None
    said = {"rows": len(numbers), "shape": list(numbers.shape[1:]), "crc": crc(numbers.astype("<f8"))}
    if labels is not None:
        if labels.dtype.kind not in "ui" or labels.size != len(numbers) or labels.shape[:1] != (len(numbers),):
            return None
        if labels.min() < 0 or labels.max() > 10**6:
            return None
        said["labels"] = crc(labels.astype("<i8"))
    return said


# Each format: write(path, draw) makes a whole file, damage(path, draw) damages it, read(path) gives what is right.

def write_hdf5(path, draw):
    numbers = np.random.default_rng(draw.randrange(2**32))
    images = numbers.integers(0, 256, (24, 3, 4), dtype=np.uint8)
    values = draw.choice([images, images, numbers.normal(size=(24, 5)).astype("<f4"), numbers.normal(size=(24, 2, 2)),
                          numbers.normal(size=(24, 5)).astype(">f8"), numbers.normal(size=(24, 5)).astype("<f2")])
    how = draw.choice([{}, {}, {"chunks": (5,) + values.shape[1:]}, {"chunks": (7,) + (2,) * (values.ndim - 1)},
                       {"compression": "gzip"}, {"compression": "gzip", "shuffle": True, "fletcher32": True}])
    with h5py.File(path, "w", libver=draw.choice(["earliest", "latest", ("v108", "v108")])) as file:
        file.create_dataset("X", data=values, **how)
        file.create_dataset("labels", data=numbers.integers(0, 4, 24).astype(draw.choice(["u1", "<i8", ">i4"])))


STRUCTURED = [mutations.wrong_value, mutations.wrong_value, mutations.wrong_shape, mutations.wrong_type,
              mutations.missing_array, mutations.huge_size, mutations.other_layout, mutations.other_layout,
              mutations.not_an_array, mutations.wrong_order]


def filtered_by_others(file, draw):
    name = mutations.some_array(file, draw)
    mutations.put(file, name, file[name][()], compression="lzf")
    return "%s packed with lzf" % name


def sparse(file, draw):
    name = mutations.some_array(file, draw)
    shape, dtype = file[name].shape, file[name].dtype
    del file[name]
    file.create_dataset(name, shape=shape, dtype=dtype, chunks=(4,) + shape[1:])[:8] = 1
    return "%s written to a third" % name


def damage_hdf5(path, draw):
    if draw.random() < 0.5:
        return mutations.raw(path, draw)
    change = draw.choice(STRUCTURED + [filtered_by_others, sparse])
    with h5py.File(path, "r+") as file:
        try:
            return "%s: %s" % (change.__name__, change(file, draw))
        except (ValueError, TypeError, OSError) as error:  # h5py makes no such array; what is left is a file, too
            return "%s: %s" % (change.__name__, error)


def array_in_file(file, name):
    """Numbers that lie in this very file, and all of them; None for what the reader has to refuse."""
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        return None
    array = file[name]
    if array.shape in (None, ()) or array.is_virtual or array.external or array.size > 10**7:
        return None
    if array.compression == "lzf":  # a filter of h5py's own
        return None
    if array.chunks is not None:
        places = itertools.product(*(range(0, size, step) for size, step in zip(array.shape, array.chunks)))
        if any(array.id.get_chunk_info_by_coord(place).byte_offset is None for place in places):
            return None
    if array.id.get_storage_size() == 0 or array.id.get_type() != h5py.h5t.py_create(array.dtype):
        return None
    return array[()]


def read_hdf5(path):
    with h5py.File(path, "r") as file:
        names = ["X"] if "X" in file else [name for name in file if isinstance(file[name], h5py.Dataset) and file[name].ndim > 1]
        if len(names) != 1:
            return None
        instances = array_in_file(file, names[0])
        labels = array_in_file(file, "labels") if "labels" in file else None
        if instances is None or ("labels" in file and labels is None):
            return None
        return expected(instances, labels)


def write_npy(path, draw):
    numbers = np.random.default_rng(draw.randrange(2**32))
    kind = draw.choice(["u1", "<f4", "<f8", ">f4", ">f8", "<f2"])
    np.save(path, (numbers.normal(size=(20, 3, 4)) * 50 + 100).astype(kind))


def npy_header(path, draw):
    """Another header on the same numbers."""
    values = np.load(path)
    descr = draw.choice(["<f8", ">f8", "<f4", "|u1", "<i8", "<c16", "|O", "|S4", "<U3", "|b1", "<f16", ">f2", "=f8", "f8",
                         "<m8[s]", values.dtype.str])
    shape = draw.choice([values.shape, (20, 12), (240,), (10, 3, 4), (21, 3, 4), (0, 3, 4), (), (2**40, 2**30), (-1, 12)])
    order = draw.choice([False, False, False, True])
    text = draw.choice(["{'descr': %r, 'fortran_order': %r, 'shape': %r, }", "{'shape': %r}", "{'descr': [('a', '<f8')], "
                        "'fortran_order': False, 'shape': (20,), }"])
    if text.count("%r") == 3:
        text %= (descr, order, shape)
    elif "%r" in text:
        text %= (shape,)
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\1\0" + struct.pack("<H", len(text) + 1) + text.encode() + b"\n" + values.tobytes())
    return text


def damage_npy(path, draw):
    how = draw.choice(["raw", "raw", "header", "header", "value", "archive", "gzip", "twice"])
    values = np.load(path)
    if how == "raw":
        return mutations.raw(path, draw)
    if how == "header":
        return npy_header(path, draw)
    if how == "value":
        if values.dtype.kind == "f":
            values.reshape(-1)[draw.randrange(values.size)] = draw.choice([np.nan, np.inf, -np.inf, 0])
        np.save(path, values)
    elif how == "archive":
        with open(path, "wb") as file:
            np.savez(file, values)
    elif how == "gzip":
        content = open(path, "rb").read()
        with open(path, "wb") as file:
            file.write(gzip.compress(content))
    else:
        with open(path, "ab") as file:
            np.save(file, values)
    return how


def read_npy(path):
    with open(path, "rb") as file:
        if b"-" in file.read(100):
            return None  # NumPy takes a negative size
        file.seek(0)
        values = np.lib.format.read_array(file, allow_pickle=False)
        if file.read(1) or (values.ndim > 1 and not values.flags.c_contiguous):
            return None
    return expected(values)


def write_csv(path, draw):
    numbers = np.random.default_rng(draw.randrange(2**32)).normal(size=(15, 3))
    sign = draw.choice([",", ";", "\t"])
    header = draw.choice(["", sign.join(["x", "y", "z"]) + "\n"])
    with open(path, "w") as file:
        file.write(header + "".join(sign.join(map(repr, map(float, row))) + "\n" for row in numbers))


CELLS = ["nan", "inf", "-inf", "1e999", "0x10", "1_000", "", " ", "1,5", "1;5", '"3"', "\"", "text", "1e5", "+2", "1.", "\u0661",
         "1 2", "NA", "1e-400", "--1"]


def damage_csv(path, draw):
    if draw.random() < 0.4:
        return mutations.raw(path, draw)
    with open(path) as file:
        lines = file.read().split("\n")
    at = draw.randrange(len(lines))
    how = draw.choice(["cell", "cell", "cell", "row", "line ends", "bom", "utf-16", "column less", "blank", "null"])
    if how == "cell":
        sign = next((sign for sign in ";,\t" if sign in lines[at]), ",")
        cells = lines[at].split(sign)
        cells[draw.randrange(len(cells))] = draw.choice(CELLS)
        lines[at] = sign.join(cells)
    elif how == "row":
        lines[at] = draw.choice(["1", "1,2,3,4", "a;b;c", "# comment"])
    elif how == "column less":
        lines[at] = lines[at][:len(lines[at]) // 2]
    elif how == "blank":
        lines.insert(at, "")
    elif how == "null":
        lines[at] += "\0"
    text = ("\r\n" if how == "line ends" else "\n").join(lines)
    with open(path, "wb") as file:
        file.write(("\ufeff" + text).encode() if how == "bom" else text.encode("utf-16" if how == "utf-16" else "utf-8"))
    return how


def number(cell):
    """Only what is a number from its first to its last character, ASCII and finite."""
    cell = cell.strip(" \t")
    value = float(cell)
    lost = value == 0 and re.search("[1-9]", cell.lower().split("e")[0])  # 1e-400, which no double holds
    if not cell.isascii() or "_" in cell or not np.isfinite(value) or lost:
        raise ValueError(cell)
    return value


def is_number(cell):
    try:
        float(cell)
        return cell.isascii() and "_" not in cell
    except ValueError:
        return False


def read_csv(path):
    with open(path, "rb") as file:
        text = file.read().decode("utf-8-sig")
    first = text.replace("\r", "\n").lstrip("\n \t").split("\n")[0]
    sign = ";" if ";" in first else "," if "," in first or "\t" not in first else "\t"
    if "\0" in text:
        return None
    rows = [row for row in csv.reader(io.StringIO(text), delimiter=sign, strict=True) if any(map(str.strip, row))]
    if any(len(row) != len(rows[0]) for row in rows):
        return None
    if not any(is_number(cell) for cell in rows[0]) and not all(re.match(r"[-+.,]*[0-9]", cell.strip()) for cell in rows[0]):
        rows = rows[1:]
    return expected(np.array([[number(cell) for cell in row] for row in rows]))


def write_idx(path, draw):
    with open(path, "wb") as file:
        file.write(struct.pack(">BBBBIII", 0, 0, 8, 3, 20, 3, 4) + bytes(draw.randrange(256) for _ in range(240)))


def read_idx(path):
    with open(path, "rb") as file:
        content = file.read()
    if content[:2] == b"\x1f\x8b":
        content = gzip.decompress(content)
    if content[:3] != b"\0\0\x08" or not 2 <= content[3] <= 4:
        return None
    shape = struct.unpack(">%dI" % content[3], content[4:4 + 4 * content[3]])
    return expected(np.frombuffer(content[4 + 4 * content[3]:], np.uint8).reshape(shape))


def write_cifar(path, draw):
    with open(path, "wb") as file:
        for _ in range(3):
            file.write(bytes([draw.randrange(10)]) + bytes(draw.randrange(256) for _ in range(3072)))


def read_cifar(path):
    records = np.frombuffer(open(path, "rb").read(), np.uint8).reshape(-1, 3073)
    if len(records) == 0 or records[:, 0].max() > 9:
        return None
    return expected(records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(int))


Format = collections.namedtuple("Format", "write damage read")
FORMATS = {"hdf5": Format(write_hdf5, damage_hdf5, read_hdf5), "npy": Format(write_npy, damage_npy, read_npy),
           "csv": Format(write_csv, damage_csv, read_csv), "idx": Format(write_idx, mutations.raw, read_idx),
           "cifar10": Format(write_cifar, mutations.raw, read_cifar)}


def right(reader, path):
    """What the file holds, read by others; None where they cannot, or where it has to be refused."""
    try:
        return reader(path)
    except Exception:
        return None


def complaint_about(said, path, truth):
    if isinstance(said, str):
        return said
    if "refused" not in said:
        return None if said == truth else "reads %s where others read %s" % (said, truth)
    sentence = said["refused"]
    if os.path.basename(path) not in sentence:
        return "does not name the file: " + sentence
    # What HDF5 gives as the cause stands in brackets at the end.
    if FOREIGN.search(re.sub(r" \([^()]*\)$", "", sentence)) or "\n" in sentence:
        return "not one sentence of Whence: " + sentence
    return "refuses what is right: " + sentence if truth is not None else None


def case(loader, place, name, number_of_case, seed):
    draw = random.Random("%d %s %d" % (seed, name, number_of_case))
    path = os.path.join(place, "%s%d.%s" % (name, number_of_case, {"hdf5": "h5"}.get(name, name)))
    chosen = FORMATS[name]
    chosen.write(path, draw)
    if number_of_case % 20 == 0:
        how = "undamaged"
    elif draw.random() < 0.03:
        how = mutations.no_file(path, draw)
    else:
        how = chosen.damage(path, draw)
    truth = None
    if os.path.isfile(path) and not os.path.islink(path):
        truth = right(chosen.read, path)
    if how == "undamaged" and truth is None:
        return Outcome(name, number_of_case, how, False, "the test itself cannot read it")
    said = loader.load(name + ":" + path)
    shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else \
        os.path.lexists(path) and os.remove(path)
    refused = isinstance(said, dict) and "refused" in said
    return Outcome(name, number_of_case, how, refused, complaint_about(said, path, truth))


def run(cases, seed, formats=tuple(FORMATS)):
    """All outcomes."""
    outcomes, loader = [], Loader()
    with tempfile.TemporaryDirectory(prefix="whence-data-") as place:
        for name in formats:
            outcomes += [case(loader, place, name, i, seed) for i in range(cases)]
    loader.close()
    return outcomes


def table(outcomes):
    lines = ["%-8s %6s %8s %8s %7s" % ("format", "files", "refused", "read", "broken")]
    for name in FORMATS:
        of_format = [outcome for outcome in outcomes if outcome.format == name]
        refused, broken = sum(o.refused for o in of_format), sum(o.complaint is not None for o in of_format)
        if of_format:
            lines.append("%-8s %6d %8d %8d %7d" % (name, len(of_format), refused, len(of_format) - refused, broken))
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1000, help="files of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=FORMATS)
    given = parser.parse_args()
    outcomes = run(given.cases, given.seed, (given.only,) if given.only else tuple(FORMATS))
    broken = [outcome for outcome in outcomes if outcome.complaint is not None]
    for outcome in broken:
        print(*outcome)
    print(table(outcomes))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
