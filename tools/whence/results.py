"""Reading what jobs left in run folders: which files there are, opened and checked, and what is missing."""
import fnmatch
import json
import os

import h5py

RESULTS = {  # names of files, or a pattern, and the job that makes them
    "trajectory.h5": "whence train",
    "history.h5": "whence train",
    "influence.h5": "whence influence",
    "counterfactual.h5": "whence counterfactual",
    "validation.json": "whence validate",
    "cleansing.h5": "whence cleanse",
    "cleansing.json": "whence cleanse-table",
    "density.h5": "whence density",
    "tracin*.h5": "whence tracin",
}


class Missing(Exception):
    """What a figure would need and the folder does not hold."""


class Attempts:
    """Calls what makes a table or a figure, and keeps in `missing` the name and the reason of each that could not be
    made: a damaged file costs what is made of it, and nothing else."""

    def __init__(self):
        self.missing = []

    def __call__(self, name, make, *arguments):
        try:
            return make(*arguments)
        except Missing as reason:
            self.missing.append((name, str(reason)))
        except Exception as error:  # whatever HDF5, NumPy and SciPy say of a damaged file
            self.missing.append((name, f"{type(error).__name__}: {error}"))
        return None


class Run:
    """A run folder with its files open as they are asked for."""

    def __init__(self, folder):
        self.folder = folder
        self.attempts = Attempts()
        self._open = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def has(self, name):
        return os.path.isfile(self.path(name))

    def matching(self, pattern):
        """Names of the files that a pattern of RESULTS stands for."""
        return sorted(name for name in os.listdir(self.folder) if fnmatch.fnmatchcase(name, pattern) and self.has(name))

    def file(self, name, schema):
        """The HDF5 file; Missing when it is not there, or is not what its name says."""
        if not self.has(name):
            raise Missing(f"{name} is not there; {maker_of(name)} makes it")
        if name not in self._open:
            try:
                self._open[name] = h5py.File(self.path(name), "r")
            except OSError as error:
                raise Missing(f"{name} cannot be read ({error})") from error
        if text(self._open[name], "schema") != schema:
            raise Missing(f"{name} is not a file of the schema {schema}")
        return self._open[name]

    def json(self, name):
        """A JSON file's content; Missing when it is not there, or is none."""
        if not self.has(name):
            raise Missing(f"{name} is not there; {maker_of(name)} makes it")
        try:
            with open(self.path(name), encoding="utf-8") as file:
                return json.load(file)
        except ValueError as error:
            raise Missing(f"{name} cannot be read ({error})") from error


def maker_of(name):
    """The job that makes a file of this name."""
    return next((job for pattern, job in RESULTS.items() if fnmatch.fnmatchcase(name, pattern)), "a job of Whence")


def text(file, attribute):
    value = file.attrs.get(attribute, b"")
    return value.decode() if isinstance(value, bytes) else str(value)


def needed(file, name, why):
    """The array, whole; Missing with the reason when the file has none."""
    if name not in file:
        raise Missing(f"{os.path.basename(file.filename)} has no {name}: {why}")
    return file[name][...]


def settings(lines):
    """The options in an attribute of text, by name."""
    return dict(line.split(" = ", 1) for line in lines.splitlines() if " = " in line)
