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


SECTIONS = [("", lists), ("Where they lie", in_the_plane)]
