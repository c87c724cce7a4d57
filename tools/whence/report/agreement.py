"""Estimates against retraining: each target's true influence beside its estimate, and validation.json as Figure 1 of
Terashita et al., "Influence Estimation for Generative Adversarial Networks", ICLR 2021."""
import html

import numpy as np
from scipy import stats

from ..results import Missing, text
from .page import GRAPHITE, MOST_VECTORS, colour, picture, row_of_axes, scale_of, significant, table
from .paper import NAMES, UNITS, curve_of

TITLE = "Estimates against retraining"
FILES = ("validation.json", "counterfactual.h5")
MOST_PANELS = 9


def group_of(row):
    """The name of the runs of equal settings that the row is of."""
    return row.get("group", "all runs")


def by_chance(rows):
    """Expected Jaccard index of estimates without information, mean over the rows that have one; NaN of none."""
    values = [row["jaccard_chance"] for row in rows if row["jaccard_chance"] is not None]
    return float(np.mean(values)) if values else float("nan")


def curves(rows):
    """(name, rows in order of k) for each group of runs, metric and kink width."""
    widths = {row["kink_width"] for row in rows}
    groups = {group_of(row) for row in rows}
    keys = sorted({(row["metric"], row["kink_width"], group_of(row)) for row in rows})
    for metric, width, group in keys:
        label = NAMES.get(metric, metric) + (f", kink width {width:g}" if len(widths) > 1 else "")
        label += f" ({group})" if len(groups) > 1 else ""
        mine = [row for row in rows if (row["metric"], row["kink_width"], group_of(row)) == (metric, width, group)]
        yield label, sorted(mine, key=lambda row: row["epochs_back"])


def pairs(run):
    """(metric, k, kink width, truth, estimate) of all that counterfactual.h5 and influence.h5 both hold."""
    truth, estimates = run._of_run("counterfactual.h5"), run._of_run("influence.h5")
    names, horizons = text(truth, "metrics").split(","), [int(k) for k in truth["epochs_back"][...]]
    positions = truth["target_position"][...]
    for m, metric in enumerate(names):
        for j, k in enumerate(horizons):
            if metric not in run.metrics or k not in run.epochs_back:
                continue
            for h, width in enumerate(run.kink_widths):
                row = estimates["influence"][h, run.metrics.index(metric), run.epochs_back.index(k)]
                yield metric, k, width, truth["influence"][m, j], row[positions]


def figures_of(run, metric, k, width, truth, estimate):
    """tau and Jaccard of a panel: of the validation where it is of these files, else tau computed here."""
    rows = [] if run.stale("validation.json") else run.validation_rows()
    for row in rows:
        if (row["metric"], row["epochs_back"], row["kink_width"]) == (metric, k, width) and row["runs"] == 1:
            return row["kendall_tau"], row["jaccard"], row["jaccard_chance"]
    tau = stats.kendalltau(truth, estimate).statistic if np.ptp(truth) > 0 and np.ptp(estimate) > 0 else None
    return tau, None, None


def scatter(run):
    """The first picture of a validated run; "" of a folder of several."""
    if not run.has("counterfactual.h5"):
        return ""
    found = list(pairs(run))
    if not found:
        raise Missing("influence.h5 and counterfactual.h5 have no metric and k in common")
    best = {}
    for metric, k, width, truth, estimate in found:
        numbers = figures_of(run, metric, k, width, truth, estimate)
        kept = best.get((metric, k))
        if kept is None or (numbers[0] or -2) > (kept[2][0] or -2):
            best[metric, k] = width, (truth, estimate), numbers
    shown = list(best.items())[:MOST_PANELS]
    figures, axes = row_of_axes(len(shown), 3.4, 3.1)
    several = len(run.kink_widths) > 1
    for axis, ((metric, k), (width, (truth, estimate), numbers)) in zip(axes, shown):
        axis.axline((0, 0), slope=1, color=GRAPHITE, linewidth=1, zorder=0)
        axis.annotate("y = x", (0.97, 0.03), xycoords="axes fraction", ha="right", fontsize=8)
        factor, scale = scale_of(truth, estimate)
        axis.plot(factor * truth, factor * estimate, ".", markersize=5, alpha=0.8, rasterized=len(truth) > MOST_VECTORS)
        tau, jaccard, chance = numbers
        label = f"tau {significant(tau)}" + ("" if jaccard is None else f"\nJaccard {jaccard:.3g}") + (
            "" if jaccard is None or chance is None else f" (chance {chance:.2g})")
        axis.annotate(label, (0.03, 0.97), xycoords="axes fraction", va="top", fontsize=8)
        axis.locator_params(nbins=5)
        words = f"{scale}{UNITS.get(metric, '')}".strip()
        unit = f" ({words})" if words else ""
        axis.set(title=f"{NAMES.get(metric, metric)}, k = {k}" + (f", kink width {width:g}" if several else ""),
                 xlabel="true influence" + unit, ylabel="estimated influence" + unit)
    count = len(shown[0][1][1][0])
    more = f"; {len(best) - len(shown)} more are in the table" if len(best) > len(shown) else ""
    return picture(figures, f"Influence of {count} instances: by retraining without each, and estimated. tau: Kendall's; "
                            f"Jaccard: of the most critical ones{more}.")


