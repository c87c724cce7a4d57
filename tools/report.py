#!/usr/bin/env python3
"""Draws what run folders hold as one HTML page. The code is in whence/; --help says more."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from whence.starter import start  # noqa: E402

start("report", script=True)
