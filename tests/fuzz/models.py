"""Damages files of exported models: a job that reads one ends with the right numbers or with one sentence that names the
file; never by a signal or without an end.

WHENCE=build/bin/whence python3 tests/fuzz/models.py --cases 400 [--seed N] [--workers 2]
prints the counts for each kind of damage and every broken rule; exit code 1 where there is one.
"""

import argparse
import collections
import concurrent.futures
import io
import os
import random
import re
import sys
import tempfile
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "jobs")]

import h5py
import numpy as np

import mutations
from artifacts import DIVERGED, fine, whence
from support import read_bytes, write_bytes

INSIDE = re.compile(r"Exception raised from|frame #|INTERNAL ASSERT|bad_alloc|terminate called|Segmentation|std::")
Outcome = collections.namedtuple("Outcome", "kind case how code complaint")


def records_of(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def archive_of(records):
    """With checksums that are right, whatever the records hold."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in records:
            archive.writestr(name, content)
    return out.getvalue()


def flipped(content, draw):
    changed = bytearray(content)
    at = draw.randrange(len(changed))
    changed[at] ^= draw.choice((1 << draw.randrange(8), 0xff))
    return bytes(changed), "byte %d" % at


def cut(content, draw):
    size = draw.choice((0, 1, draw.randrange(100), draw.randrange(len(content)), len(content) - draw.randrange(1, 200)))
    return content[:size], "to %d bytes" % size


def flip(content, draw):
    return flipped(content, draw)


def zeroed(content, draw):
    """A block that never reached the disk."""
    at = draw.randrange(len(content))
    size = min(draw.choice((16, 512, 4096)), len(content) - at)
    return content[:at] + bytes(size) + content[at + size:], "%d bytes from %d" % (size, at)


def exchanged(content, draw):
    """Contents of two records, their checksums left where they were."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        infos = [info for info in archive.infolist() if info.file_size]
    places = []
    for info in infos:
        at = info.header_offset + 26
        begin = at + 4 + sum(int.from_bytes(content[at + i:at + i + 2], "little") for i in (0, 2))
        places.append((begin, info.compress_size))
    one, two = draw.sample(range(len(places)), 2)
    size = min(places[one][1], places[two][1])
    changed = bytearray(content)
    for a, b in ((one, two), (two, one)):
        changed[places[a][0]:places[a][0] + size] = content[places[b][0]:places[b][0] + size]
    return bytes(changed), "%s and %s" % (infos[one].filename, infos[two].filename)


def of_records(change):
    def damage(content, draw):
        records = records_of(content)
        how = change(records, draw)
        return archive_of(records), how
    return damage


def swap_records(records, draw):
    one, two = draw.sample(range(len(records)), 2)
    (name, first), (other, second) = records[one], records[two]
    records[one], records[two] = (name, second), (other, first)
    return "%s and %s" % (name, other)


def flip_in_record(records, draw):
    number = draw.choice([i for i, (_, content) in enumerate(records) if content])
    content, how = flipped(records[number][1], draw)
    records[number] = (records[number][0], content)
    return "%s of %s" % (how, records[number][0])


def drop_record(records, draw):
    return records.pop(draw.randrange(len(records)))[0]


def cut_record(records, draw):
    number = draw.randrange(len(records))
    name, content = records[number]
    size = draw.randrange(len(content) + 1)
    records[number] = (name, content[:size])
    return "%s to %d bytes" % (name, size)


# Which of them leave checksums that say so: no number of such a file may differ.
RAW = {"cut": cut, "flip": flip, "zeroed": zeroed, "exchanged": exchanged}
KINDS = {**RAW, "swapped records": of_records(swap_records), "flip in a record": of_records(flip_in_record),
         "record left out": of_records(drop_record), "record cut": of_records(cut_record)}


class Fuzz:
    """`model`: a file of 2 numbers an instance and two players."""

    def __init__(self, place, seed, model):
        self.place, self.seed, self.model = place, seed, read_bytes(model)
        fine(*self.command(model, self.path("whole")))
        self.expected = self.params(self.path("whole"))

    def path(self, name):
        return os.path.join(self.place, name)

    @staticmethod
    def command(model, out):
        return ("train", "--game", "script:" + model, "--data", "normal2d", "--instances", "20", "--held-out", "5", "--batch", "10",
                "--epochs", "1", "--rates", "0.1", "--dtype", "float64", "--quiet", "--out", out)

    @staticmethod
    def params(run):
        with h5py.File(run + "/trajectory.h5") as file:
            return file["params"][()]

    def case(self, kind, number):
        draw = random.Random("%s %s %d" % (self.seed, kind, number))
        content, how = KINDS[kind](self.model, draw)
        folder = self.path("case-%s-%d" % (kind.replace(" ", "-"), number))
        os.makedirs(folder)
        try:
            model, run = folder + "/model.pt", folder + "/run"
            write_bytes(model, content)
            code, out, err = whence(*self.command(model, run))
            return Outcome(kind, number, how, code, self.complaint(kind, code, err.decode(errors="replace"), model, run))
        finally:
            mutations.clear(folder)

    def complaint(self, kind, code, err, model, run):
        """What is wrong with how it ended; None when nothing is."""
        if code is None:
            return "no end"
        if code not in (0, 1, 2):
            return "ended by signal or with code %d" % code
        if code == 0:
            other = not np.array_equal(self.params(run), self.expected)
            return "other numbers" if kind in RAW and other else None
        lines = err.splitlines()
        if len(lines) != 1 or not lines[0].startswith("whence train: "):
            return "%d sentences: %s" % (len(lines), err[:400])
        told = model in lines[0] or any(words in lines[0] for words in DIVERGED)  # right checksums, huge numbers
        if not told or INSIDE.search(lines[0]) or not lines[0].isprintable():
            return "a sentence that says little: " + lines[0][:400]
        return None


def table(outcomes):
    lines = ["%-18s %7s %9s %9s %7s" % ("damage", "cases", "refused", "harmless", "broken")]
    for name in [*KINDS, None]:
        of = [o for o in outcomes if name in (o.kind, None)]
        broken = sum(o.complaint is not None for o in of)
        refused = sum(o.complaint is None and o.code != 0 for o in of)
        lines.append("%-18s %7d %9d %9d %7d" % (name or "all", len(of), refused, len(of) - refused - broken, broken))
    return "\n".join(lines)


def main():
    from script_support import Fcgan, export
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one kind of damage")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="whence-fuzz-") as place:
        export(Fcgan(2, 4), place + "/model.pt", 2)
        fuzz = Fuzz(place, options.seed, place + "/model.pt")
        kinds = [options.only] if options.only else list(KINDS)
        cases = [(kind, number) for number in range(-(-options.cases // len(kinds))) for kind in kinds]
        with concurrent.futures.ThreadPoolExecutor(options.workers) as pool:
            outcomes = list(pool.map(lambda case: fuzz.case(*case), cases))
    for one in outcomes:
        if one.complaint is not None:
            print("%s, case %d (%s), code %s: %s" % one)
    print(table(outcomes))
    sys.exit(any(one.complaint is not None for one in outcomes))


if __name__ == "__main__":
    main()
