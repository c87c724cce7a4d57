"""The tracin*.h5 files of run folders: which there are, what each is called, and what it holds."""
import os

import h5py

from ..results import Missing, Run, settings, text

PATTERN = "tracin*.h5"
FIRST_PLANTED = 10 ** 9
MATTERS_NOT = ("memory", "list")  # options that change how the scores are made or listed, not what they are


class Scores:
    """One tracin*.h5; arrays are read when they are used."""

    def __init__(self, folder, file, name):
        self.folder, self.name = folder, name
        self.file = h5py.File(os.path.join(folder, file), "r")
        if text(self.file, "schema") != "whence.tracin":
            raise Missing("it is not a file of the schema whence.tracin")
        self.options = settings(text(self.file, "settings"))
        self.queries = self.options["queries"].split(":")[0]
        self.run = settings(text(self.file, "run_settings"))
        self.fingerprint = text(self.file, "run")
        self.shape = [int(n) for n in text(self.file, "shape").split(",")]

    def __contains__(self, name):
        return name in self.file

    def __getitem__(self, name):
        return self.file[name][...]

    def planted(self):
        """Which instances are planted ones."""
        return self["instance_id"] >= FIRST_PLANTED

    def options_but(self, *others):
        """The options as a key of groups, without these and those that change no score."""
        return tuple(sorted((k, v) for k, v in self.options.items() if k not in MATTERS_NOT + others))


def names_of(folders):
    """{name: folder}, every folder once: the name is the shortest end of its path that no other folder ends in."""
    once = {}
    for folder in folders:
        once.setdefault(os.path.realpath(folder), folder)
    parts = [os.path.abspath(folder).split(os.sep) for folder in once.values()]

    def shortest(mine):
        alone = (n for n in range(1, len(mine)) if sum(other[-n:] == mine[-n:] for other in parts) == 1)
        return os.sep.join(mine[-next(alone, len(mine)):])

    return dict(zip(map(shortest, parts), once.values()))


def files_of(folders, attempts):
    """The folders' files that can be read; `attempts` keeps the names of the others."""
    found = []
    for name, folder in names_of(folders).items():
        files = Run(folder).matching(PATTERN)
        if not files:
            attempts.missing.append((f"{name}/{PATTERN}", "there is none"))
        for file in files:
            found.append(attempts(f"{name}/{file}", Scores, folder, file, f"{name}/{file}"))
    return [scores for scores in found if scores]
