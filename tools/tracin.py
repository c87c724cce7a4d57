#!/usr/bin/env python3
"""Tables, figures and image pages of VAE-TracIn from tracin*.h5 files. The code is in whence/; --help says more."""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from whence.starter import start  # noqa: E402

start("tracin", script=True)
