"""Draws everything that folders hold as one self-contained HTML page: runs, and folders of runs (seeds, sweeps).

Usage: report.py FOLDER [FOLDER ...] -o report.html

What another file has overtaken (by what the files hold, not by their times) is marked as stale or drawn anew; what is
drawn: CHAPTERS below lists the chapters."""
import argparse
import os
import sys
import time

import jinja2

from ..results import RESULTS, settings, text
from ..runs import Run
from . import agreement, answers, cleansing, density, tracin, training
from .sweep_chapter import CHAPTER as sweep
from .template import whole_page

# A chapter is a module with TITLE, FILES (keys of RESULTS, or names; it is left out where a folder has none of them) and
# SECTIONS: (title, function of a Run that returns HTML, "" where the figure is not one for such data, or raises Missing
# with what it would need).
CHAPTERS = [agreement, answers, training, cleansing, density, tracin, sweep]
LARGEST = 2_800_000  # bytes of a page: a run that would make it larger has its header alone
DEEPEST = 2          # folders of runs in folders


def folders_in(folder, depth=DEEPEST):
    """The folder and the run folders in it, and in folders of folders."""
    found = [folder]
    for name in sorted(os.listdir(folder)) if depth > 0 else ():
        place = os.path.join(folder, name)
        if not os.path.isdir(place) or os.path.islink(place):
            continue
        inside = folders_in(place, depth - 1)
        holds = any(os.path.isfile(os.path.join(place, file)) for file in ("run.cfg", "density.h5", "validation.json", "cleansing.json"))
        found += inside if holds else inside[1:]
    return found


def cost_of(run):
    summary = run.json("summary.json") if run.has("summary.json") else {}
    return "; ".join(f"{job} {one['seconds']:.3g} s on {one['ranks']} rank{'s' * (one['ranks'] > 1)}"
                     for job, one in summary.items() if "seconds" in one and "ranks" in one)


def provenance(run):
    """(name, words) of the file that says most of the folder; none where nothing is known."""
    name = next((name for name in ("trajectory.h5", "density.h5", "cleansing.h5") if run.has(name)), None)
    if name is None:
        return []
    file = run.opened(name)
    options = settings(text(file, "settings"))
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(os.path.getmtime(run.path(name))))
    what = f"{options['game']} on {options.get('data', '')}" if "game" in options else name[:-3] + " of " + options.get("data", "")
    chosen = ", ".join(f"{key} {options[key]}" for key in ("instances", "epochs", "epoch-steps", "steps", "batch", "optimiser", "dtype")
                       if options.get(key, "0") not in ("0", "preset"))
    return [("what", what), ("with", chosen), ("seed", text(file, "seed")), ("data", text(file, "data")),
            ("made by", f"Whence {text(file, 'whence_version')} ({text(file, 'git_sha')[:12]}), {when}"),
            ("sign", text(file, "sign_convention"))]


def about(run):
    """What stands above everything: what, with which settings, by whom and when, sign, k, classifier, cost."""
    lines = provenance(run)
    if run.has("influence.h5"):
        widths = ", ".join(f"{width:g}" for width in run.kink_widths)
        lines += [("influence", f"of {', '.join(run.metrics)}; k = {', '.join(map(str, run.epochs_back))} epochs back; kink width {widths}")]
        judge = text(run.opened("influence.h5"), "classifier")
        lines += [("classifier", judge)] if judge not in ("", "none") else []
    inside = run.runs()
    if inside:
        seeds = sorted({one.settings.get("seed", "") for one in inside}, key=lambda seed: (len(seed), seed))
        lines += [("runs", ", ".join(os.path.relpath(one.folder, run.folder) for one in inside)), ("seeds", ", ".join(seeds))]
    return [line for line in lines + [("cost", cost_of(run))] if line[1]]


def hints(run):
    """(file, command) of results that could be made of what is there."""
    found = []
    if run.has("trajectory.h5") and run.opened("trajectory.h5")["batch"].shape[1] > 0:
        if not run.has("influence.h5"):
            found.append(("influence.h5", f"whence influence --run {run.folder}: every instance's influence"))
        elif not run.has("counterfactual.h5"):
            found.append(("counterfactual.h5", f"whence counterfactual --run {run.folder}: the truth of some, by retraining"))
        elif not run.has("validation.json"):
            found.append(("validation.json", f"whence validate --run {run.folder}: how well the two agree"))
        if run.has("influence.h5") and not run.has("cleansing.h5") and run.settings.get("test", "0") not in ("0", "preset"):
            found.append(("cleansing.h5", f"whence cleanse --run {run.folder}: what removing the most harmful changes"))
    return found


def files_of(run):
    return [(name, f"{os.path.getsize(run.path(name)):,} bytes") for pattern in RESULTS for name in run.matching(pattern)]


def chapters_of(run):
    drawn = []
    for chapter in CHAPTERS:
        if not any(run.matching(pattern) for pattern in chapter.FILES):
            continue
        sections = []
        for title, section in chapter.SECTIONS:
            content = run.attempts(title or chapter.TITLE, section, run)
            if content:
                sections.append((title, jinja2.utils.markupsafe.Markup(content)))
        if sections:
            drawn.append({"title": chapter.TITLE, "sections": sections})
    return drawn


def page_of(run):
    """The folder as a dictionary for the template."""
    page = {"name": run.folder, "files": files_of(run), "stale": [], "settings": "", "chapters": [], "hints": []}
    page["about"] = run.attempts("header", about, run) or []
    for name, _ in page["files"]:
        reason = run.attempts(name, run.stale, name)
        if reason:
            page["stale"].append((name, reason))
    page["chapters"] = chapters_of(run)
    page["hints"] = run.attempts("hints", hints, run) or []
    if run.has("trajectory.h5"):
        page["settings"] = run.attempts("settings", lambda: text(run.opened("trajectory.h5"), "settings")) or ""
    page["absent"] = list(dict.fromkeys(run.attempts.missing))
    return page


def size_of(page):
    return sum(len(drawn) for chapter in page["chapters"] for _, drawn in chapter["sections"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="FOLDER", help="run folder, or a folder of runs")
    parser.add_argument("-o", "--out", default="report.html", help="page to write; default: report.html")
    arguments = parser.parse_args()
    pages, left = [], LARGEST
    for folder in arguments.runs:
        if not os.path.isdir(folder):
            sys.exit(f"report: {folder}: no such folder")
        places = folders_in(folder)
        for place in places:
            page = page_of(Run(place))
            if not page["files"] and len(places) == 1:
                page["absent"].append((folder, "holds nothing that a job of Whence has made"))
            for title, reason in page["absent"]:
                print(f"report: {place}: no '{title}': {reason}", file=sys.stderr)
            if size_of(page) > left:
                page["chapters"] = []
                page["absent"].append((place, "is drawn on a page of its own only: this one would be too large (report.py %s)" % place))
                print(f"report: {place}: left out, the page would be too large", file=sys.stderr)
            left -= size_of(page)
            pages.append(page)
    with open(arguments.out, "w", encoding="utf-8", errors="xmlcharrefreplace") as file:
        file.write(whole_page("Whence: " + ", ".join(arguments.runs), pages=pages))
    print(arguments.out)
