"""Packs a folder of pictures into an HDF5 file for `whence train --data hdf5:FILE`.

    python3 -m whence.pack FOLDER --size 64 -o data.h5
    python3 -m whence.pack --digits -o digits.h5

X holds the pictures, unsigned bytes [N, 3, SIZE, SIZE] ([N, SIZE, SIZE] with --grey), in the order of their paths. Where
they lie in subfolders, these are the labels, numbered in the order of their names: `labels` [N], and the names in
`label_names`. `names` holds each picture's path. Pictures that are not square are cut to the square in their middle.
Files that are no pictures are passed over, and the last lines say which and why.

--digits packs the 1,797 handwritten digits of 8 x 8 pixels and 17 levels that scikit-learn comes with (E. Alpaydin and
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI 1998): real images without a network.
"""
import argparse
import contextlib
import os
import sys
import time

import h5py
import numpy as np

from .pictures import PackFailure, files_below, labels_of, pixels, reason

SHOWN = 20  # passed-over files that are named
AT_ONCE = 256  # pictures a write


class Progress:
    """A line on a terminal that is written over, and a few lines in a log."""

    def __init__(self, total, quiet):
        self.total, self.quiet, self.live, self.next = total, quiet, sys.stderr.isatty(), time.monotonic() + 1

    def at(self, done):
        if self.quiet or time.monotonic() < self.next:
            return
        self.next = time.monotonic() + (0.5 if self.live else 30)
        sys.stderr.write(("\r" if self.live else "") + "pack: %d of %d files" % (done, self.total) + ("" if self.live else "\n"))
        sys.stderr.flush()

    def end(self):
        if self.live and not self.quiet:
            sys.stderr.write("\r\x1b[K")


def texts(file, name, values):
    """Paths may hold bytes that are no UTF-8; they are kept as they are."""
    kept = [value.encode("utf-8", "surrogateescape") for value in values]
    file.create_dataset(name, data=np.array(kept, dtype=object), dtype=h5py.string_dtype())


@contextlib.contextmanager
def new_file(path, overwrite):
    """An HDF5 file that gets its name only once it is whole."""
    if os.path.lexists(path) and not overwrite:
        raise PackFailure("%s: exists already; --overwrite replaces it" % path)
    part = path + ".part"
    try:
        with h5py.File(part, "w") as file:
            yield file
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(part)
        raise


def write(path, overwrite, images, labels, label_names, names):
    """All at once; for what fits into memory."""
    with new_file(path, overwrite) as file:
        file["X"] = images
        file["labels"] = np.asarray(labels, dtype=np.int64)
        texts(file, "label_names", label_names)
        texts(file, "names", names)


def pack_digits(options):
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise PackFailure("--digits: needs the Python package scikit-learn (Debian: python3-sklearn): %s" % reason(error)) from None
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    write(options.output, options.overwrite, images, digits.target, [str(n) for n in range(10)],
          ["digit %d" % n for n in range(len(images))])
    print("%s: 1797 images [8, 8], 10 labels" % options.output)


def pack_folder(options):
    if not os.path.isdir(options.folder):
        raise PackFailure("%s: no such folder" % options.folder)
    names = list(files_below(options.folder))
    if not names:
        raise PackFailure("%s: holds no picture" % options.folder)
    labels, label_names = labels_of(names, options.labels)
    shape = (options.size, options.size) if options.grey else (3, options.size, options.size)
    kept, skipped, waiting = [], [], []
    progress = Progress(len(names), options.quiet)
    with new_file(options.output, options.overwrite) as file:
        images = file.create_dataset("X", (0, *shape), np.uint8, maxshape=(len(names), *shape),
                                     chunks=(max(1, min(AT_ONCE, len(names), 2 ** 22 // int(np.prod(shape)))), *shape))

        def put():
            images.resize(len(images) + len(waiting), axis=0)
            images[len(images) - len(waiting):] = np.stack(waiting)
            waiting.clear()

        for number, name in enumerate(names):
            progress.at(number)
            try:
                waiting.append(pixels(os.path.join(options.folder, name), options.size, options.grey))
                kept.append(number)
            except Exception as error:  # Pillow has no common class for what damaged pictures raise
                skipped.append((name, reason(error)))
            if len(waiting) == AT_ONCE:
                put()
        progress.end()
        if not kept:
            raise PackFailure("%s: holds no picture that can be read; %s: %s" % (options.folder, *skipped[0]))
        if waiting:
            put()
        if labels is not None:
            file["labels"] = np.array([labels[number] for number in kept], dtype=np.int64)
            texts(file, "label_names", label_names)
        texts(file, "names", [names[number] for number in kept])
    say(options, kept, skipped, labels, label_names, shape)


def say(options, kept, skipped, labels, label_names, shape):
    print("%s: %d images [%s], %s" % (options.output, len(kept), ", ".join(map(str, shape)),
                                      "no labels" if labels is None else "%d labels" % len(label_names)))
    if labels is not None:
        of_kept = [labels[number] for number in kept]
        for label, name in enumerate(label_names[:SHOWN]):
            print("  label %d: %s, %d images" % (label, name, of_kept.count(label)))
    if skipped:
        print("passed over: %d" % len(skipped))
        for name, why in skipped[:SHOWN]:
            print("  %s: %s" % (name, why))
        if len(skipped) > SHOWN:
            print("  ... and %d more" % (len(skipped) - SHOWN))


def main():
    parser = argparse.ArgumentParser(usage="%(prog)s FOLDER --size PIXELS -o FILE [options]\n       %(prog)s --digits -o FILE",
                                     description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="folder of pictures")
    parser.add_argument("--digits", action="store_true", help="scikit-learn's digits instead of a folder")
    parser.add_argument("--size", type=int, help="pixels a side")
    parser.add_argument("--grey", action="store_true", help="one channel instead of three")
    parser.add_argument("--no-labels", dest="labels", action="store_false", help="subfolders are no labels")
    parser.add_argument("--overwrite", action="store_true", help="replace a file that is there")
    parser.add_argument("--quiet", action="store_true", help="no progress on standard error")
    parser.add_argument("-o", "--output", required=True, metavar="FILE", help="HDF5 file to make")
    options = parser.parse_args()
    try:
        if options.digits == (options.folder is not None):
            raise PackFailure("give a FOLDER or --digits")
        if options.digits and (options.size or options.grey):
            raise PackFailure("--size and --grey: the digits have 8 x 8 pixels of one channel")
        if not options.digits and not 1 <= (options.size or 0) <= 4096:
            raise PackFailure("--size: pixels a side are needed, from 1 to 4096")
        pack_digits(options) if options.digits else pack_folder(options)
    except PackFailure as failure:
        sys.exit("pack: %s" % failure)
    except (OSError, MemoryError) as error:
        sys.exit("pack: %s: %s" % (getattr(error, "filename", None) or options.output, reason(error)))
