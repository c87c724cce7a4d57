"""cleansing.json and cleansing.h5 as Figures 2, 3 and 4 of Terashita et al., "Influence Estimation for Generative
Adversarial Networks", ICLR 2021."""
import html

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.lines import Line2D
from scipy.stats import gaussian_kde

from ..results import Missing, needed, text
from .agreement import NAMES
from .page import MOST_POINTS, picture, row_of_axes, table

TITLE = "Data cleansing"
FILES = ("cleansing.h5", "cleansing.json")
SCHEMA = "whence.cleansing"
JUDGES_HARM = ("disc-loss",)  # and influence; isolation forest and chance only order the instances
SHOWN_AFTER = 0.1  # the share removed that before-and-after pictures show, if there is a choice


def named(selection):
    if selection.startswith("influence:"):
        metric = selection.split(":")[1]
        return "influence on " + NAMES.get(metric, metric)
    return selection.replace("-", " ")


def rows_of(run):
    """The rows of cleansing.json; of cleansing.h5 where there is only that."""
    if run.has("cleansing.json"):
        return run.json("cleansing.json")["rows"]
    file = run.file("cleansing.h5", SCHEMA)
    return [{"metric": metric, "selection": selection, "removed": int(n), "runs": 1,
             "larger_is_better": text(file, "larger_is_better").split(",")[m] == "yes",
             "baseline": float(file["baseline"][m]), "change": float(file["value"][s, h, m] - file["baseline"][m])}
            for m, metric in enumerate(text(file, "metrics").split(","))
            for s, selection in enumerate(text(file, "selections").split(","))
            for h, n in enumerate(file["remove"][...])]


def series_of(row):
    """Selection, and the group of runs of equal settings that the row is of."""
    return named(row["selection"]) + ("" if row.get("group", "all runs") == "all runs" else f" ({row['group']})")


def metric_axis(axis, rows, metric):
    mine = [row for row in rows if row["metric"] == metric and row["change"] is not None]
    axis.axhline(0, color="0.3", linestyle="--", linewidth=1, label="no removal")
    if not mine:
        raise Missing(f"no change of {metric} is a finite number")
    for number, series in enumerate(dict.fromkeys(map(series_of, mine))):
        points = sorted((row["removed"], row["change"]) for row in mine if series_of(row) == series)
        axis.plot(*zip(*points), marker="o", markersize=4, color=f"C{number}", label=series)
    better = 1 if mine[0]["larger_is_better"] else -1
    gains = [better * row["change"] for row in mine]
    # Removing nearly everything costs many times what cleansing gains: linear up to the largest gain only.
    if 0 < 4 * max(gains) < -min(gains):
        gain = next(n * 10.0**power for power in [np.floor(np.log10(max(gains)))] for n in (1, 2, 5, 10)
                    if n * 10.0**power >= max(gains))
        axis.set_yscale("symlog", linthresh=gain, linscale=1.5)
        beyond = [gain * 10.0**power for power in range(1, 1 + int(np.ceil(np.log10(-min(gains) / gain))))]
        axis.set_yticks(ticks := [-gain, 0, gain] + [-better * loss for loss in beyond], labels=[f"{t:g}" for t in ticks])
        axis.minorticks_off()
    axis.set_xscale("log")
    name = NAMES.get(metric, metric)
    direction = "larger" if better > 0 else "smaller"
    axis.set(title=f"test {name}, {mine[0]['baseline']:.4g} without removal ({direction} is better)",
             xlabel="instances removed", ylabel=f"change of test {name}")
    axis.title.set_fontsize(10)
    axis.grid(alpha=0.3)


def figure_2(run):
    rows = rows_of(run)
    metrics = list(dict.fromkeys(row["metric"] for row in rows))
    figure, axes = plt.subplots(1, len(metrics), squeeze=False, figsize=(5.4 * len(metrics), 4))
    for axis, metric in zip(axes[0], metrics):
        metric_axis(axis, rows, metric)
    figure.tight_layout()
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", bbox_to_anchor=(0.5, 0), fontsize=8, ncols=3 * len(metrics))
    runs = max(row["runs"] for row in rows)
    return picture(figure, f"Test metrics after removing the most harmful instances ({runs} run{'s' * (runs > 1)})") + "".join(
        change_table(rows, metric) for metric in metrics)


