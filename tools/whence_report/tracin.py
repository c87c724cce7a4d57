#!/usr/bin/env python3
"""Tables, figures and image pages of VAE-TracIn (Kong and Chaudhuri, NeurIPS 2021) from tracin*.h5 files.

    tools/whence_report/tracin.py RUN [RUN ...] [-o tracin.html] [--json numbers.json]
    tools/whence_report/tracin.py RUN --highest 64 > ids.txt      # ids of the highest self-influences, one a line

Which tables there are follows from what the files hold: self-influence, test or training queries, mixtures, scores
weighted by visits, planted instances, instances left out, influence.h5 and counterfactual.h5 beside them.
"""
import argparse
import base64
import glob
import html
import io
import json
import os
import sys

os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"

import h5py
import numpy as np
from scipy import stats

FIRST_PLANTED = 10 ** 9
FOREMOST = 0.001  # the strongest proponents and opponents: 0.1 % of the training set


def text(value):
    return value.decode() if isinstance(value, bytes) else str(value)


def settings(lines):
    return dict(line.split(" = ", 1) for line in lines.splitlines() if " = " in line)


class Scores:
    """One tracin*.h5; arrays are read when they are used."""

    def __init__(self, path):
        self.path, self.file = path, h5py.File(path, "r")
        self.options = settings(text(self.file.attrs["settings"]))
        self.run = settings(text(self.file.attrs["run_settings"]))
        self.shape = [int(n) for n in text(self.file.attrs["shape"]).split(",")]
        self.name = os.path.join(os.path.basename(os.path.dirname(os.path.abspath(path))), os.path.basename(path))

    def __contains__(self, name):
        return name in self.file

    def __getitem__(self, name):
        return self.file[name][...]

    @property
    def queries(self):
        return self.options["queries"].split(":")[0]


def files_of(folders):
    return [Scores(path) for folder in folders for path in sorted(glob.glob(os.path.join(folder, "tracin*.h5")))]


def spread(values):
    """Mean and standard deviation, which is what the paper's tables give after the sign."""
    return [float(np.mean(values)), float(np.std(values))]


def self_top(scores):
    """Tables 1 and 5: how often a training instance is its own strongest proponent."""
    if scores.queries not in ("train", "ids") or "score" not in scores:
        return None
    return {"queries": len(scores["query_id"]), "self_top1": float((scores["top"][:, 0] == scores["query_position"]).mean())}


def foremost(scores):
    """Tables 2, 3 and 10: classes, distances and norms in the latent space of the strongest 0.1 %."""
    if scores.queries != "test" or "score" not in scores:
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
            ranks[part].append(int((row > row[scores.file[part][q]]).sum()))
    return {"mixtures": len(ranks["major"]), "major_top1": float(np.mean(np.array(ranks["major"]) == 0)),
            **{part + "_rank_quantiles": np.quantile(values, (0.25, 0.5, 0.75)).tolist() for part, values in ranks.items()}}


def loss_changes(scores):
    """Table 7: Pearson's correlation of predicted and true loss changes between consecutive checkpoints."""
    if "predicted_change" not in scores:
        return None
    change = scores["query_loss"][:-1] - scores["query_loss"][1:]
    predicted = scores["predicted_change"][:-1]
    return {"intervals": change.shape[0], "queries": change.shape[1], "pearson": float(stats.pearsonr(predicted.ravel(), change.ravel())[0])}


def self_against_loss(scores):
    """Figures 2 and 9 to 11: the regression of self-influence on the negative loss at the last checkpoint."""
    if "self_influence" not in scores or "loss" not in scores:
        return None
    fit = stats.linregress(-scores["loss"][-1], scores["self_influence"])
    return {"instances": len(scores["self_influence"]), "r_squared": float(fit.rvalue ** 2), "slope": float(fit.slope)}


def detection_curve(scores):
    """Fraction of planted instances among the first so many in the order of self-influence, from 0 to all."""
    planted = scores["instance_id"] >= FIRST_PLANTED
    order = np.argsort(-scores["self_influence"], kind="stable")
    return np.concatenate([[0], np.cumsum(planted[order]) / planted.sum()])


