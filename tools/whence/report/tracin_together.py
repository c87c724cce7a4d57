"""The tables of VAE-TracIn that take several files: over repeats, over removals, over numbers of samples, and against
retraining. `attempts` keeps the names of files that could not be used, so that the others still make the table."""
import os

import h5py
import numpy as np
from scipy import stats

from ..results import text

FEWEST_SAMPLES = 4  # numbers of samples, with that of the truth, below which a slope says nothing


def detection_curve(scores):
    """Fraction of planted instances among the first so many in the order of self-influence, from 0 to all."""
    planted = scores.planted()
    order = np.argsort(-scores["self_influence"], kind="stable")
    return np.concatenate([[0], np.cumsum(planted[order]) / planted.sum()])


def planted_curve(scores):
    """The detection curve of a file with self-influences of planted instances; None of another."""
    return detection_curve(scores) if "self_influence" in scores and scores.planted().any() else None


class Repeats:
    """Runs that differ in their seeds alone, with their detection curves. `settings`: what sets them apart from others."""

    def __init__(self, every_setting):
        self.every_setting, self.settings, self.scores, self.curves = every_setting, {}, [], []

    def label(self):
        return ", ".join("%s %s" % pair for pair in self.settings.items()) or "all runs"

    def mean_curve(self):
        """Shares checked, and the mean and the standard error (None of one run) of the fraction found there."""
        checked = np.linspace(0, 1, max(map(len, self.curves)))
        found = np.array([np.interp(checked, np.linspace(0, 1, len(curve)), curve) for curve in self.curves])
        return checked, found.mean(0), standard_error(found)


