"""python3 -m whence PROGRAM ARGUMENTS..."""
import sys

from .starter import PROGRAMS, start

if len(sys.argv) < 2 or sys.argv[1] not in PROGRAMS:
    sys.exit("usage: python3 -m whence PROGRAM ARGUMENTS..., with PROGRAM one of " + ", ".join(PROGRAMS))
start(sys.argv.pop(1))
