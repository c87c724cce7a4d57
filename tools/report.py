#!/usr/bin/env python3
"""Draws what run folders hold as one self-contained HTML page, and says what is missing.

Usage: report.py RUN [RUN ...] -o report.html

So far: density.h5 as Figures 5, 6 and 7 of Kong and Chaudhuri, "Understanding Instance-based Interpretability of
Variational Auto-Encoders", NeurIPS 2021, appendix B.1. A further figure is a function in SECTIONS that takes a Run
and returns HTML, or raises Missing with what it would need."""
import argparse
import base64
import html
import io
import os
import sys

os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

import h5py
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

RESULTS = {
    "trajectory.h5": "whence train",
    "influence.h5": "whence influence",
    "counterfactual.h5": "whence counterfactual",
    "validation.json": "whence validate",
    "density.h5": "whence density",
}
ESTIMATORS = {"knn": "k-NN", "kde": "KDE", "gmm": "GMM"}
MOST_POINTS = 20000  # drawn in one picture: more make it no clearer
STYLE = """body{font:15px/1.5 sans-serif;max-width:75em;margin:2em auto;padding:0 1em;color:#222}
img{max-width:100%}table{border-collapse:collapse}td,th{padding:.15em .8em;text-align:left;border-bottom:1px solid #ddd}
.missing{color:#a33}pre{background:#f5f5f5;padding:.5em}"""


class Missing(Exception):
    """What a figure would need and the folder does not hold."""


class Run:
    """A run folder with its files open as they are asked for."""

    def __init__(self, folder):
        self.folder = folder
        self._open = {}

    def path(self, name):
        return os.path.join(self.folder, name)

    def has(self, name):
        return os.path.isfile(self.path(name))

    def file(self, name, schema):
        """The HDF5 file; Missing when it is not there, or is not what its name says."""
        if not self.has(name):
            raise Missing(f"{name} is not there; {RESULTS[name]} makes it")
        if name not in self._open:
            try:
                self._open[name] = h5py.File(self.path(name), "r")
            except OSError as error:
                raise Missing(f"{name} cannot be read ({error})") from error
        if text(self._open[name], "schema") != schema:
            raise Missing(f"{name} is not a file of the schema {schema}")
        return self._open[name]


def text(file, attribute):
    value = file.attrs.get(attribute, b"")
    return value.decode() if isinstance(value, bytes) else str(value)


def needed(file, name, why):
    """The array, whole; Missing with the reason when the file has none."""
    if name not in file:
        raise Missing(f"density.h5 has no {name}: {why}")
    return file[name][...]


