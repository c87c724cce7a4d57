"""How training went: losses and watched metrics, samples from the same latents at some moments, the first instances."""
import numpy as np

from ..instances import images_shape
from ..results import Missing, text
from .page import colour, image, picture, row_of_axes, sheet, thumbs
from .paper import NAMES, unit_of

TITLE = "Training"
FILES = ("history.h5", "trajectory.h5")
SHOWN = 14


def history(run):
    if not run.has("history.h5"):
        return ""
    file = run.opened("history.h5")
    names, rows = text(file, "columns").split(","), run.history()
    epoch = np.asarray(rows["epoch"])
    losses, metrics = [n for n in names if n.startswith("loss.")], [n for n in names if not n.startswith("loss.")]
    figures, axes = row_of_axes(1 + len(metrics), 3.8, 2.9)
    for number, name in enumerate(losses):
        axes[0].plot(epoch, np.asarray(rows[name]), color=colour(number), label=name[5:])
    axes[0].set(title="losses", xlabel="epoch", ylabel="loss of held-out instances")
    values = np.concatenate([np.asarray(rows[name]) for name in losses])
    finite = values[np.isfinite(values)]
    if len(finite) and np.abs(finite).max() > 1000 * max(np.median(np.abs(finite)), 1e-3):
        axes[0].set_yscale("symlog")
    axes[0].legend()
    for axis, name in zip(axes[1:], metrics):
        axis.plot(epoch, np.asarray(rows[name]), color=colour(0))
        axis.set(title=NAMES.get(name, name), xlabel="epoch", ylabel=NAMES.get(name, name) + unit_of(name))
    for axis in axes:
        axis.grid(True)
    return picture(figures, "While it trained, epoch by epoch: losses of each player on the same up to 500 held-out instances"
                   + (", watched metrics" if metrics else ""))


def samples(run):
    if not run.has("history.h5") or "sample" not in run.opened("history.h5"):
        return ""
    file = run.opened("history.h5")
    shape = images_shape(tuple(int(n) for n in file["shape"][...]))
    if shape is None:
        return ""
    steps, per_epoch = file["sample_step"][...], int(text(file, "steps_per_epoch"))
    parts = "".join(f"<div>{image(sheet(file['sample'][s][:16], shape, 4), f'samples at step {t}', 120)}"
                    f"<br>epoch {t / per_epoch:.3g}</div>" for s, t in enumerate(steps))
    return f'<figure><div class="thumbs">{parts}</div><figcaption>Generated from the same 16 latents at {len(steps)} moments of training</figcaption></figure>'


def first_instances(run):
    """A row of images; "" where the data are none."""
    ids = [int(i) for i in run.ids[:SHOWN] if i < 10 ** 9]
    kind = run.settings.get("data", "").partition(":")[0]
    if not ids or kind in ("normal2d", "six-clusters", "csv"):
        return ""
    try:
        pictures = run.images(ids)
    except Missing as reason:
        if "not images" in str(reason):
            return ""
        raise
    labels = run.labels
    captions = [[f"id {i}"] + ([] if labels is None else [f"label {labels[n]}"]) for n, i in enumerate(ids)]
    return (f"<figure>{thumbs(pictures, captions)}<figcaption>The first {len(ids)} training instances</figcaption></figure>")


SECTIONS = [("Losses and metrics", history), ("Samples", samples), ("Data", first_instances)]
