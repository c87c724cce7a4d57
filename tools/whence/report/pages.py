"""Draws what run folders hold as one self-contained HTML page, and says what is missing.

Usage: report.py RUN [RUN ...] -o report.html

A folder may also be the parent of several runs that `whence validate` or `whence cleanse-table` wrote into. What is drawn:
CHAPTERS below lists the chapters."""
import argparse
import html
import os
import sys

from ..results import RESULTS, Run
from . import agreement, cleansing, data, density, tracin
from .page import table

# A chapter is a module with TITLE, FILES (keys of RESULTS; it is left out where a folder has none of them) and SECTIONS:
# (title, function of a Run that returns HTML, "" where the figure is not one for such data, or raises Missing with what it
# would need).
CHAPTERS = [data, agreement, cleansing, density, tracin]

STYLE = """body{font:15px/1.5 sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}
img{max-width:100%}table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:left;border-bottom:1px solid #ddd}
.missing{color:#a33}pre{background:#f5f5f5;padding:.5em}"""


def contents(run):
    """Which results the folder holds, and which job would add the others."""
    rows = []
    for pattern, job in RESULTS.items():
        files = run.matching(pattern)
        rows += [(name, f"{os.path.getsize(run.path(name)):,} bytes") for name in files]
        if not files:
            rows.append((example(pattern), f"not there ({job} makes it)"))
    return table(rows, ("file", "in this folder"))


def example(pattern):
    """The plainest name that a pattern of RESULTS stands for."""
    return pattern.replace("*", "")


def page_of(run):
    """The folder's HTML, and (title, reason) of the figures that a result in it should have given and did not."""
    parts = [f"<h1>{html.escape(run.folder)}</h1>", contents(run)]
    absent = []
    for chapter in CHAPTERS:
        first = chapter.FILES[0]
        if not any(run.matching(pattern) for pattern in chapter.FILES):
            absent.append((chapter.TITLE, f"{example(first)} is not there; {RESULTS[first]} makes it"))
            continue
        parts.append(f"<h2>{html.escape(chapter.TITLE)}</h2>")
        for title, section in chapter.SECTIONS:
            drawn = run.attempts(title or chapter.TITLE, section, run)
            if drawn:
                parts.append(f"<h3>{html.escape(title)}</h3>{drawn}" if title else drawn)
    missing = run.attempts.missing
    if absent or missing:
        parts.append('<div class="missing"><h2>Missing</h2>' + table(absent + missing) + "</div>")
    return "\n".join(parts), missing


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run folder")
    parser.add_argument("-o", "--out", default="report.html", help="page to write; default: report.html")
    arguments = parser.parse_args()
    pages = []
    for folder in arguments.runs:
        if not os.path.isdir(folder):
            sys.exit(f"report: {folder}: no such folder")
        page, missing = page_of(Run(folder))
        pages.append(page)
        for title, reason in missing:
            print(f"report: {folder}: no '{title}': {reason}", file=sys.stderr)
    with open(arguments.out, "w", encoding="utf-8", errors="xmlcharrefreplace") as file:
        file.write('<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Whence</title>'
                   f"<style>{STYLE}</style></head><body>" + "\n".join(pages) + "</body></html>\n")
    print(arguments.out)
