#!/usr/bin/env python3
"""Shows a validated run folder as a table and a picture. The code is in whence/; --help says more."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from whence.starter import start  # noqa: E402

start("show_validation", script=True)
