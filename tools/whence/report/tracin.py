"""Tables, figures and image pages of VAE-TracIn (Kong and Chaudhuri, NeurIPS 2021) from tracin*.h5 files.

    tools/tracin.py RUN [RUN ...] [-o tracin.html] [--json numbers.json]
    tools/tracin.py RUN --highest 64 > ids.txt      # ids of the highest self-influences, one a line

Which tables there are follows from what the files hold: self-influence, test or training queries, mixtures, scores
weighted by visits, planted instances, instances left out, influence.h5 and counterfactual.h5 beside them. A file is named
by its folder, with as many parts of the path as tell it from the others.
"""
import argparse
import html
import json
import math
import os
import sys

import numpy as np

from ..results import Attempts
from . import tracin_figures as figures
from . import tracin_together as together
from .page import table
from .template import whole_page
from .tracin_scores import PATTERN, files_of, names_of
from .tracin_tables import PER_FILE


class Findings:
    """What the folders hold of TracIn: files, tables by file, tables over files."""

    def __init__(self, folders, attempts):
        self.attempts = attempts
        self.files = files_of(folders, attempts)
        self.steps = {scores.name: attempts(scores.name + ": steps", scores.__getitem__, "step") for scores in self.files}
        self.by_file = {scores.name: self.tables_of(scores) for scores in self.files}
        self.groups = together.repeats_of(self.files, attempts)
        self.detection = together.detection(self.groups)
        self.removal = together.removal(self.files, attempts)
        self.samples_needed = together.samples_needed(self.files, attempts)
        self.judged = {name: rows for name, folder in names_of(folders).items() if (rows := self.judged_in(name, folder))}

    def tables_of(self, scores):
        made = {name: self.attempts(f"{scores.name}: {name}", make, scores) for name, make in PER_FILE.items()}
        return {name: row for name, row in made.items() if row is not None}

    def judged_in(self, name, folder):
        candidates = [scores for scores in self.files if scores.folder == folder]
        return self.attempts(name + ": judged_by_retraining", together.judged, folder, candidates, self.attempts)


def numbers(found):
    """Every table as one dictionary, and what is missing."""
    result = {}
    for scores in found.files:
        steps = found.steps[scores.name]
        result[scores.name] = {"steps": None if steps is None else steps.tolist(), "options": scores.options,
                               "run": scores.run, **found.by_file[scores.name]}
    over_files = {"detection": found.detection, "removal": found.removal, "samples_needed": found.samples_needed,
                  "judged_by_retraining": found.judged, "missing": found.attempts.missing}
    return finite({**result, **{name: rows for name, rows in over_files.items() if rows}})


def finite(value):
    """The same with None for numbers that are none, which JSON does not know."""
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def shown(value):
    if value is None:
        return "-"
    if isinstance(value, float):
        return "%.4g" % value
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if isinstance(value, dict):
        return "; ".join("%s %s" % (key, shown(inner)) for key, inner in value.items())
    return str(value)


def table_of(rows):
    return table([[shown(value) for value in finite(row).values()] for row in rows], list(rows[0]))


def section(title, *parts):
    return "<section><h3>TracIn: %s</h3>%s</section>" % (html.escape(title), "".join(part or "" for part in parts))


def file_section(found, scores):
    attempts, tables, steps = found.attempts, found.by_file[scores.name], found.steps[scores.name]
    checkpoints = "" if steps is None else "%d checkpoints up to step %d, " % (len(steps), steps[-1])
    about = "queries %s, m %s, %sloss %s, weights %s" % (
        scores.options["queries"], scores.options["samples"], checkpoints, scores.options["loss"], scores.options["weights"])
    by_loss = "self_against_loss" in tables
    return section(
        scores.name, "<p>%s</p>" % html.escape(about),
        *(table_of([{"table": name, **row}]) for name, row in tables.items()),
        attempts(scores.name + ": images", figures.images, scores),
        attempts(scores.name + ": self-influence by loss", figures.self_influence_by_loss, scores) if by_loss else "")


def sections(found):
    """HTML sections of everything found; none where nothing is."""
    attempts = found.attempts
    parts = [file_section(found, scores) for scores in found.files]
    if found.groups:
        parts.append(section("detection of planted instances", table_of(found.detection),
                             attempts("detection curves", figures.detection_curves, found.groups),
                             attempts("distributions of self-influences", figures.distributions, found.groups)))
    if found.removal:
        parts.append(section("test loss after leaving instances out", table_of(found.removal)))
    if found.samples_needed:
        parts.append(section("error against the number of samples", table_of(found.samples_needed),
                             attempts("error by samples", figures.error_by_samples, found.samples_needed)))
    parts += [section("judged by retraining: " + name, table_of(rows)) for name, rows in found.judged.items()]
    return parts


# As a chapter of tools/report.py, which gives each section a run with a folder.
TITLE = "VAE-TracIn"
FILES = (PATTERN,)
SECTIONS = [("", lambda run: "".join(sections(Findings([run.folder], run.attempts))))]


def refuse(sentence):
    print("tracin: " + sentence, file=sys.stderr)
    sys.exit(2)


def tell(missing):
    for name, reason in missing:
        print(f"tracin: no {name}: {reason}", file=sys.stderr)


def highest(folders, count):
    """Ids of the highest self-influences, the highest first."""
    if len(folders) != 1:
        refuse("--highest takes exactly one RUN, not %d" % len(folders))
    attempts = Attempts()
    having = [scores for scores in files_of(folders, attempts) if "self_influence" in scores]
    tell(attempts.missing)
    if len(having) != 1:
        refuse("%s holds %d files of self-influences, not one" % (folders[0], len(having)))
    values = having[0]["self_influence"]
    if not 1 <= count <= len(values):
        refuse("--highest %d is not from 1 to %d, the number of instances in %s" % (count, len(values), having[0].name))
    return having[0]["instance_id"][np.argsort(-values, kind="stable")[:count]].tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder")
    parser.add_argument("-o", "--out", help="HTML page to write")
    parser.add_argument("--json", help="file for all numbers")
    parser.add_argument("--highest", type=int, metavar="N", help="print the ids of the N highest self-influences, and stop")
    arguments = parser.parse_args()
    for folder in arguments.runs:
        if not os.path.isdir(folder):
            refuse(folder + ": no such folder")
    if arguments.highest is not None:
        print("\n".join(map(str, highest(arguments.runs, arguments.highest))))
        return
    found = Findings(arguments.runs, Attempts())
    report(found, arguments)
    tell(found.attempts.missing)
    if not found.files:
        sys.exit("tracin: no %s in %s" % (PATTERN, ", ".join(arguments.runs)))


def report(found, arguments):
    """Writes what was asked for; prints the numbers where nothing was."""
    if not found.files:
        return
    result = numbers(found)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(result, file, indent=1, allow_nan=False)
            file.write("\n")
    if arguments.out:
        parts = sections(found)
        if found.attempts.missing:
            parts.append(section("missing", table(found.attempts.missing)))
        with open(arguments.out, "w", encoding="utf-8", errors="xmlcharrefreplace") as file:
            file.write(whole_page("TracIn of " + ", ".join(arguments.runs), "".join(parts)))
    if not arguments.json and not arguments.out:
        short = {name: {k: v for k, v in value.items() if k not in ("options", "run")} if isinstance(value, dict) else value
                 for name, value in result.items()}
        print(json.dumps(short, indent=1, allow_nan=False))