def draw(axis, rows, name, title, chance, paper):
    for number, (label, mine) in enumerate(curves(rows)):
        k = [row["epochs_back"] for row in mine]
        mean = np.array([np.nan if row[name] is None else row[name] for row in mine])
        spread = np.array([row.get(name + "_std") or 0 for row in mine])
        axis.errorbar(k, mean, yerr=spread if spread.any() else None, marker="o", markersize=4, capsize=3,
                      color=colour(number), label=label)
    for metric, points in paper.items():
        at, values = zip(*sorted(points.items()))
        axis.plot(at, [pair[name == "jaccard"] for pair in values], "s--", markersize=4, color=GRAPHITE, linewidth=1,
                  markerfacecolor="none", label=f"paper, {NAMES.get(metric, metric)}")
    if np.isfinite(chance):
        axis.axhline(chance, color=GRAPHITE, linestyle=":", linewidth=1, label="by chance")
    ticks = sorted({row["epochs_back"] for row in rows} | {k for points in paper.values() for k in points})
    if max(ticks) > 2 * min(ticks):
        axis.set_xscale("log")
    axis.set_xticks(ticks, labels=[str(k) for k in ticks])
    axis.minorticks_off()
    low = min([row[name] or 0 for row in rows] + [0])
    axis.set(title=title, xlabel="k, epochs traced back", ylim=(min(-0.05, low - 0.1), 1.05))
    axis.grid(True)


def figure_1(run):
    if not run.has("validation.json"):
        return ""
    rows = run.json("validation.json")["rows"]
    if reason := run.stale("validation.json"):
        return f'<p class="stale">validation.json is stale ({html.escape(reason)}), so it is not drawn; whence validate makes it anew.</p>'
    figures, axes = row_of_axes(2)
    paper = {metric: curve for metric in dict.fromkeys(row["metric"] for row in rows)
             if (curve := curve_of(run.any_settings(), metric))}
    draw(axes[0], rows, "kendall_tau", "Kendall's tau", 0, paper)
    draw(axes[1], rows, "jaccard", "Jaccard index of critical instances", by_chance(rows), paper)
    axes[0].legend()
    runs, targets = max(row["runs"] for row in rows), rows[0]["targets"]
    spread = f"mean and standard deviation of {runs} runs" if runs > 1 else "one run"
    beside = "; the paper's curves are means of 10 seeds, read off its Figure 1" if paper else ""
    note = "".join("; " + note for note in dict.fromkeys(row["note"] for row in rows if "note" in row))
    return picture(figures, f"Agreement of estimated with true influence: {spread}, {targets} targets each{beside}{note}") + table(
        [(NAMES.get(row["metric"], row["metric"]), row["epochs_back"], f"{row['kink_width']:g}",
          group_of(row), number(row, "kendall_tau"), number(row, "jaccard"), number(row, "jaccard_chance"), tied(row),
          number(row, "spearman"), number(row, "pearson")) for row in rows],
        ("metric", "k", "kink width", "runs", "Kendall's tau", "Jaccard", "by chance", "tied", "Spearman", "Pearson"))


def number(row, name):
    if row[name] is None:
        return "-"
    spread = row.get(name + "_std")
    return f"{row[name]:.3f}" + ("" if spread is None else f" ± {spread:.3f}")


def tied(row):
    """How many targets ties leave in or out of the critical sets."""
    value = row.get("tied_at_edge")
    return "-" if value is None else f"{value:g}"


SECTIONS = [("Truth and estimate", scatter), ("Figure 1: Kendall's tau and Jaccard index by k", figure_1)]