def standard_error(values):
    """Of the mean over the first axis; None of a single value."""
    return np.std(values, axis=0, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else None


def repeats_of(all_scores, attempts):
    """The files of planted instances, grouped by settings but for the seed. A run counts once in a group, however many
    files or copies of it there are."""
    groups = {}
    for scores in all_scores:
        curve = attempts(scores.name + ": detection", planted_curve, scores)
        if curve is None:
            continue
        settings = {**{k: v for k, v in scores.run.items() if k != "seed"},
                    **{"tracin " + k: v for k, v in scores.options_but("query-noise")}}
        group = groups.setdefault(tuple(sorted(settings.items())), Repeats(settings))
        if scores.fingerprint not in [other.fingerprint for other in group.scores]:
            group.scores.append(scores)
            group.curves.append(curve)
    found = list(groups.values())
    for group in found:
        group.settings = {k: v for k, v in group.every_setting.items()
                          if any(other.every_setting.get(k) != v for other in found)}
    return found


def detection(groups):
    """Table 8: area under the detection curve, a row for each group of repeats."""
    rows = []
    for group in groups:
        areas = [float(np.trapz(curve, dx=1 / (len(curve) - 1))) for curve in group.curves]
        error = standard_error(areas)
        rows.append({"settings": group.settings, "runs": [scores.name for scores in group.scores], "auc": areas,
                     "auc_mean": float(np.mean(areas)), "auc_standard_error": None if error is None else float(error)})
    return rows


def shares(scores):
    """Figures 14 and 16: shares of the planted and of the own instances by the logarithm of their self-influence.

    Edges of 60 bins [61], and for planted and own instances each a density that integrates to 1 over log10."""
    planted = scores.planted()
    values = np.log10(np.maximum(scores["self_influence"], np.finfo(float).tiny))
    edges = np.histogram_bin_edges(values, 60)
    return edges, [np.histogram(values[chosen], edges, density=True)[0] for chosen in (planted, ~planted)]


def removal_row(scores):
    planted = scores.run.get("plant", "none")
    whole = int(scores.run["instances"]) + (0 if planted == "none" else int(planted.rsplit(":", 1)[1]))
    return {"file": scores.name, "removed": whole - len(scores["instance_id"]), "queries": len(scores["query_id"]),
            "loss": float(scores["query_loss"][-1].mean())}


def removal(all_scores, attempts):
    """Table 9: mean test loss at the end, against how many instances were left out of training."""
    rows = [attempts(scores.name + ": removal", removal_row, scores) for scores in all_scores if scores.queries == "test"]
    rows = sorted(filter(None, rows), key=lambda row: row["removed"])
    return rows if any(row["removed"] for row in rows) else []


def error_against(truth, scores):
    return float(np.sqrt(np.mean((scores["score"] - truth) ** 2)))


def slope_of(m, error):
    """Of log error in log m, over errors above 0; None of fewer than two."""
    logs = np.log([pair for pair in zip(m, error) if pair[1] > 0])
    return float(np.polyfit(*logs.T, 1)[0]) if len(logs) > 1 else None


def samples_needed(all_scores, attempts):
    """Theorem 1: root mean square error of scores against m, the largest m standing for the truth."""
    groups = {}
    for scores in all_scores:
        if "score" in scores:
            # One file for each m: another with the same samples has the same noise, and with the truth's, no error.
            same = groups.setdefault((scores.folder, scores.options_but("samples")), {})
            same.setdefault(int(scores.options["samples"]), scores)
    tables = []
    for group in groups.values():
        if len(group) < FEWEST_SAMPLES:
            continue
        *less, most = sorted(group)
        truth = attempts(group[most].name + ": samples_needed", group[most].__getitem__, "score")
        if truth is None:
            continue
        errors = {m: attempts(group[m].name + ": samples_needed", error_against, truth, group[m]) for m in less}
        m = [m for m in less if errors[m] is not None]
        error = [errors[one] for one in m]
        tables.append({"m": m, "error": error, "truth_m": most, "truth": group[most].name, "slope": slope_of(m, error)})
    return tables


def trace_back_taus(estimate, truth, metric, at, positions):
    """((epochs, method), tau) of the estimates of one test loss; `at`: its place among the estimates."""
    for k, epochs in enumerate(truth["epochs_back"][...]):
        for place in np.flatnonzero(estimate["epochs_back"][...] == epochs)[:1]:
            for h, width in enumerate(estimate["kink_width"][...]):
                tau = stats.kendalltau(truth["influence"][metric, k], estimate["influence"][h, at, place][positions])[0]
                yield (int(epochs), "trace-back, kink width %g" % width), tau


def tracin_taus(scores, truth, losses, estimated_epochs, positions):
    """((epochs, method), tau) of the scores; `losses`: (metric, number of the query) of each true loss."""
    own = ", noise of training" if scores.options.get("instance-noise") == "training" else ""
    label = "tracin, weights %s, m = %s%s (%s)" % (
        scores.options["weights"], scores.options["samples"], own, os.path.basename(scores.name))
    return [((int(epochs), label), stats.kendalltau(truth["influence"][metric, k], scores.file["score"][query][positions])[0])
            for metric, query in losses if query < len(scores["query_id"])
            for k, epochs in enumerate(truth["epochs_back"][...]) if epochs in estimated_epochs]


def judged(folder, candidates, attempts):
    """Kendall's tau of trace-back and of TracIn with the true change of single test losses, query by query."""
    paths = [os.path.join(folder, name) for name in ("influence.h5", "counterfactual.h5")]
    candidates = [s for s in candidates if s.queries == "test" and "score" in s]
    if not all(map(os.path.exists, paths)) or not candidates:
        return []
    grouped = {}
    with h5py.File(paths[0], "r") as estimate, h5py.File(paths[1], "r") as truth:
        estimated = text(estimate, "metrics").split(",")
        losses = [(metric, name) for metric, name in enumerate(text(truth, "metrics").split(","))
                  if name.startswith("loss:") and name in estimated]
        positions = truth["target_position"][...]
        taus = [pair for metric, name in losses
                for pair in trace_back_taus(estimate, truth, metric, estimated.index(name), positions)]
        queries = [(metric, int(name.split(":")[1])) for metric, name in losses]
        for scores in candidates:
            taus += attempts(scores.name + ": judged_by_retraining", tracin_taus, scores, truth, queries,
                             estimate["epochs_back"][...], positions) or []
    for method, tau in taus:
        if np.isfinite(tau):  # of a loss that no removal changes there is none
            grouped.setdefault(method, []).append(tau)
    return [{"epochs_back": epochs, "method": method, "queries": len(values), "targets": len(positions),
             "kendall_tau": float(np.mean(values)), "kendall_tau_std": float(np.std(values))}
            for (epochs, method), values in sorted(grouped.items(), key=lambda item: item[0][0])]
