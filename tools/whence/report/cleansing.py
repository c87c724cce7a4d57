"""cleansing.json and cleansing.h5 as Figures 2, 3 and 4 of Terashita et al., "Influence Estimation for Generative
Adversarial Networks", ICLR 2021."""
import html

import numpy as np
from matplotlib.lines import Line2D
from scipy.stats import gaussian_kde

from ..instances import images_shape
from ..results import Missing, needed, text
from .page import (GRAPHITE, MOST_POINTS, colour, image, picture, row_of_axes, scatter_signed, sheet, signed, table,
                   thumbs)
from .paper import NAMES, unit_of

TITLE = "Data cleansing"
FILES = ("cleansing.h5", "cleansing.json")
SCHEMA = "whence.cleansing"
JUDGES_HARM = ("disc-loss",)  # and influence; isolation forest and chance only order the instances
SHOWN_EXTREMES = 12
SHOWN_AFTER = 0.1  # the share removed that before-and-after pictures show, if there is a choice


def named(selection):
    if selection.startswith("influence:"):
        metric = selection.split(":")[1]
        return "influence on " + NAMES.get(metric, metric)
    return selection.replace("-", " ")


def rows_of(run):
    """The rows of cleansing.json where it is of the files that are here; else those of cleansing.h5."""
    if run.has("cleansing.json") and not run.stale("cleansing.json"):
        return run.json("cleansing.json")["rows"]
    if run.has("cleansing.json") and not run.has("cleansing.h5"):
        raise Missing("cleansing.json is stale: " + run.stale("cleansing.json"))
    file = run._of_run("cleansing.h5") if run.has("trajectory.h5") else run.file("cleansing.h5", SCHEMA)
    return [{"metric": metric, "selection": selection, "removed": int(n), "runs": 1,
             "larger_is_better": text(file, "larger_is_better").split(",")[m] == "yes",
             "baseline": float(file["baseline"][m]), "change": float(file["value"][s, h, m] - file["baseline"][m])}
            for m, metric in enumerate(text(file, "metrics").split(","))
            for s, selection in enumerate(text(file, "selections").split(","))
            for h, n in enumerate(file["remove"][...])]


def series_of(row):
    """Selection, and the group of runs of equal settings that the row is of."""
    return named(row["selection"]) + ("" if row.get("group", "all runs") == "all runs" else f" ({row['group']})")


def limits(mine, better):
    """The lowest and highest change that are drawn. Removing nearly everything costs many times what cleansing gains: the
    axis ends at four times the largest gain, and beyond it a line says so. Changes as small as the noise of a random
    selection do not fill it: it reaches at least twice that noise, or where there was no such selection 0.2% of the value
    without removal."""
    spread = [row.get("change_std") or 0 for row in mine]
    reach = [abs(row["change"]) + deviation for row, deviation in zip(mine, spread)]
    gain = max([better * row["change"] for row in mine] + [0])
    noise = [abs(row["change"]) for row in mine if row["selection"] == "random"]
    least = max(2 * float(np.median(noise)) if noise else 0.002 * abs(mine[0]["baseline"] or 0), 1e-12)
    edge = max(4 * gain, least)
    worst = max([-better * row["change"] for row in mine] + [0])
    down = edge if worst > 1.6 * edge else 1.08 * max([r for r, row in zip(reach, mine) if better * row["change"] <= 0] + [least])
    up = 1.15 * max([r for r, row in zip(reach, mine) if better * row["change"] > 0] + [least])
    return (-down, up) if better > 0 else (-up, down), worst > 1.6 * edge


def metric_axis(axis, rows, metric):
    mine = [row for row in rows if row["metric"] == metric and row["change"] is not None]
    if not mine:
        raise Missing(f"no change of {metric} is a finite number")
    axis.axhline(0, color=GRAPHITE, linestyle="--", linewidth=1, label="no removal")
    better = 1 if mine[0]["larger_is_better"] else -1
    (low, high), cut = limits(mine, better)
    several = list(dict.fromkeys(map(series_of, mine)))
    for number, series in enumerate(several):
        points = sorted((row["removed"], row["change"], row.get("change_std") or 0) for row in mine if series_of(row) == series)
        removed, change, deviation = map(np.array, zip(*points))
        aside = 1 + 0.02 * (number - (len(several) - 1) / 2) if deviation.any() else 1  # bars beside each other
        axis.errorbar(removed * aside, change, yerr=deviation if deviation.any() else None, marker="o", markersize=4, capsize=2,
                      linewidth=1.3, elinewidth=0.8, color=colour(number), label=series)
    axis.set_ylim(low, high)
    if cut:
        axis.annotate(f"cut at {low if better > 0 else high:+.3g}; the table has the rest", (0.98, 0.02 if better > 0 else 0.98),
                      xycoords="axes fraction", ha="right", va="bottom" if better > 0 else "top", fontsize=8)
    removed = sorted({row["removed"] for row in mine})
    if removed[-1] > 8 * removed[0]:
        axis.set_xscale("log")
    shown = removed[:1]  # as many as have room for their number
    for n in removed[1:]:
        if (n >= 1.7 * shown[-1]) if removed[-1] > 8 * removed[0] else (n - shown[-1] >= 0.17 * removed[-1]):
            shown.append(n)
    axis.set_xticks(shown, labels=[f"{n:,}" for n in shown])
    axis.minorticks_off()
    name = NAMES.get(metric, metric)
    direction = "larger" if better > 0 else "smaller"
    axis.set(title=f"test {name}: {mine[0]['baseline']:.4g} without removal ({direction} is better)",
             xlabel="n_h, instances removed", ylabel=f"change of test {name}" + unit_of(metric))
    axis.grid(True)