def shares(scores):
    """Figures 14 and 16: shares of the planted and of the own instances by the logarithm of their self-influence.

    Edges of 60 bins [61], and for planted and own instances each a density that integrates to 1 over log10."""
    planted = scores["instance_id"] >= FIRST_PLANTED
    values = np.log10(np.maximum(scores["self_influence"], np.finfo(float).tiny))
    edges = np.histogram_bin_edges(values, 60)
    return edges, [np.histogram(values[chosen], edges, density=True)[0] for chosen in (planted, ~planted)]


def detection(all_scores):
    """Figures 15 and 17, Table 8: area under the detection curve, over runs (repeats)."""
    having = [s for s in all_scores if "self_influence" in s and (s["instance_id"] >= FIRST_PLANTED).any()]
    if not having:
        return None, []
    areas = [float(np.trapz(curve, dx=1 / (len(curve) - 1))) for curve in map(detection_curve, having)]
    error = float(np.std(areas, ddof=1) / np.sqrt(len(areas))) if len(areas) > 1 else None
    return {"runs": [s.name for s in having], "auc": areas, "auc_mean": float(np.mean(areas)), "auc_standard_error": error}, having


def removal(all_scores):
    """Table 9: mean test loss at the end, against how many instances were left out of training."""
    rows = []
    for scores in all_scores:
        if scores.queries != "test":
            continue
        planted = scores.run.get("plant", "none")
        whole = int(scores.run["instances"]) + (0 if planted == "none" else int(planted.rsplit(":", 1)[1]))
        rows.append({"file": scores.name, "removed": whole - len(scores["instance_id"]), "queries": len(scores["query_id"]),
                     "loss": float(scores["query_loss"][-1].mean())})
    return sorted(rows, key=lambda row: row["removed"]) if any(row["removed"] for row in rows) else None


def samples_needed(all_scores):
    """Theorem 1: root mean square error of scores against m, the largest m standing for the truth."""
    groups = {}
    for scores in all_scores:
        if "score" in scores:
            key = tuple(sorted((k, v) for k, v in scores.options.items() if k not in ("samples", "memory", "list")))
            groups.setdefault((os.path.dirname(scores.path), key), []).append(scores)
    tables = []
    for group in groups.values():
        group.sort(key=lambda scores: int(scores.options["samples"]))
        if len(group) < 4:
            continue
        truth = group[-1]["score"]
        m = [int(scores.options["samples"]) for scores in group[:-1]]
        error = [float(np.sqrt(np.mean((scores["score"] - truth) ** 2))) for scores in group[:-1]]
        tables.append({"m": m, "error": error, "truth_m": int(group[-1].options["samples"]),
                       "slope": float(np.polyfit(np.log(m), np.log(error), 1)[0])})
    return tables or None


def judged(folder):
    """Kendall's tau of trace-back and of TracIn with the true change of single test losses, query by query."""
    paths = [os.path.join(folder, name) for name in ("influence.h5", "counterfactual.h5")]
    candidates = [s for s in files_of([folder]) if s.queries == "test" and "score" in s]
    if not all(map(os.path.exists, paths)) or not candidates:
        return None
    with h5py.File(paths[0], "r") as estimate, h5py.File(paths[1], "r") as truth:
        names = text(truth.attrs["metrics"]).split(",")
        positions, rows = truth["target_position"][...], []
        for metric, name in enumerate(names):
            if not name.startswith("loss:") or name not in text(estimate.attrs["metrics"]).split(","):
                continue
            query = int(name.split(":")[1])
            at = text(estimate.attrs["metrics"]).split(",").index(name)
            for k, epochs in enumerate(truth["epochs_back"][...]):
                place = np.flatnonzero(estimate["epochs_back"][...] == epochs)
                if not len(place):
                    continue
                true = truth["influence"][metric, k]
                for h, width in enumerate(estimate["kink_width"][...]):
                    rows.append((int(epochs), "trace-back, kink width %g" % width,
                                 stats.kendalltau(true, estimate["influence"][h, at, place[0]][positions])[0]))
                for scores in candidates:
                    if query < len(scores["query_id"]):
                        label = "tracin, weights %s, m = %s (%s)" % (
                            scores.options["weights"], scores.options["samples"], os.path.basename(scores.path))
                        rows.append((int(epochs), label, stats.kendalltau(true, scores.file["score"][query][positions])[0]))
    grouped = {}
    for epochs, method, tau in rows:
        grouped.setdefault((epochs, method), []).append(tau)
    return [{"epochs_back": epochs, "method": method, "queries": len(taus), "targets": len(positions),
             "kendall_tau": float(np.mean(taus)), "kendall_tau_std": float(np.std(taus))}
            for (epochs, method), taus in grouped.items()] or None


