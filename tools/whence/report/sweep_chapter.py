"""sweep.csv as a table."""
import csv
import types

from .page import table


def of_grid(run):
    with open(run.path("sweep.csv"), newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    return table([[shown(cell) for cell in line] for line in lines[1:]], lines[0])


def shown(cell):
    try:
        return f"{float(cell):.4g}"
    except ValueError:
        return cell or "-"


CHAPTER = types.SimpleNamespace(TITLE="Sweep", FILES=("sweep.csv",), SECTIONS=[("", of_grid)])