def figure_2(run):
    rows = rows_of(run)
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    figures, axes = row_of_axes(len(metrics), 5, 3.7)
    for axis, metric in zip(axes, metrics):
        metric_axis(axis, rows, metric)
    axes[0].legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    runs = max(row["runs"] for row in rows)
    stale = run.stale("cleansing.json") if run.has("cleansing.json") else ""
    note = (f'<p class="stale">cleansing.json is stale ({html.escape(stale)}); drawn from cleansing.h5 of this folder instead.</p>'
            if stale else "")
    deviations = ", bars: standard deviation" if runs > 1 else ""
    return note + picture(figures, f"Test metrics after removing the most harmful instances ({runs} run{'s' * (runs > 1)}{deviations})") + "".join(
        change_table(rows, metric) for metric in metrics)


def change_table(rows, metric):
    mine = [row for row in rows if row["metric"] == metric]
    removed = sorted({row["removed"] for row in mine})
    lines = []
    for series in dict.fromkeys(map(series_of, mine)):
        cells = {row["removed"]: cell(row) for row in mine if series_of(row) == series}
        lines.append([series] + [cells.get(n, "") for n in removed])
    before = next((format(row["baseline"], ".5g") for row in mine if row["baseline"] is not None), "-")
    tested = any(row.get("change_ttest_p") is not None for row in mine)
    star = "; (standard deviation), * p &lt; .05 of a t-test over the runs" if tested else ""
    return (f"<h5>Change of test {html.escape(NAMES.get(metric, metric) + unit_of(metric))}, {before} without removal{star}</h5>"
            + table(lines, ["n_h removed"] + [f"{n:,}" for n in removed]))


def cell(row):
    if row["change"] is None:
        return "-"
    if row.get("change_std") is None:
        return f"{row['change']:+.4g}"
    sure = row.get("change_ttest_p") is not None and row["change_ttest_p"] < 0.05
    return f"{row['change']:+.4g} ({row['change_std']:.2g}){'*' if sure else ''}"


def shown_number(file):
    """Which number removed the pictures of a cleansed model show."""
    remove = file["remove"][...]
    return int(np.argmin(np.abs(remove - SHOWN_AFTER * len(file["instance_id"]))))


def ranks(values):
    order = np.empty(len(values))
    order[np.argsort(values)] = np.arange(len(values)) / max(1, len(values) - 1)
    return order


def harm_in_the_plane(run):
    if not run.has("cleansing.h5"):
        return ""
    file = run.opened("cleansing.h5")
    points = plane_points(file)
    if points is None:
        return ""
    names = text(file, "selections").split(",")
    some = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).astype(int))
    figures, axes = row_of_axes(len(names), 3.8, 3.2)
    for s, (axis, name) in enumerate(zip(axes, names)):
        harm = file["harm"][s]
        if name in JUDGES_HARM or name.startswith("influence:"):
            scatter_signed(axis, points[some], harm[some], named(name), "harm: gain by removal")
        else:
            drawing = axis.scatter(*points[some].T, c=ranks(harm)[some], s=9, cmap="cividis", linewidths=0, rasterized=True)
            axis.figure.colorbar(drawing, ax=axis).set_label("rank, 1: removed first")
            axis.set_title(named(name))
        axis.set(aspect="equal", xlabel="x1", ylabel="x2")
    return picture(figures, "Training instances by the harm that each selection sees in them")


def plane_points(file):
    """The instances; None where they are not points of the plane."""
    return file["instances"][...] if list(file["shape"][...]) == [2] and "instances" in file else None


