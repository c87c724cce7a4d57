#!/usr/bin/env python3
"""Writes an HDF5 file of random images, to measure what large data cost: images_file.py FILE NUMBER [SIDE].

X [NUMBER, 3, SIDE, SIDE] unsigned bytes, contiguous, and labels [NUMBER], 0 to 9. Each class has a mean image of its own,
so that there is something to learn. The same bytes for the same NUMBER and SIDE; 1,000,000 of side 32 take 3.07 GB.
"""
import sys

import h5py
import numpy

AT_ONCE = 20_000


def main():
    path, number, side = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 32
    random = numpy.random.default_rng(1)
    means = random.integers(64, 192, size=(10, 3, side, side), dtype=numpy.uint8)
    with h5py.File(path, "w") as file:
        images = file.create_dataset("X", (number, 3, side, side), "u1")
        labels = random.integers(0, 10, size=number)
        file["labels"] = labels
        for begin in range(0, number, AT_ONCE):
            of = labels[begin:begin + AT_ONCE]
            noise = random.integers(-64, 64, size=(len(of), 3, side, side), dtype=numpy.int16)
            images[begin:begin + len(of)] = (means[of] + noise).astype(numpy.uint8)


if __name__ == "__main__":
    main()
