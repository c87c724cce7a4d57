"""How the programs of this package begin, as scripts of tools/ or with `python3 -m`: with a Python that has what they
need, or with one sentence that says which package is missing."""
import importlib
import os
import sys

PROGRAMS = {
    "report": "whence.report.pages",
    "tracin": "whence.report.tracin",
    "show_validation": "whence.report.validation",
    "sweep_table": "whence.report.sweep",
    "bench_table": "whence.benchmarks",
    "import_checkpoints": "whence.checkpoints.importing",
    "pack": "whence.pack.packing",
    "reproduce": "whence.experiments.running",
}
DEBIANS = "/usr/bin/python3"  # has all packages (tools/setup); another Python first on PATH may not
OLDEST = (3, 9)


def missing(module):
    """Why this Python cannot import the module; "" where it can."""
    if sys.version_info < OLDEST:
        return "needs Python %d.%d or later, but %s is %d.%d" % (OLDEST + (sys.executable,) + sys.version_info[:2])
    try:
        importlib.import_module(module)
    except (ImportError, ValueError) as error:  # NumPy's for extensions made for another NumPy is a ValueError
        package = (getattr(error, "name", None) or str(error)).split(".")[0]
        if package == __package__:
            raise
        return "needs the Python package %s (Debian: python3-%s), which %s cannot load: %s" % (
            package, package.lower(), sys.executable, str(error).splitlines()[0])
    return ""


def start(name, script=False):
    """Calls main() of a program. A script, unlike -m, goes on in Debian's Python where its own lacks something."""
    reason = missing(PROGRAMS[name])
    if reason and script and sys.executable != DEBIANS and os.path.exists(DEBIANS):
        os.execv(DEBIANS, [DEBIANS] + sys.argv)
    if reason:
        sys.exit("%s: %s" % (name, reason))
    if not script:
        sys.argv[0] = "python3 -m whence " + name
    for stream in (sys.stdout, sys.stderr):  # the name of a folder may have letters that the locale has not
        if stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    importlib.import_module(PROGRAMS[name]).main()
