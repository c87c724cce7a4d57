"""Shows a validated run folder: a table beside the paper's Figure 1, and a picture of true against estimated
influence for each k. Usage: show_validation.py RUN [--png FILE]"""
import argparse
import os
import sys

from ..results import Missing, Run, text
from .page import GRAPHITE, plt
from .paper import PAPER


def figure(row, name, digits=".3f"):
    """A number of the row; "-" where it is not defined."""
    return "-" if row[name] is None else format(row[name], digits)


def print_table(rows, paper):
    print(f"{'metric':<10}{'k':>4} {'kink':>7} {'tau':>7} {'p':>9} {'Jaccard':>8} {'chance':>7} {'Spearman':>9}"
          f"   {'paper: tau':>10} {'Jaccard':>8}")
    for row in rows:
        tau, jaccard = paper.get(row["metric"], {}).get(row["epochs_back"], (None, None))
        beside = f"{tau:>10.2f} {jaccard:>8.2f}" if tau is not None else f"{'-':>10} {'-':>8}"
        print(f"{row['metric']:<10}{row['epochs_back']:>4} {row['kink_width']:>7g} {figure(row, 'kendall_tau'):>7} "
              f"{figure(row, 'kendall_p', '.1e'):>9} {figure(row, 'jaccard'):>8} {figure(row, 'jaccard_chance'):>7} "
              f"{figure(row, 'spearman'):>9}   {beside}")
    for note in dict.fromkeys(row["note"] for row in rows if "note" in row):
        print(note)


def print_seconds(run):
    if not run.has("summary.json"):
        return
    summary = run.json("summary.json")
    parts = [f"{entry} {summary[entry]['seconds']:.1f} s ({summary[entry]['ranks']} ranks)"
             for job in ("train", "influence", "counterfactual") for entry in summary if entry.partition("-")[0] == job]
    print("seconds: " + ", ".join(parts))


def scatter(axis, truth, estimate, title):
    axis.axline((0, 0), slope=1, color=GRAPHITE, linewidth=1, zorder=0)
    axis.plot(truth, estimate, ".", markersize=4)
    axis.set_title(title, fontsize=9)
    axis.ticklabel_format(style="sci", scilimits=(-2, 2))
    axis.tick_params(labelsize=7)


def draw(run, png):
    truth = run.file("counterfactual.h5", "whence.counterfactual")
    estimates = run.file("influence.h5", "whence.influence")
    names, estimated = (text(file, "metrics").split(",") for file in (truth, estimates))
    metrics = [m for m in names if m in estimated]
    horizons = [k for k in truth["epochs_back"][:] if k in estimates["epochs_back"][:]]
    widths = estimates["kink_width"][:]
    rows = [(m, w) for m in metrics for w in range(len(widths))]
    figure, axes = plt.subplots(len(rows), len(horizons), squeeze=False, figsize=(3.2 * len(horizons), 3.0 * len(rows)))
    for i, (metric, width) in enumerate(rows):
        for j, k in enumerate(horizons):
            real = truth["influence"][names.index(metric), list(truth["epochs_back"][:]).index(k)]
            mine = estimates["influence"][width, estimated.index(metric), list(estimates["epochs_back"][:]).index(k)]
            scatter(axes[i][j], real, mine[truth["target_position"][:]],
                    f"{metric}, k = {k}, kink width {widths[width]:g}")
        axes[i][0].set_ylabel("estimated influence")
    for axis in axes[-1]:
        axis.set_xlabel("true influence")
    figure.tight_layout()
    figure.savefig(png, dpi=130)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run")
    parser.add_argument("--png", help="picture to write; default: RUN/validation.png")
    arguments = parser.parse_args()
    png = arguments.png or os.path.join(arguments.run, "validation.png")
    run = Run(arguments.run)
    try:
        validation = run.json("validation.json")
        draw(run, png)
        print()
        print_table(validation["rows"], PAPER["normal2d"])
        print_seconds(run)
    except Missing as reason:
        sys.exit(f"show_validation: {arguments.run}: {reason}")
    print(validation["sign_convention"])
    print(f"paper: Terashita et al., ICLR 2021, Figure 1, mean of 10 seeds\nrun folder: {arguments.run}\npicture: {png}")
