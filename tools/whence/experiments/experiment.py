"""What an experiment is made of."""
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Expected:
    """A figure's value, and how far another machine's may lie from it."""
    value: float
    within: float


@dataclass(frozen=True)
class Figure:
    """A number of a result: `place` leads to it through the file's objects. In a list the next element of `place` is a
    dictionary, which picks the element with those values."""
    what: str
    file: str
    place: tuple
    full: Expected = None
    small: Expected = None
    paper: float = None


@dataclass(frozen=True)
class Size:
    """How large an experiment is run: values for the words in braces of its commands, and what it takes on two cores."""
    seeds: int
    cost: str
    values: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """Commands of the program (or of tools/, where they begin with one of its scripts), run one after another: `before`
    once, `each` for every seed, `end` once. In braces: out (the folder), run (OUT/seedN), seed, runs (--run of every
    seed), folders (the same without --run), data folders as given (mnist, cifar10, kmnist), and the size's values."""
    name: str
    shows: str
    full: Size
    small: Size
    each: tuple
    figures: tuple
    before: tuple = ()
    end: tuple = ()

    def size(self, small):
        return self.small if small else self.full

    def needs(self):
        """The data that its commands name."""
        text = " ".join(self.before + self.each + self.end)
        return [name for name in ("mnist", "cifar10", "kmnist") if "{%s}" % name in text]
