"""What belongs to Whence in Python: run folders (whence.open), reports of them (whence.report), PyTorch checkpoints as runs
(whence.checkpoints), and PyTorch models as games (whence.Game, whence.Terms, whence.uniform, whence.export)."""
import os

# HDF5 reads this once, when it is loaded. Whence's files are complete when they are there, and locks fail on many
# clusters' file systems.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

_OF_MODELS = ("Game", "Terms", "uniform", "export", "CannotExport")


def open(folder):  # noqa: A001: whence.open is how it is called
    """A run folder, to look into: see whence.runs.Run, which says what it can tell."""
    from .runs import open_run
    return open_run(folder)


def __getattr__(name):
    """Reports need no PyTorch, so it is loaded only when a model is spoken of."""
    if name == "Missing":
        from .results import Missing
        return Missing
    if name not in _OF_MODELS:
        raise AttributeError("module 'whence' has no attribute '%s'" % name)
    from . import models
    return getattr(models, name)
