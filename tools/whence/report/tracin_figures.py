"""The figures of VAE-TracIn (Kong and Chaudhuri, NeurIPS 2021) as HTML."""
import matplotlib.pyplot as plt
import numpy as np

from .page import picture, row_of_axes
from .tracin_together import shares


def as_image(flat, shape):
    if len(shape) == 3 and shape[0] == 1:
        shape = shape[1:]
    return flat.reshape(shape).transpose(1, 2, 0) if len(shape) == 3 else flat.reshape(shape)


def grid(rows, shape, caption):
    """Rows of images."""
    columns = max(len(row) for row in rows)
    figure, axes = plt.subplots(len(rows), columns, figsize=(0.6 * columns, 0.72 * len(rows)), squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    for row, of_row in zip(rows, axes):
        for image, axis in zip(row, of_row):
            axis.imshow(np.clip(as_image(image, shape), 0, 1), cmap="gray", vmin=0, vmax=1)
    return picture(figure, caption)


def images(scores):
    """Figures 1, 3, 4 and 21: the highest and lowest self-influences, or queries with proponents and opponents."""
    if "picture" not in scores or "top" not in scores or len(scores.shape) < 2:
        return ""
    pictures = dict(zip(scores["picture_position"].tolist(), scores["picture"]))
    top, bottom = scores["top"].tolist(), scores["bottom"].tolist()
    if "self_influence" in scores:
        rows = [[pictures[p] for p in line[part:part + 20] if p in pictures]
                for line in (top[0], bottom[0]) for part in (0, 20)]
        return grid([row for row in rows if row], scores.shape, "Above the highest, below the lowest self-influences")
    rows = [[query] + [pictures[p] for line in lists for p in line[:8] if p in pictures]
            for query, *lists in zip(scores["query_picture"][:16], top, bottom)]
    return grid(rows, scores.shape, "Queries, each with its 8 strongest proponents and its 8 strongest opponents")


def self_influence_by_loss(scores):
    """Figures 2 and 9 to 11."""
    figure, (axis,) = row_of_axes(1)
    axis.scatter(-scores["loss"][-1], scores["self_influence"], s=1)
    axis.set(xlabel="negative loss", ylabel="self-influence")
    return picture(figure, "Self-influence against the loss")


def distributions(groups):
    """Figures 14 and 16: a panel for each run."""
    every = [scores for group in groups for scores in group.scores]
    figure, axes = row_of_axes(len(every))
    for axis, scores in zip(axes, every):
        edges, densities = shares(scores)
        for density, name, colour in zip(densities, ("planted", "own"), ("tab:red", "tab:blue")):
            axis.stairs(density, edges, fill=True, alpha=0.5, label=name, color=colour)
        axis.set_title("%s, d = %s, beta = %s, seed %s" % (
            scores.name, scores.run["latent"], scores.run["beta"], scores.run["seed"]), fontsize=7)
        axis.set(xlabel="log10 of self-influence", ylabel="density")
        axis.legend(fontsize=6)
    return picture(figure, "Self-influences of the planted and of the own instances")


def detection_curves(groups):
    """Figures 15 and 17: a mean curve with its standard error for each group of repeats."""
    figure, (axis,) = row_of_axes(1)
    for group in groups:
        checked, found, error = group.mean_curve()
        line, = axis.plot(checked, found, label="%s (%d)" % (group.label(), len(group.scores)))
        if error is not None:
            axis.fill_between(checked, found - error, found + error, color=line.get_color(), alpha=0.3, linewidth=0)
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.5, label="by chance")
    axis.set(xlabel="fraction checked", ylabel="fraction of planted instances found")
    axis.legend(fontsize=6, loc="upper left", bbox_to_anchor=(0, -0.15))  # names of settings are long
    return picture(figure, "Detection curves: mean and standard error over runs (their number in brackets)")


def error_by_samples(tables):
    """Theorem 1: the errors, and a line of slope -1/2 through the first of each table."""
    figure, (axis,) = row_of_axes(1)
    for number, row in enumerate(tables):
        points = np.array([pair for pair in zip(row["m"], row["error"]) if pair[1] > 0])
        if not len(points):
            continue
        m, error = points.T
        axis.loglog(m, error, "o-", color=f"C{number}", label="against " + row["truth"])
        axis.loglog(m, error[0] * (m / m[0]) ** -0.5, "--", color=f"C{number}", linewidth=1, label="slope -1/2")
    axis.set(xlabel="m, samples of the latent", ylabel="root mean square error of the scores")
    axis.legend(fontsize=6)
    return picture(figure, "Error of the scores against the number of samples")