def change_table(rows, metric):
    mine = [row for row in rows if row["metric"] == metric]
    removed = sorted({row["removed"] for row in mine})
    lines = []
    for series in dict.fromkeys(map(series_of, mine)):
        cells = {row["removed"]: cell(row) for row in mine if series_of(row) == series}
        lines.append([series] + [cells.get(n, "") for n in removed])
    before = next((format(row["baseline"], ".5g") for row in mine if row["baseline"] is not None), "-")
    return (f"<h3>Change of test {html.escape(NAMES.get(metric, metric))}, {before} without removal; "
            "* p &lt; .05 of a t-test over the runs</h3>" + table(lines, ["removed"] + [f"{n:,}" for n in removed]))


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
    file = run.file("cleansing.h5", SCHEMA)
    points = plane_points(file)
    if points is None:
        return ""
    names = text(file, "selections").split(",")
    some = np.unique(np.linspace(0, len(points) - 1, min(len(points), MOST_POINTS)).astype(int))
    figure, axes = row_of_axes(len(names), sharey=True)
    for s, (axis, name) in enumerate(zip(axes, names)):
        shade = ranks(file["harm"][s])[some]
        drawing = axis.scatter(*points[some].T, c=shade, s=3, cmap="coolwarm", linewidths=0)
        axis.set(title=named(name), aspect="equal")
    bar = figure.colorbar(drawing, ax=list(axes), fraction=0.02, pad=0.01)
    bar.set_label("rank of harm (1: removed first)")
    return picture(figure, "Training instances by the harm that each selection sees in them")


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
    figure, axes = row_of_axes(len(names), sharey=True)
    for s, (axis, name) in enumerate(zip(axes, names)):
        for values, color, style in ((truth, "0.6", "-"), (after[s], "C3", "-"), (before, "C0", "--")):
            axis.contour(*grid, values, levels=levels, colors=color, linestyles=style, linewidths=1.3)
        axis.set(title=named(name), aspect="equal")
    figure.legend(handles=[Line2D([], [], color="0.6", label="training data"),
                           Line2D([], [], color="C0", linestyle="--", label="generated, no removal"),
                           Line2D([], [], color="C3", label="generated, cleansed")],
                  loc="lower center", ncols=3, bbox_to_anchor=(0.5, -0.06))
    return picture(figure, f"Density of generated points before and after removing {file['remove'][h]:,} instances "
                           "(the same contour levels)")


def sheet(images, shape, columns):
    """Images side by side as one array."""
    rows = -(-len(images) // columns)
    page = np.full((rows * (shape[0] + 1) + 1, columns * (shape[1] + 1) + 1), images.max())
    for i, image in enumerate(images):
        r, c = divmod(i, columns)
        page[1 + r * (shape[0] + 1):(r + 1) * (shape[0] + 1), 1 + c * (shape[1] + 1):(c + 1) * (shape[1] + 1)] = (
            image.reshape(shape))
    return page


def show(axis, images, shape, title):
    axis.imshow(sheet(images, shape, 6), cmap="gray_r", interpolation="nearest")
    axis.set_title(title, fontsize=9)
    axis.axis("off")


def figure_4(run):
    file = run.file("cleansing.h5", SCHEMA)
    shape, h = tuple(int(n) for n in file["shape"][...]), shown_number(file)
    if len(shape) != 2:
        return ""
    names = text(file, "selections").split(",")
    before = needed(file, "generated_before", "the game has no generator")[:36]
    figure, axes = plt.subplots(len(names), 4, squeeze=False, figsize=(11, 3.0 * len(names)))
    for s, name in enumerate(names):
        ends = ("most harmful", "most helpful") if name in JUDGES_HARM or name.startswith("influence:") else (
            "removed first", "removed last")
        for side, title in enumerate(ends):
            show(axes[s][side], file["extreme_instance"][s, side], shape, f"{named(name)}:\n{title}")
        show(axes[s][2], before, shape, "generated,\nno removal")
        show(axes[s][3], file["generated"][s, h][:36], shape, f"generated,\n{file['remove'][h]:,} removed")
    figure.tight_layout()
    return picture(figure, "Training images at both ends of each selection, and images generated from the same latents "
                           "before and after cleansing")


SECTIONS = [
    ("Figure 2: test metrics after removal", figure_2),
    ("Figure 3a: harmful instances", harm_in_the_plane),
    ("Figure 3b: generated distribution", density_in_the_plane),
    ("Figure 4: harmful and helpful images, generated images", figure_4),
]
