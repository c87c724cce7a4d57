"""density.h5 as Figures 5, 6 and 7 of Kong and Chaudhuri, "Understanding Instance-based Interpretability of
Variational Auto-Encoders", NeurIPS 2021, appendix B.1."""
import html

import numpy as np

from ..results import needed, text
from .page import GRAPHITE, INK, MOST_POINTS, MOST_VECTORS, colour, picture, plane, row_of_axes, scatter_signed, table

TITLE = "Influence in density estimators"
FILES = ("density.h5",)
ESTIMATORS = {"knn": "k-NN", "kde": "KDE", "gmm": "GMM"}


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


def scatter_by_cluster(axis, x, y, labels):
    for number, label in enumerate(np.unique(labels)):
        mine = labels == label
        axis.plot(x[mine], y[mine], ".", markersize=4, color=colour(number), label=f"cluster {label}",
                  rasterized=len(x) > 2 * MOST_VECTORS)


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
            + table(rows, ("estimator", "largest |formula - exact|", "largest |corrected - exact|")) + note)


def figure_5(run):
    file = density_file(run)
    points = needed(file, "points", NO_POINTS)
    labels = clusters(file)
    figures, (axis,) = row_of_axes(1)
    some = drawn(len(points))
    scatter_by_cluster(axis, *plane(points[some]), labels[some])
    axis.set(xlabel="x1", ylabel="x2")
    axis.legend()
    return picture(figures, "The data" + (" by cluster" if "cluster" in file else ""))


def figure_6a(run):
    file = density_file(run)
    exact = needed(file, "self_influence_exact", NO_SELF)
    points = needed(file, "points", NO_POINTS)
    some = drawn(len(points))
    values = list(panels(file, exact, file["self_influence_closed"][...]))
    figures, axes = row_of_axes(len(values), 3.8, 3.1)
    for axis, (title, influence) in zip(axes, values):
        scatter_signed(axis, points[some], influence[some], title, "nats")
        axis.set(xlabel="x1", ylabel="x2")
    return picture(figures, "Self-influence of every instance, by estimator")


def figure_6b(run):
    file = density_file(run)
    exact = needed(file, "self_influence_exact", NO_SELF)
    likelihood, labels = file["log_likelihood"][...], clusters(file)
    some = drawn(exact.shape[1])
    values = list(panels(file, exact, file["self_influence_closed"][...]))
    rows = list(panels(file, likelihood, likelihood))
    figures, axes = row_of_axes(len(values), 3.8, 3.1)
    for axis, (title, influence), (_, log_p) in zip(axes, values, rows):
        scatter_by_cluster(axis, log_p[some], influence[some], labels[some])
        axis.set(title=title, xlabel="log-likelihood (nats)", ylabel="self-influence (nats)")
        axis.locator_params(axis="x", nbins=5)
    if "cluster" in file:
        axes[0].legend()
    return picture(figures, "Self-influence against log-likelihood")


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
    figures, axes = row_of_axes(len(values), 3.8, 3.1)
    for axis, (title, influence) in zip(axes, values):
        scatter_signed(axis, points[some], influence[some], title, "nats")
        axis.set(xlabel="x1", ylabel="x2")
        axis.plot(*plane(file["query_points"][q:q + 1]), "x", color=INK, markersize=10, markeredgewidth=2)
    return picture(figures, f"Influence of every instance over a point z (the cross; {query_name(file, q)})")


def figure_7b(run):
    file = density_file(run)
    q = central_query(file)
    distance, labels = file["distance"][q], clusters(file)
    some = drawn(len(distance))
    values = list(panels(file, file["influence_exact"][:, q], file["influence_closed"][:, q]))
    figures, axes = row_of_axes(len(values), 3.8, 3.1)
    for axis, (title, influence) in zip(axes, values):
        scatter_by_cluster(axis, distance[some], influence[some], labels[some])
        axis.axhline(0, color=GRAPHITE, linewidth=1, zorder=0)
        axis.set(title=title, xlabel="distance to z", ylabel="influence over z (nats)")
    if "cluster" in file:
        axes[0].legend()
    return picture(figures, f"Influence over z against distance to z ({query_name(file, q)})")


SECTIONS = [
    ("", summary),
    ("Figure 5: the data", figure_5),
    ("Figure 6a: self-influences", figure_6a),
    ("Figure 6b: self-influence and log-likelihood", figure_6b),
    ("Figure 7a: influences over one point", figure_7a),
    ("Figure 7b: influence and distance", figure_7b),
]