def kernel_density(samples, grid, whose):
    """On the grid; Missing where the points have none."""
    points = samples[:4000].astype(float)
    try:
        # SciPy sees points in one place by rounding alone, and not always.
        rounding = np.abs(points).max() * len(points) * np.finfo(float).eps
        if np.linalg.matrix_rank(points - points.mean(0), rounding) == points.shape[1]:
            return gaussian_kde(points.T)(np.stack([g.ravel() for g in grid])).reshape(grid[0].shape)
    except (ValueError, np.linalg.LinAlgError):
        pass
    raise Missing(f"{whose} have no density in the plane: they are {len(samples)}, too few, on one line or not finite")


def density_in_the_plane(run):
    if not run.has("cleansing.h5"):
        return ""
    file = run.file("cleansing.h5", SCHEMA)
    points = plane_points(file)
    if points is None or "generated" not in file:
        return ""
    names, h = text(file, "selections").split(","), shown_number(file)
    generated = file["generated_before"][...]
    low, high = np.percentile(np.concatenate([points[:len(generated)], generated]), [0.3, 99.7], axis=0)
    grid = np.meshgrid(*(np.linspace(a, b, 70) for a, b in zip(low, high)))
    truth = kernel_density(points, grid, "the training instances")
    before = kernel_density(generated, grid, "the points generated without removal")
    after = [kernel_density(file["generated"][s, h], grid, f"the points generated after removal by {named(name)}")
             for s, name in enumerate(names)]
    levels = np.linspace(0.15, 0.9, 4) * truth.max()
    figures, axes = row_of_axes(len(names), 3.8, 3.2)
    for s, (axis, name) in enumerate(zip(axes, names)):
        for values, color, style in ((truth, GRAPHITE, "-"), (after[s], colour(1), "-"), (before, colour(0), "--")):
            axis.contour(*grid, values, levels=levels, colors=color, linestyles=style, linewidths=1.3)
        axis.set(title=named(name), aspect="equal", xlabel="x1", ylabel="x2")
    axes[0].legend(handles=[Line2D([], [], color=GRAPHITE, label="training data"),
                            Line2D([], [], color=colour(0), linestyle="--", label="generated, no removal"),
                            Line2D([], [], color=colour(1), label="generated, cleansed")],
                   loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=2)
    return picture(figures, f"Density of generated points before and after removing {file['remove'][h]:,} instances "
                            "(the same contour levels)")


def ends_of(run, file, s, name, shape):
    """The extreme instances of a selection, with id, label and harm."""
    parts, labels, harm = [], run.labels, file["harm"][s]
    judges = name in JUDGES_HARM or name.startswith("influence:")
    words = ("most harmful", "most helpful") if judges else ("removed first", "removed last")
    pictures = file["extreme_instance"][s][:, :SHOWN_EXTREMES].astype(float)
    low, high = float(file["extreme_instance"][...].min()), float(file["extreme_instance"][...].max())
    for side, title in enumerate(words):
        positions = file["extreme_position"][s, side][:SHOWN_EXTREMES]
        lines = [[f"id {file['instance_id'][p]}"] + ([] if labels is None else [f"label {labels[p]}"]) + [signed(harm[p])]
                 for p in positions]
        images = [((one - low) / max(high - low, 1e-300)).reshape(shape) for one in pictures[side]]
        parts.append(f"<div><h5>{title}</h5>{thumbs(images, lines)}</div>")
    return "".join(parts)


def figure_4(run):
    if not run.has("cleansing.h5"):
        return ""
    file = run.opened("cleansing.h5")
    shape, h = images_shape(tuple(int(n) for n in file["shape"][...])), shown_number(file)
    if shape is None:
        return ""
    names = text(file, "selections").split(",")
    parts = [f'<h4>{html.escape(named(name))}</h4><div class="row">{ends_of(run, file, s, name, shape)}</div>'
             for s, name in enumerate(names) if name != "random"]
    generated = [("no removal", needed(file, "generated_before", "the game has no generator")[:36])] + [
        (named(name), file["generated"][s, h][:36]) for s, name in enumerate(names)]
    sheets = "".join(f"<div>{image(sheet(images, shape), 'generated: ' + title, 190)}<br>{html.escape(title)}</div>"
                     for title, images in generated)
    return "".join(parts) + (
        f'<figure><div class="thumbs">{sheets}</div><figcaption>Generated from the same latents before cleansing and after '
        f"removing {file['remove'][h]:,} instances by each selection</figcaption></figure>"
        "<p>Below each image: id, label, and harm, by how much removing it is predicted to improve the metric (of isolation "
        "forest: its anomaly score).</p>")


SECTIONS = [
    ("Figure 2: test metrics after removal", figure_2),
    ("Figure 3a: harmful instances", harm_in_the_plane),
    ("Figure 3b: generated distribution", density_in_the_plane),
    ("Figure 4: harmful and helpful images, generated images", figure_4),
]