def picture(figure, caption):
    """The figure as an <img> that holds its own data."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<p><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}"><br>{html.escape(caption)}</p>'


def table(rows, header=None):
    cells = [("th", header)] if header else []
    cells += [("td", row) for row in rows]
    return "<table>" + "".join(
        "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in row) + "</tr>"
        for tag, row in cells) + "</table>"


# ---- density.h5 ----


def density_file(run):
    return run.file("density.h5", "whence.density")


def panels(file, exact, closed):
    """(title, values) of each estimator: the exact influence, for the mixture also the formula as printed."""
    names = text(file, "estimators").split(",")
    for e, name in enumerate(names):
        yield ESTIMATORS.get(name, name), exact[e]
        if name == "gmm":
            yield "GMM, formula as printed", closed[e]


def clusters(file):
    """The cluster of every instance; one for all where the data has none."""
    return file["cluster"][...] if "cluster" in file else np.zeros(len(file["instance_id"]), int)


def drawn(count):
    """Which instances are drawn: all, or evenly spaced ones."""
    return np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).astype(int))


def plane(points):
    """The first two coordinates; a single one is drawn along a line."""
    return points[:, 0], points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))


def row_of_axes(count, sharey=False):
    figure, axes = plt.subplots(1, count, squeeze=False, figsize=(4.2 * count, 3.6), sharey=sharey)
    return figure, axes[0]


def scatter_by_value(figure, axis, points, values, title):
    order = np.argsort(values)  # the largest on top
    x, y = plane(points[order])
    drawing = axis.scatter(x, y, c=values[order], s=14, cmap="viridis")
    figure.colorbar(drawing, ax=axis)
    axis.set_title(title)


def scatter_by_cluster(axis, x, y, labels):
    for number, label in enumerate(np.unique(labels)):
        mine = labels == label
        axis.plot(x[mine], y[mine], ".", markersize=4, color=f"C{number % 10}", label=f"cluster {label}")


NO_POINTS = "points are kept up to three numbers a point"
NO_SELF = "it was made with --self-influence no"


def summary(run):
    file = density_file(run)
    names = text(file, "estimators").split(",")
    corrected = file["corrected_difference"][0] if "corrected_difference" in file else None
    rows = [(ESTIMATORS.get(name, name), f"{file['largest_difference'][e]:.3g}",
             f"{corrected:.3g}" if name == "gmm" and corrected is not None else "") for e, name in enumerate(names)]
    note = ("<p>Exact: fitted again without the instance. The mixture's formulas (4) and (5) as printed lack a factor; "
            "'corrected' has it.</p>" if corrected is not None else "")
    return (f"<p>{len(file['instance_id'])} instances, {len(file['query_id'])} queries; V is a query's loss, -log p, "
            f"in nats; {html.escape(text(file, 'sign_convention'))}.</p>"
            + table(rows, ("estimator", "largest |formula - exact|", "largest |corrected - exact|")) + note
            + table([(name, text(file, name)) for name in ("data", "whence_version", "git_sha")])
            + f"<pre>{html.escape(text(file, 'settings'))}</pre>")


def figure_5(run):
    file = density_file(run)
    points = needed(file, "points", NO_POINTS)
    labels = clusters(file)
    figure, axis = plt.subplots(figsize=(6, 4.5))
    some = drawn(len(points))
    scatter_by_cluster(axis, *plane(points[some]), labels[some])
    axis.legend(fontsize=8)
    return picture(figure, "The data" + (" by cluster" if "cluster" in file else ""))


def figure_6a(run):
    file = density_file(run)
    exact = needed(file, "self_influence_exact", NO_SELF)
    points = needed(file, "points", NO_POINTS)
    some = drawn(len(points))
    values = list(panels(file, exact, file["self_influence_closed"][...]))
    figure, axes = row_of_axes(len(values))
    for axis, (title, influence) in zip(axes, values):
        scatter_by_value(figure, axis, points[some], influence[some], title)
    return picture(figure, "Self-influence of every instance, by estimator")


def figure_6b(run):
    file = density_file(run)
    exact = needed(file, "self_influence_exact", NO_SELF)
    likelihood, labels = file["log_likelihood"][...], clusters(file)
    some = drawn(exact.shape[1])
    values = list(panels(file, exact, file["self_influence_closed"][...]))
    rows = list(panels(file, likelihood, likelihood))
    figure, axes = row_of_axes(len(values))
    for axis, (title, influence), (_, log_p) in zip(axes, values, rows):
        scatter_by_cluster(axis, log_p[some], influence[some], labels[some])
        axis.set(title=title, xlabel="log-likelihood", ylabel="self-influence")
        axis.locator_params(axis="x", nbins=5)
    if "cluster" in file:
        axes[0].legend(fontsize=7)
    figure.tight_layout()
    return picture(figure, "Self-influence against log-likelihood")


def central_query(file):
    """The query nearest to the centre of cluster 0, as in the paper; the first one where points are not kept."""
    if "query_points" not in file or "cluster" not in file:
        return 0
    labels = file["cluster"][...]
    centre = file["points"][...][labels == labels.min()].mean(0)
    return int(np.argmin(((file["query_points"][...] - centre) ** 2).sum(1)))


def query_name(file, q):
    held_out = file["query_position"][q] < 0
    return f"z: {'held-out point' if held_out else 'instance'} {file['query_id'][q]}"


def figure_7a(run):
    file = density_file(run)
    points = needed(file, "points", NO_POINTS)
    q = central_query(file)
    some = drawn(len(points))
    values = list(panels(file, file["influence_exact"][:, q], file["influence_closed"][:, q]))
    figure, axes = row_of_axes(len(values))
    for axis, (title, influence) in zip(axes, values):
        scatter_by_value(figure, axis, points[some], influence[some], title)
        axis.plot(*plane(file["query_points"][q:q + 1]), "x", color="red", markersize=10, markeredgewidth=2)
    return picture(figure, f"Influence of every instance over a point z (the cross; {query_name(file, q)})")


def figure_7b(run):
    file = density_file(run)
    q = central_query(file)
    distance, labels = file["distance"][q], clusters(file)
    some = drawn(len(distance))
    values = list(panels(file, file["influence_exact"][:, q], file["influence_closed"][:, q]))
    figure, axes = row_of_axes(len(values))
    for axis, (title, influence) in zip(axes, values):
        scatter_by_cluster(axis, distance[some], influence[some], labels[some])
        axis.axhline(0, color="0.7", linewidth=1, zorder=0)
        axis.set(title=title, xlabel="distance to z", ylabel="influence over z")
    if "cluster" in file:
        axes[0].legend(fontsize=7)
    figure.tight_layout()
    return picture(figure, f"Influence over z against distance to z ({query_name(file, q)})")


SECTIONS = [
    ("Influence in density estimators", summary),
    ("Figure 5: the data", figure_5),
    ("Figure 6a: self-influences", figure_6a),
    ("Figure 6b: self-influence and log-likelihood", figure_6b),
    ("Figure 7a: influences over one point", figure_7a),
    ("Figure 7b: influence and distance", figure_7b),
]


def contents(run):
    """Which results the folder holds, and which job would add the others."""
    rows = [(name, f"{os.path.getsize(run.path(name)):,} bytes" if run.has(name) else f"not there ({job} makes it)")
            for name, job in RESULTS.items()]
    return table(rows, ("file", "in this folder"))


def page_of(run):
    parts = [f"<h1>{html.escape(run.folder)}</h1>", contents(run)]
    missing = []
    for title, section in SECTIONS:
        try:
            parts.append(f"<h2>{html.escape(title)}</h2>{section(run)}")
        except Missing as reason:
            missing.append((title, str(reason)))
    if missing:
        parts.append('<div class="missing"><h2>Missing</h2>' + table(missing) + "</div>")
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
    with open(arguments.out, "w", encoding="utf-8") as file:
        file.write('<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Whence</title>'
                   f"<style>{STYLE}</style></head><body>" + "\n".join(pages) + "</body></html>\n")
    print(arguments.out)


if __name__ == "__main__":
    main()
