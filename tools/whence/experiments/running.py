"""Runs an experiment of the papers and puts what it finds beside what is expected.

    tools/reproduce --list
    tools/reproduce figure1-2d [--small] [--out FOLDER]
    tools/reproduce figure1-mnist --mnist DIR

Jobs that are done are not done again, and interrupted ones go on: call it again. Exit status 1 where a figure is not as
expected. On a cluster, slurm/*.sh run the same jobs as arrays."""
import argparse
import json
import os
import shlex
import subprocess
import sys
import time

from .catalogue import CATALOGUE

TOOLS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ALONE = ("validate", "cleanse-table")  # jobs that read a few small files
# Open MPI 4 and 5, each by its variables, start as root and more ranks than cores; MPICH does anyway.
STARTING = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
            "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}


def refuse(sentence):
    sys.exit("reproduce: " + sentence)


def program():
    """$WHENCE, that of the build beside tools/, or that of an installation."""
    beside = [os.path.join(TOOLS, *place) for place in (("..", "build", "bin", "whence"), ("..", "..", "..", "bin", "whence"))]
    for path in ([os.environ["WHENCE"]] if os.environ.get("WHENCE") else beside):
        if os.access(path, os.X_OK):
            return os.path.abspath(path)
    refuse("no program %s; build it (tools/build), or say where it is by the variable WHENCE" % os.path.abspath(path))


def listed():
    lines = []
    for one in CATALOGUE:
        lines.append("%-17s %s" % (one.name, one.shows))
        data = " ".join("--" + name for name in one.needs())
        lines.append("%-17s seeds: %d; two cores: %s; --small: %s%s" % (
            "", one.full.seeds, one.full.cost, one.small.cost, "; needs " + data if data else ""))
        for figure in one.figures:
            if figure.full:
                paper = "" if figure.paper is None else ", the paper %g" % figure.paper
                lines.append("%-19s %s: %g +- %g%s" % ("", figure.what, figure.full.value, figure.full.within, paper))
    return "\n".join(lines)


def commands_of(experiment, small, out, data):
    """The experiment's lines, filled in."""
    size = experiment.size(small)
    runs = [os.path.join(out, "seed%d" % seed) for seed in range(size.seeds)]
    quoted = {name: shlex.quote(path) for name, path in data.items()}
    shared = {**size.values, **quoted, "out": shlex.quote(out), "folders": " ".join(map(shlex.quote, runs)),
              "runs": " ".join("--run " + shlex.quote(run) for run in runs)}

    def filled(template, **more):  # a size's values may have words in braces, too
        return template.format(**{**shared, **more}).format(**{**shared, **more})
    lines = [filled(line) for line in experiment.before]
    for seed, run in enumerate(runs):
        lines += [filled(line, seed=seed, run=shlex.quote(run)) for line in experiment.each]
    return lines + [filled(line) for line in experiment.end]


def call(line, ranks):
    words = shlex.split(line)
    if words[0].endswith(".py"):
        command = [sys.executable, os.path.join(TOOLS, words[0])] + words[1:]
    elif words[0] in ALONE or ranks == 1:
        command = [program()] + words
    else:
        command = ["mpirun", "-n", str(ranks), program()] + words
    print("+ " + " ".join(map(shlex.quote, words)), flush=True)
    done = subprocess.run(command, env={**STARTING, **os.environ}, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        refuse("this command ended with status %d; called again, reproduce goes on here" % done.returncode)


def found_at(content, place):
    """The number at a place of Figure; None where there is none."""
    for step in place:
        if isinstance(step, dict):
            content = next((row for row in content or () if all(row.get(name) == value for name, value in step.items())), None)
        else:
            content = (content or {}).get(step)
    return content


def compare(experiment, small, out):
    """[{what, found, expected, within, paper, as_expected}] of all figures."""
    contents, rows = {}, []
    for figure in experiment.figures:
        if figure.file not in contents:
            with open(os.path.join(out, figure.file), encoding="utf-8") as file:
                contents[figure.file] = json.load(file)
        expected = figure.small if small else figure.full
        found = found_at(contents[figure.file], figure.place)
        if expected is None:
            continue
        rows.append({"what": figure.what, "found": found, "expected": expected.value, "within": expected.within,
                     "paper": None if small else figure.paper,
                     "as_expected": found is not None and abs(found - expected.value) <= expected.within})
    return rows


def table(rows):
    lines = ["%-76s %9s %9s %7s %7s" % ("", "found", "expected", "+-", "paper")]
    for row in rows:
        numbers = tuple("-" if row[name] is None else "%.4g" % row[name] for name in ("found", "expected", "within", "paper"))
        lines.append("%-76s %9s %9s %7s %7s%s" % ((row["what"],) + numbers + ("" if row["as_expected"] else "  differs",)))
    return "\n".join(lines)


def arguments_of(arguments):
    parser = argparse.ArgumentParser(prog="reproduce", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", nargs="?", metavar="NAME", help="one of --list")
    parser.add_argument("--list", action="store_true", help="what there is, what it costs and what is expected; and stop")
    parser.add_argument("--small", action="store_true", help="seconds or minutes instead of hours: whether it works")
    parser.add_argument("--out", help="folder of the runs; default: runs/NAME, with --small runs/NAME-small")
    parser.add_argument("--ranks", type=int, default=2, help="of MPI (default 2)")
    parser.add_argument("--mnist", metavar="DIR", help="folder with MNIST's four files")
    parser.add_argument("--cifar10", metavar="FILE", help="CIFAR-10 records")
    parser.add_argument("--kmnist", metavar="FILE", help="KMNIST's images")
    parser.add_argument("--dry-run", action="store_true", help="print the commands, and stop")
    return parser.parse_args(arguments)


def main():
    chosen = arguments_of(sys.argv[1:])
    if chosen.list:
        return print(listed())
    experiment = next((one for one in CATALOGUE if one.name == chosen.experiment), None)
    if experiment is None:
        refuse("'%s' is none of %s" % (chosen.experiment or "", ", ".join(one.name for one in CATALOGUE)))
    if chosen.ranks < 1:
        refuse("--ranks %d is not a number from 1 on" % chosen.ranks)
    data = {name: getattr(chosen, name) for name in experiment.needs()}
    for name, path in data.items():
        if path is None or not os.path.exists(path):
            refuse("--%s: %s" % (name, "where the data of %s lie" % experiment.name if path is None else path + ": not there"))
    out = chosen.out or os.path.join("runs", experiment.name + ("-small" if chosen.small else ""))
    lines = commands_of(experiment, chosen.small, out, data)
    if chosen.dry_run:
        return print("\n".join("whence " + line if not line.split()[0].endswith(".py") else "tools/" + line for line in lines))
    begin = time.monotonic()
    os.makedirs(out, exist_ok=True)
    for line in lines:
        call(line, chosen.ranks)
    rows = compare(experiment, chosen.small, out)
    with open(os.path.join(out, "reproduced.json"), "w", encoding="utf-8") as file:
        json.dump({"experiment": experiment.name, "small": chosen.small, "figures": rows}, file, indent=1)
    print("\n%s\n%s\n%.0f s; %s" % (experiment.shows, table(rows), time.monotonic() - begin, os.path.join(out, "reproduced.json")))
    if not all(row["as_expected"] for row in rows):
        sys.exit(1)
