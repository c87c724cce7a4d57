#!/usr/bin/env python3
"""Runs the benchmarks of a build folder and prints their table. The code is in whence/; --help says more."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from whence.starter import start  # noqa: E402

start("bench_table", script=True)
