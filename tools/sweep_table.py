#!/usr/bin/env python3
"""Lists the runs of a sweep's grid, or makes the table of the runs. The code is in whence/; --help says more."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from whence.starter import start  # noqa: E402

start("sweep_table", script=True)
