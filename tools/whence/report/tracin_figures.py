"""The figures of VAE-TracIn (Kong and Chaudhuri, NeurIPS 2021) as HTML."""
import numpy as np

from ..instances import images_shape
from .page import GRAPHITE, MOST_VECTORS, colour, picture, row_of_axes, signed, thumbs
from .tracin_together import shares


QUERIES, COLOURED_QUERIES, EACH = 16, 8, 7


def images(scores):
    """Figures 1, 3, 4 and 21: the highest and lowest self-influences; or queries, each with its proponents and its opponents
    apart. Below each image: id, label, score."""
    shape = images_shape(tuple(scores.shape))
    if "picture" not in scores or "top" not in scores or shape is None:
        return ""
    pictures = dict(zip(scores["picture_position"].tolist(), scores["picture"]))
    ids, labels = scores["instance_id"], scores["label"] if "label" in scores else None

    def thumbs_of(positions, values):
        at_hand = [p for p in positions if p in pictures]
        lines = [[f"id {ids[p]}"] + ([] if labels is None else [f"label {labels[p]}"]) + [signed(values[p])] for p in at_hand]
        return thumbs([pictures[p].reshape(shape) for p in at_hand], lines)

    top, bottom = scores["top"].tolist(), scores["bottom"].tolist()
    if "self_influence" in scores:
        values = scores["self_influence"]
        return "".join(f"<h5>{title} self-influences</h5>{thumbs_of(lists[0][:20], values)}"
                       for title, lists in (("highest", top), ("lowest", bottom)))
    if "query_picture" not in scores:
        return ""
    of_queries = scores["query_label"] if "query_label" in scores else None
    parts = []
    for q, query in enumerate(scores["query_picture"][:QUERIES if len(shape) == 2 else COLOURED_QUERIES]):
        name = [f"id {scores['query_id'][q]}"] + ([] if of_queries is None else [f"label {of_queries[q]}"])
        values = scores.file["score"][q]
        parts.append('<div class="query"><div><h5>query</h5>%s</div><div><h5>proponents</h5>%s</div>'
                     "<div><h5>opponents</h5>%s</div></div>" % (
                         thumbs([query.reshape(shape)], [name]), thumbs_of(top[q][:EACH], values),
                         thumbs_of(bottom[q][:EACH], values)))
    return "".join(parts) + ("<p>Below each image: id, label, score. Proponents: removing one raises the query's loss; "
                             "opponents lower it.</p>")


def self_influence_by_loss(scores):
    """Figures 2 and 9 to 11."""
    figures, (axis,) = row_of_axes(1)
    axis.scatter(-scores["loss"][-1], scores["self_influence"], s=4, linewidths=0, rasterized=len(scores["self_influence"]) > MOST_VECTORS)
    axis.set(xlabel="negative loss", ylabel="self-influence")
    return picture(figures, "Self-influence against the loss")


def distributions(groups):
    """Figures 14 and 16: a panel for each run."""
    every = [scores for group in groups for scores in group.scores]
    figures, axes = row_of_axes(len(every), 3.6, 2.9)
    for axis, scores in zip(axes, every):
        edges, densities = shares(scores)
        for density, name, shade in zip(densities, ("planted", "own"), (colour(3), colour(0))):
            axis.stairs(density, edges, fill=True, alpha=0.5, label=name, color=shade)
        axis.set_title("%s, d = %s, beta = %s, seed %s" % (
            scores.name, scores.run["latent"], scores.run["beta"], scores.run["seed"]), fontsize=8)
        axis.set(xlabel="log10 of self-influence", ylabel="density")
        axis.legend()
    return picture(figures, "Self-influences of the planted and of the own instances")


def detection_curves(groups):
    """Figures 15 and 17: a mean curve with its standard error for each group of repeats."""
    figures, (axis,) = row_of_axes(1)
    for group in groups:
        checked, found, error = group.mean_curve()
        line, = axis.plot(checked, found, label="%s (%d)" % (group.label(), len(group.scores)))
        if error is not None:
            axis.fill_between(checked, found - error, found + error, color=line.get_color(), alpha=0.3, linewidth=0)
    axis.plot([0, 1], [0, 1], color=GRAPHITE, linewidth=0.5, label="by chance")
    axis.set(xlabel="fraction checked", ylabel="fraction of planted instances found")
    axis.legend(loc="upper left", bbox_to_anchor=(0, -0.15))  # names of settings are long
    return picture(figures, "Detection curves: mean and standard error over runs (their number in brackets)")


def error_by_samples(tables):
    """Theorem 1: the errors, and a line of slope -1/2 through the first of each table."""
    figures, (axis,) = row_of_axes(1)
    for number, row in enumerate(tables):
        points = np.array([pair for pair in zip(row["m"], row["error"]) if pair[1] > 0])
        if not len(points):
            continue
        m, error = points.T
        axis.loglog(m, error, "o-", color=colour(number), label="against " + row["truth"])
        axis.loglog(m, error[0] * (m / m[0]) ** -0.5, "--", color=colour(number), linewidth=1, label="slope -1/2")
    axis.set(xlabel="m, samples of the latent", ylabel="root mean square error of the scores")
    axis.legend()
    return picture(figures, "Error of the scores against the number of samples")
