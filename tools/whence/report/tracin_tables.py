"""The tables of VAE-TracIn (Kong and Chaudhuri, NeurIPS 2021) that one file gives; None where a file has no such table."""
import numpy as np
from scipy import stats

FOREMOST = 0.001  # the strongest proponents and opponents: 0.1 % of the training set


def spread(values):
    """Mean and standard deviation, which is what the paper's tables give after the sign."""
    return [float(np.mean(values)), float(np.std(values))]


def quartiles(values):
    return np.quantile(values, (0.25, 0.5, 0.75)).tolist()


def rank(row, position):
    """The instance's place in the order of `top`, from 0 for the highest score; NaN for a score that is none."""
    own = row[position]
    return np.nan if np.isnan(own) else int((row > own).sum() + (row[:position] == own).sum())


def self_top(scores):
    """Tables 1 and 5: how often a training instance is its own strongest proponent, or among the five strongest."""
    if scores.queries not in ("train", "ids") or "score" not in scores:
        return None
    ranks = np.array([rank(scores.file["score"][q], position) for q, position in enumerate(scores["query_position"])])
    return {"queries": len(ranks), "self_top1": float((ranks == 0).mean()), "self_top5": float((ranks < 5).mean()),
            "self_rank_quantiles": quartiles(ranks)}


def foremost(scores):
    """Tables 2, 3 and 10: classes, distances and norms in the latent space of the strongest 0.1 %; not of games without
    latent means."""
    if scores.queries != "test" or "score" not in scores or not any(name in scores for name in
                                                                    ("latent_mean", "query_latent_mean")):
        return None
    latent, of_queries = scores["latent_mean"], scores["query_latent_mean"]
    norms = np.linalg.norm(latent, axis=1)
    count = max(1, round(FOREMOST * len(latent)))
    found = {kind: {"same_class": [], "distance": [], "norm": []} for kind in ("proponents", "opponents", "all")}
    labels = scores["label"] if "label" in scores else None
    for q in range(len(of_queries)):
        order = np.argsort(scores.file["score"][q], kind="stable")
        distance = np.linalg.norm(latent - of_queries[q], axis=1)
        for kind, chosen in (("proponents", order[-count:]), ("opponents", order[:count]), ("all", slice(None))):
            found[kind]["distance"].append(distance[chosen])
            found[kind]["norm"].append(norms[chosen])
            if labels is not None:
                found[kind]["same_class"].append(labels[chosen] == scores["query_label"][q])
    result = {"queries": len(of_queries), "foremost": count}
    for kind, values in found.items():
        result[kind] = {"distance": spread(np.concatenate(values["distance"])), "norm": spread(np.concatenate(values["norm"]))}
        if labels is not None:
            result[kind]["same_class"] = float(np.concatenate(values["same_class"]).mean())
    return result


def mixtures(scores):
    """Table 6: ranks of the two instances that a mixture is made of; 0 is the highest score."""
    if scores.queries != "mixtures" or "score" not in scores:
        return None
    ranks = {"major": [], "minor": []}
    for q in range(len(scores["query_id"])):
        row = scores.file["score"][q]
        for part in ranks:
            ranks[part].append(rank(row, scores.file[part][q]))
    return {"mixtures": len(ranks["major"]), "major_top1": float(np.mean(np.array(ranks["major"]) == 0)),
            **{part + "_rank_quantiles": quartiles(values) for part, values in ranks.items()}}


def loss_changes(scores):
    """Table 7: Pearson's correlation of predicted and true loss changes between consecutive checkpoints."""
    if "predicted_change" not in scores:
        return None
    change = scores["query_loss"][:-1] - scores["query_loss"][1:]
    predicted = scores["predicted_change"][:-1]
    if change.size < 2 or np.ptp(change) == 0 or np.ptp(predicted) == 0:
        return None  # a correlation takes two points that differ
    return {"intervals": change.shape[0], "queries": change.shape[1],
            "pearson": float(stats.pearsonr(predicted.ravel(), change.ravel())[0])}


def self_against_loss(scores):
    """Figures 2 and 9 to 11: the regression of self-influence on the negative loss at the last checkpoint."""
    if "self_influence" not in scores or "loss" not in scores:
        return None
    fit = stats.linregress(-scores["loss"][-1], scores["self_influence"])
    return {"instances": len(scores["self_influence"]), "r_squared": float(fit.rvalue ** 2), "slope": float(fit.slope)}


PER_FILE = {"self_top": self_top, "foremost": foremost, "mixtures": mixtures, "loss_changes": loss_changes,
            "self_against_loss": self_against_loss}
