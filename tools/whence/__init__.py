"""What belongs to Whence in Python: reports of its results (whence.report) and PyTorch checkpoints as runs
(whence.checkpoints)."""
import os

# HDF5 reads this once, when it is loaded. Whence's files are complete when they are there, and locks fail on many
# clusters' file systems.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
