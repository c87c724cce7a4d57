#!/usr/bin/env python3
"""Packs a folder of pictures into an HDF5 file. The code is in whence/; --help says more."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from whence.starter import start  # noqa: E402

start("pack", script=True)
