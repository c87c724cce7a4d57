#!/usr/bin/env python3
"""Writes jobs/options.md, every option of every job, from what `whence JOB --help` prints:

    tests/jobs/options_page.py [PROGRAM] > jobs/options.md
"""
import re
import subprocess
import sys

HEAD = """# Every option of every job

<!-- Written by tests/jobs/options_page.py > jobs/options.md; do not edit it by hand. -->

What the jobs do, and what belongs together: [README.md](README.md).
"""


def jobs_in(overview):
    """The jobs and what they do, from `whence --help`."""
    return re.findall(r"(?m)^  ([a-z-]+) +(\S.*)$", overview.split("Jobs:\n", 1)[1].split("\nVersion", 1)[0])


def options_in(text):
    """The options that a job's help describes: name, default in words, what it is."""
    lines = text.split("Options:\n", 1)[1].rstrip().splitlines()
    column = lines[0].index("show this text")
    found = []
    for line in lines:
        if line.startswith("  --"):
            beside = len(line) > column and line[column - 1] == " " and line[column] != " "
            found.append([(line[:column] if beside else line).strip(), line[column:].strip() if beside else ""])
        else:
            found[-1][1] += " " + line.strip()
    return [_parts(left, right.strip()) for left, right in found]


def _parts(left, text):
    name, _, rest = left[2:].partition(" ")
    default = "`%s`" % rest[len("arg (="):-1] if rest.startswith("arg (=") else "" if rest else "off"
    if text.endswith(" (required)"):
        return name, "has to be given", text[:-len(" (required)")]
    text, _, decided = text.partition("; default: ")
    return name, decided or default, text


def cell(text):
    """A cell of a table: `|` would end it, and outside of code `*` and `<` mean something."""
    text = text.replace("|", "\\|")
    return text if text.startswith("`") else re.sub(r"([*<])", r"\\\1", text)


def page(overview, help_of):
    """The whole page. help_of: what `whence JOB --help` prints."""
    text = HEAD
    for job, summary in jobs_in(overview):
        text += "\n## whence %s\n\n%s.\n\n| option | default | |\n| --- | --- | --- |\n" % (job, summary)
        for name, default, what in options_in(help_of(job)):
            text += "| `--%s` | %s | %s |\n" % (name, cell(default), cell(what))
    return text


if __name__ == "__main__":
    program = sys.argv[1] if len(sys.argv) > 1 else "build/bin/whence"

    def printed(*arguments):
        return subprocess.run([program, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout

    sys.stdout.write(page(printed("--help"), lambda job: printed(job, "--help")))
