"""The instances that matter most, by influence.h5: harmful and helpful, with what retraining says of them."""
import numpy as np

from ..results import Missing
from ..runs import larger_is_better
from .page import picture, row_of_axes, scatter_signed, significant, signed, table, thumbs
from .paper import NAMES, UNITS

TITLE = "The most harmful and most helpful instances"
FILES = ("influence.h5",)
SHOWN, IN_PICTURES, MOST_HORIZONS = 10, 14, 3


def ends_of(metric):
    return ("harmful", "helpful") if larger_is_better(metric) is not None else ("raised", "lowered")


WORDS = {"harmful": "most harmful: without one the metric is better", "helpful": "most helpful: without one the metric is worse",
         "raised": "removal raises the metric most", "lowered": "removal lowers the metric most"}


def label(rows, i):
    return [f"label {rows['label'][i]}"] if "label" in (rows.columns if hasattr(rows, "columns") else rows.dtype.names) else []


def lines_of(rows, i):
    true = rows["truth"][i]
    return [f"id {rows['id'][i]}"] + label(rows, i) + [signed(rows["influence"][i])] + (
        [f"true {signed(true)}"] if np.isfinite(true) else [])


def end_of(run, metric, k, end):
    rows = run.top(metric, k, IN_PICTURES, end)
    try:
        drawn = thumbs(run.images(np.asarray(rows["id"])), [lines_of(rows, i) for i in range(len(rows))])
    except Missing:
        drawn = table([(i + 1, rows["id"][i], *[text[6:] for text in label(rows, i)], signed(rows["influence"][i]),
                        significant(rows["truth"][i])) for i in range(min(SHOWN, len(rows)))],
                      ("rank", "id", *(["label"] if label(rows, 0) else []), "influence", "true"))
    return f"<div><h5>{WORDS[end]}</h5>{drawn}</div>"


def lists(run):
    parts = []
    horizons = run.epochs_back
    for metric in run.metrics[:6]:
        for k in horizons[:MOST_HORIZONS]:
            width = run.best_kink_width(metric, k)
            about = f"{NAMES.get(metric, metric)}, k = {k}" + (f", kink width {width:g}" if len(run.kink_widths) > 1 else "")
            unit = f", in {UNITS[metric]}" if metric in UNITS else ""
            parts.append(f"<h4>Influence on {about}{unit}</h4><div class=\"row\">"
                         + "".join(end_of(run, metric, k, end) for end in ends_of(metric)) + "</div>")
    return "".join(parts)


def in_the_plane(run):
    """Influence over the plane, where the instances are points of it and a file holds them."""
    if not run.has("cleansing.h5"):
        return ""
    file = run.opened("cleansing.h5")
    if "instances" not in file or list(file["shape"][...]) != [2]:
        return ""
    points = file["instances"][...]
    asked = [(metric, k) for metric in run.metrics[:3] for k in run.epochs_back[:2]]
    figures, axes = row_of_axes(len(asked))
    for axis, (metric, k) in zip(axes, asked):
        values = np.asarray(run.influence(metric, k)["influence"])
        scatter_signed(axis, points, values, f"{NAMES.get(metric, metric)}, k = {k}", f"influence ({UNITS.get(metric, 'no unit')})")
        axis.set(aspect="equal", xlabel="x1", ylabel="x2")
    return picture(figures, "Training instances by their influence: red ones raise the metric by being removed, blue ones lower it")


WINDOW, WARNED_OF = 25, 1.5  # steps, and growth of |u| over them (trace/adjoint_norms.h)


def growth(norms, back):
    """Largest growth over the window, or all the way where that is shorter."""
    window = min(WINDOW, back[-1])
    begin = np.searchsorted(back, back - window)
    ends = [j for j, i in enumerate(begin) if back[j] - back[i] == window and norms[i] > 0]
    return max((norms[j] / norms[begin[j]] for j in ends), default=1)


def way_back(run):
    """|u| against steps back, where bursts are; and what paths expect of the agreement with retraining."""
    file = run.opened("influence.h5")
    if "adjoint_norm" not in file:
        return ""
    norms, back = file["adjoint_norm"][...], file["norm_steps_back"][...]
    figures, axes = row_of_axes(1, 6.5)
    worst = []
    for m, metric in enumerate(run.metrics[:8]):
        h = int(np.argmax([growth(norms[h, m], back) for h in range(len(norms))]))
        worst.append(growth(norms[h, m], back))
        axes[0].plot(back, norms[h, m], label=f"{NAMES.get(metric, metric)}: {significant(worst[-1])}-fold over {WINDOW} steps at most")
    if (norms > 0).all():
        axes[0].set_yscale("log")
    axes[0].set(xlabel="steps back from the end", ylabel="|u|")
    axes[0].legend()
    words = "The norm of each query on its way back; where it grows in a burst, training was unstable"
    if max(worst) > WARNED_OF:
        words += f"; growth over {WARNED_OF}-fold within {WINDOW} steps: estimates from further back may be wrong"
    drawn = picture(figures, words)
    if "path_tau" not in file:
        return drawn
    rows = [(NAMES.get(metric, metric), k, f"{width:g}", significant(file["path_tau"][h, m, j]))
            for m, metric in enumerate(run.metrics) for j, k in enumerate(run.epochs_back) for h, width in enumerate(run.kink_widths)]
    return drawn + table(rows, ("metric", "k", "kink width", f"tau between paths, of {file['path_id'].shape[1] + 1} paths"))


SECTIONS = [("", lists), ("Where they lie", in_the_plane), ("The queries on their way back", way_back)]