PER_FILE = {"self_top": self_top, "foremost": foremost, "mixtures": mixtures, "loss_changes": loss_changes,
            "self_against_loss": self_against_loss}


def numbers(folders):
    """Every table as one dictionary."""
    all_scores, result = files_of(folders), {}
    for scores in all_scores:
        tables = {name: table(scores) for name, table in PER_FILE.items()}
        result[scores.name] = {"steps": scores["step"].tolist(), "options": scores.options, "run": scores.run,
                               **{name: table for name, table in tables.items() if table is not None}}
    together = {"detection": detection(all_scores)[0], "removal": removal(all_scores), "samples_needed": samples_needed(all_scores),
                "judged_by_retraining": {folder: judged(folder) for folder in folders if judged(folder)} or None}
    return {**result, **{name: table for name, table in together.items() if table}}


def picture_of(figure):
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90, bbox_inches="tight")
    return '<img alt="" src="data:image/png;base64,%s">' % base64.b64encode(out.getvalue()).decode()


def plot(draw, **size):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(**size)
    draw(axes)
    image = picture_of(figure)
    pyplot.close(figure)
    return image


def as_image(flat, shape):
    return flat.reshape(shape).transpose(1, 2, 0) if len(shape) == 3 else flat.reshape(shape)


def grid(rows, shape, titles):
    """Rows of images, each with a title on its left."""
    columns = max(len(row) for row in rows)

    def draw(axes):
        for axis in np.ravel(axes):
            axis.axis("off")
        for r, row in enumerate(rows):
            np.atleast_2d(axes)[r, 0].set_title(titles[r], fontsize=6, loc="left")
            for c, image in enumerate(row):
                np.atleast_2d(axes)[r, c].imshow(np.clip(as_image(image, shape), 0, 1), cmap="gray", vmin=0, vmax=1)

    return plot(draw, nrows=len(rows), ncols=columns, figsize=(0.6 * columns, 0.72 * len(rows)), squeeze=False)


def images(scores):
    """Figures 1, 3, 4 and 21: the highest and lowest self-influences, or queries with proponents and opponents."""
    if "picture" not in scores or "top" not in scores or len(scores.shape) < 2:
        return ""
    pictures = dict(zip(scores["picture_position"].tolist(), scores["picture"]))
    top, bottom = scores["top"], scores["bottom"]
    if "self_influence" in scores:
        rows = [[pictures[p] for p in line[part:part + 20] if p in pictures]
                for line in (top[0].tolist(), bottom[0].tolist()) for part in (0, 20)]
        return grid([row for row in rows if row], scores.shape, ["highest", "", "lowest", ""])
    queries, rows = scores["query_picture"], []
    for q in range(min(16, len(queries))):
        rows.append([queries[q]] + [pictures[p] for line in (top[q], bottom[q]) for p in line[:8].tolist() if p in pictures])
    return grid(rows, scores.shape, ["query, 8 strongest proponents, 8 strongest opponents"] + [""] * (len(rows) - 1))


def figures(scores):
    parts = [images(scores)]
    if self_against_loss(scores):
        parts.append(plot(lambda a: (a.scatter(-scores["loss"][-1], scores["self_influence"], s=1), a.set_xlabel("negative loss"),
                                     a.set_ylabel("self-influence")), figsize=(4, 3)))
    return "".join(parts)


def draw_shares(axis, scores):
    """One run's panel of Figures 14 and 16."""
    edges, densities = shares(scores)
    for density, name, colour in zip(densities, ("planted", "own"), ("tab:red", "tab:blue")):
        axis.stairs(density, edges, fill=True, alpha=0.5, label=name, color=colour)
    axis.set_title("%s, d = %s, beta = %s, seed %s" % (scores.name, scores.run["latent"], scores.run["beta"], scores.run["seed"]), fontsize=7)
    axis.set_xlabel("log10 of self-influence")
    axis.set_ylabel("density")
    axis.legend(fontsize=6)


