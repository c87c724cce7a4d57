"""A parameter sweep as one table, with the grid's columns.

  sweep_table.py GRID.csv --list             the runs of a grid, one a line: NAME <tab> OPTION <tab> VALUE ...
  sweep_table.py OUT --elements FILE         the table of the runs below OUT in such a list, also as OUT/sweep.csv

A row is a run, or, where `whence validate` has been there, a run's metric, k and kink width."""
import argparse
import csv
import json
import os
import re
import sys

COST = ("state", "seconds", "steps_per_second")  # the last columns
MEASURES = ("kendall_tau", "jaccard", "jaccard_chance", "tied_at_edge", "spearman", "pearson")


class Refused(Exception):
    """What is wrong with a grid, in one sentence."""


def read_grid(path):
    """Column names and rows of text; Refused when it is not a rectangle of options and values."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Refused(f"cannot be read ({error})") from error
    lines = [line for line in lines if any(line)]
    if len(lines) < 2:
        raise Refused("needs a line of option names and at least one line of values")
    names = [name.removeprefix("--") for name in lines[0]]
    for name in names:
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name):
            raise Refused(f"'{name}' in its first line is not the name of an option")
        if names.count(name) > 1:
            raise Refused(f"has the column {name} twice")
    if "out" in names:
        raise Refused("has a column out, but the sweep chooses the run folders")
    for number, line in enumerate(lines[1:], 2):
        if len(line) != len(names):
            raise Refused(f"has {len(line)} values in line {number} for {len(names)} columns (quote values with commas)")
        for name, value in zip(names, line):
            if not value or re.search(r"[\t\n]", value):
                raise Refused(f"has no proper value for {name} in line {number}")
    return names, lines[1:]


def folder_name(names, values):
    """E.g. rate-generator=1e-3_batch=50: what may not stand in a file name becomes a dash."""
    return "_".join(f"{name}={re.sub(r'[^A-Za-z0-9.+-]', '-', value)}" for name, value in zip(names, values))


def elements_of(path):
    names, rows = read_grid(path)
    found = []
    for number, row in enumerate(rows, 1):
        folder = folder_name(names, row)
        if folder in (element[0] for element in found):
            raise Refused(f"has two runs that are called {folder}")
        if len(folder) > 200:
            raise Refused(f"has too many or too long parameters for a folder name (run {number})")
        found.append([folder] + [text for name, value in zip(names, row) for text in ("--" + name, value)])
    return found


def read_json(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def rows_of(folder):
    """Rows of one run: from its validation, or one of its training, or one that says that there is none."""
    training = read_json(os.path.join(folder, "summary.json")).get("train", {})
    state = "trained" if os.path.exists(os.path.join(folder, "trajectory.h5")) else "missing"
    row = {"state": state, "seconds": training.get("seconds"), "steps_per_second": training.get("steps_per_second")}
    validated = read_json(os.path.join(folder, "validation.json")).get("rows", [])
    if state == "missing" or not validated:
        return [row]
    return [{"metric": one["metric"], "k": one["epochs_back"], "kink": one["kink_width"],
             **{name: one.get(name) for name in MEASURES}, **row, "state": "validated"} for one in validated]


def sweep(out, elements):
    with open(elements, encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file if line.strip()]
    table = []
    for name, *options in lines:
        parameters = {option[2:]: value for option, value in zip(options[::2], options[1::2])}
        table += [{**parameters, **row} for row in rows_of(os.path.join(out, name))]
    columns = list(dict.fromkeys(column for row in table for column in row))
    return sorted(columns, key=COST.__contains__), table


def cell(value):
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def show(columns, table):
    lines = [columns] + [[cell(row.get(column)) for column in columns] for row in table]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("place", metavar="GRID.csv|OUT")
    parser.add_argument("--list", action="store_true", help="only list the grid's runs")
    parser.add_argument("--elements", help="list of a sweep's runs")
    arguments = parser.parse_args()
    if arguments.list:
        try:
            for element in elements_of(arguments.place):
                print("\t".join(element))
        except Refused as reason:
            sys.exit(f"sweep: {arguments.place}: {reason}")
        return
    if not arguments.elements:
        parser.error("--elements says which runs")
    columns, table = sweep(arguments.place, arguments.elements)
    temporary = os.path.join(arguments.place, "sweep.csv.new")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(table)
    os.replace(temporary, os.path.join(arguments.place, "sweep.csv"))
    show(columns, table)
