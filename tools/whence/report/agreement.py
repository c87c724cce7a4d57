"""validation.json as Figure 1 of Terashita et al., "Influence Estimation for Generative Adversarial Networks",
ICLR 2021: how well estimates agree with retraining, by the number of epochs traced back."""
import matplotlib.pyplot as plt
import numpy as np

from .page import picture, table

TITLE = "Estimates against retraining"
FILES = ("validation.json",)
NAMES = {"all": "ALL", "is": "IS", "log-is": "log IS", "fid": "FID", "disc-loss": "disc. loss",
         "gen-loss": "gen. loss"}


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


def draw(axis, rows, name, title, chance):
    for number, (label, mine) in enumerate(curves(rows)):
        k = [row["epochs_back"] for row in mine]
        mean = np.array([np.nan if row[name] is None else row[name] for row in mine])
        spread = np.array([row.get(name + "_std") or 0 for row in mine])
        axis.errorbar(k, mean, yerr=spread if spread.any() else None, marker="o", markersize=4, capsize=3,
                      color=f"C{number}", label=label)
    axis.axhline(chance, color="0.6", linestyle="--", linewidth=1, label="by chance")
    ticks = sorted({row["epochs_back"] for row in rows})
    if max(ticks) > 2 * min(ticks):
        axis.set_xscale("log")
    axis.set_xticks(ticks, labels=[str(k) for k in ticks])
    axis.minorticks_off()
    low = min([row[name] or 0 for row in rows] + [0])
    axis.set(title=title, xlabel="k, epochs traced back", ylim=(min(-0.05, low - 0.1), 1.05))
    axis.grid(alpha=0.3)


def figure_1(run):
    rows = run.json("validation.json")["rows"]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8))
    draw(left, rows, "kendall_tau", "Kendall's tau", 0)
    draw(right, rows, "jaccard", "Jaccard index of critical instances", by_chance(rows))
    left.legend(fontsize=8)
    figure.tight_layout()
    runs, targets = max(row["runs"] for row in rows), rows[0]["targets"]
    spread = f"mean and standard deviation of {runs} runs" if runs > 1 else "one run"
    note = "".join("; " + note for note in dict.fromkeys(row["note"] for row in rows if "note" in row))
    return picture(figure, f"Agreement of estimated with true influence: {spread}, {targets} targets each{note}") + table(
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


SECTIONS = [("Figure 1: Kendall's tau and Jaccard index by k", figure_1)]