def draw_curves(axis, having):
    """Figures 15 and 17."""
    for scores in having:
        curve = detection_curve(scores)
        axis.plot(np.linspace(0, 1, len(curve)), curve, label=scores.name)
    axis.plot([0, 1], [0, 1], color="grey", linewidth=0.5, label="by chance")
    axis.set_xlabel("fraction checked")
    axis.set_ylabel("fraction of planted instances found")
    axis.legend(fontsize=6)


def shown(value):
    if isinstance(value, float):
        return "%.4g" % value
    if isinstance(value, list):
        return ", ".join(map(shown, value))
    if isinstance(value, dict):
        return "; ".join("%s %s" % (key, shown(inner)) for key, inner in value.items())
    return html.escape(str(value))


def table(rows):
    names = list(rows[0])
    return "<table><tr>%s</tr>%s</table>" % (
        "".join("<th>%s</th>" % html.escape(name) for name in names),
        "".join("<tr>%s</tr>" % "".join("<td>%s</td>" % shown(row[name]) for name in names) for row in rows))


def sections(folders):
    """HTML sections of everything that the run folders hold of TracIn; none where they hold nothing."""
    found, parts = numbers(folders), []
    for scores in files_of(folders):
        own = found[scores.name]
        rows = [{"table": name, **{k: v for k, v in own[name].items()}} for name in PER_FILE if name in own]
        parts.append("<section><h2>TracIn: %s</h2><p>queries %s, m %s, %d checkpoints up to step %d, loss %s, weights %s</p>%s%s</section>" % (
            html.escape(scores.name), html.escape(scores.options["queries"]), scores.options["samples"], len(own["steps"]),
            own["steps"][-1], scores.options["loss"], scores.options["weights"], "".join(table([row]) for row in rows), figures(scores)))
    having = detection(files_of(folders))[1]
    if having:
        def draw(axes):
            for axis, scores in zip(axes[0], having):
                draw_shares(axis, scores)
        parts.append("<section><h2>TracIn: detection of planted instances</h2>%s%s%s</section>" % (
            table([found["detection"]]), plot(lambda axis: draw_curves(axis, having), figsize=(4, 3)),
            plot(draw, ncols=len(having), figsize=(4 * len(having), 3), squeeze=False)))
    for name, title in (("removal", "test loss after leaving instances out"), ("samples_needed", "error against the number of samples")):
        if name in found:
            parts.append("<section><h2>TracIn: %s</h2>%s</section>" % (title, table(found[name])))
    for folder, rows in found.get("judged_by_retraining", {}).items():
        parts.append("<section><h2>TracIn judged by retraining: %s</h2>%s</section>" % (html.escape(folder), table(rows)))
    return parts


# As a chapter of tools/report.py, which gives each section a run with a folder.
TITLE = "VAE-TracIn"
FILES = ("tracin.h5", "tracin-self.h5")
SECTIONS = [("", lambda run: "".join(sections([run.folder])))]


def highest(folder, count):
    """Ids of the highest self-influences, the highest first."""
    having = [scores for scores in files_of([folder]) if "self_influence" in scores]
    if len(having) != 1:
        sys.exit("tracin: %s holds %d files of self-influences, not one" % (folder, len(having)))
    order = np.argsort(-having[0]["self_influence"], kind="stable")
    return having[0]["instance_id"][order[:count]].tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", help="run folders")
    parser.add_argument("-o", "--out", help="HTML page to write")
    parser.add_argument("--json", help="file for all numbers")
    parser.add_argument("--highest", type=int, metavar="N", help="print the ids of the N highest self-influences, and stop")
    arguments = parser.parse_args()
    if arguments.highest:
        print("\n".join(map(str, highest(arguments.runs[0], arguments.highest))))
        return
    found = numbers(arguments.runs)
    if not found:
        sys.exit("tracin: no tracin*.h5 in %s" % ", ".join(arguments.runs))
    if arguments.json:
        with open(arguments.json, "w") as file:
            json.dump(found, file, indent=1)
            file.write("\n")
    if arguments.out:
        with open(arguments.out, "w") as file:
            file.write("<!doctype html><meta charset=utf-8><title>TracIn</title>" + "".join(sections(arguments.runs)))
    if not arguments.json and not arguments.out:
        print(json.dumps({name: {k: v for k, v in value.items() if k not in ("options", "run")} if isinstance(value, dict) else value
                          for name, value in found.items()}, indent=1))


if __name__ == "__main__":
    main()
