"""A run folder as an object: `whence.open("runs/gan")`.

One sign everywhere: influence of j = V without j minus V with j, so that a positive one says that removing j raises V. V is
in its own unit: nats for all, log-is and losses of GANs; FID and IS have none. N training instances are in the order of
`run.ids`, P parameters in the order of `run.layout`."""
import json
import os

import numpy as np

from . import instances
from .provenance import cleansing_overtaken, overtaken, run_fingerprint
from .results import RESULTS, Missing, Run as Files, settings, text
from .tables import number, table

LARGER_IS_BETTER = {"all": True, "is": True, "log-is": True, "fid": False, "disc-loss": False, "gen-loss": False}
SCHEMAS = {"trajectory.h5": "whence.trajectory", "history.h5": "whence.history", "influence.h5": "whence.influence",
           "counterfactual.h5": "whence.counterfactual", "cleansing.h5": "whence.cleansing",
           "density.h5": "whence.density"}


def open_run(folder):
    """The run in a folder. Nothing is read until it is asked for; what is not there is a whence.Missing that names the
    job which makes it."""
    folder = os.fspath(folder)
    if not os.path.isdir(folder):
        raise Missing(f"{folder}: no such folder")
    return Run(folder)


def larger_is_better(metric):
    """Whether a larger value is a better model: True or False; None of a metric that only its own game knows."""
    if metric.split(":")[0] == "loss" or metric.endswith("-loss"):
        return False
    return LARGER_IS_BETTER.get(metric)


class Run(Files):
    """Everything that the jobs left in a run folder."""

    def __repr__(self):
        return f"whence.open({self.folder!r})"

    def opened(self, name):
        """The HDF5 file NAME as an h5py.File, checked by its schema."""
        return self.file(name, SCHEMAS.get(name, "whence.tracin"))

    def beside(self, folder):
        """Another run, by the name a table has for it: from here, from the folder above or from where we are; or None."""
        for place in (folder, os.path.join(self.folder, os.path.basename(folder)), os.path.join(self.folder, folder)):
            if os.path.isfile(os.path.join(place, "trajectory.h5")):
                return Run(place)
        return None

    def runs(self):
        """The runs in folders of this folder (seeds, a sweep), in order of their names."""
        names = sorted(os.listdir(self.folder))
        return [Run(os.path.join(self.folder, name)) for name in names
                if os.path.isfile(os.path.join(self.folder, name, "trajectory.h5"))]

    def any_settings(self):
        """The run's settings, or those of the first run in it; {} where there is none."""
        first = self if self.has("trajectory.h5") else next(iter(self.runs()), None)
        return first.settings if first else {}

    def _of_run(self, name):
        """A result; Missing when it is of another run than the trajectory beside it."""
        file = self.opened(name)
        if self.has("trajectory.h5") and text(file, "run") != self.fingerprint:
            raise Missing(f"{name} was made from another run than the trajectory beside it")
        return file

    @property
    def fingerprint(self):
        """Eight hexadecimal digits that tie results to this training."""
        if not hasattr(self, "_fingerprint"):
            self._fingerprint = run_fingerprint(self.opened("trajectory.h5"))
        return self._fingerprint

    @property
    def settings(self):
        """Every option of `whence train` as text, {name: value}."""
        return settings(text(self.opened("trajectory.h5"), "settings"))

    @property
    def ids(self):
        """[N] int64: each training instance's row in its data source."""
        return self.opened("trajectory.h5")["instance_id"][...]

    @property
    def labels(self):
        """[N] int64, or None where the data have none or are not where they were."""
        if not hasattr(self, "_labels"):
            self._labels = instances.labels_of(self, self.ids)
        return self._labels

    @property
    def layout(self):
        """The tensors of theta: a list of {"name", "player", "offset", "shape"}."""
        return json.loads(text(self.opened("trajectory.h5"), "layout"))

    @property
    def steps(self):
        """[R] int64: the steps whose parameters are recorded; the last is the end of training."""
        return self.opened("trajectory.h5")["steps"][...]

    def theta(self, t=None):
        """[P]: the parameters before step t, at the end of training without one. With an optimiser that remembers more
        than theta only theta is given. Missing when the step was not recorded."""
        file = self.opened("trajectory.h5")
        steps = self.steps
        row = len(steps) - 1 if t is None else int(np.searchsorted(steps, t))
        if row >= len(steps) or (t is not None and steps[row] != t):
            raise Missing(f"step {t} is not recorded (run.steps lists those that are)")
        return file["params"][row][:self._parameters()]

    def _parameters(self):
        last = self.layout[-1]
        return last["offset"] + int(np.prod(last["shape"]))

    def tensors(self, t=None):
        """theta(t) as {name: array of its shape}."""
        theta = self.theta(t)
        return {one["name"]: theta[one["offset"]:one["offset"] + int(np.prod(one["shape"]))].reshape(one["shape"])
                for one in self.layout}

    def history(self):
        """How training went: a table with step, epoch (real) and one column for each loss ("loss.PLAYER", of up to 500
        held-out instances) and watched metric."""
        file = self.opened("history.h5")
        names, values = text(file, "columns").split(","), file["value"][...]
        step = file["step"][...]
        return table({"step": step, "epoch": step / int(text(file, "steps_per_epoch")),
                      **{name: values[:, c] for c, name in enumerate(names)}})

    @property
    def metrics(self):
        """The metrics of influence.h5."""
        return text(self._of_run("influence.h5"), "metrics").split(",")

    @property
    def epochs_back(self):
        """The k of influence.h5."""
        return [int(k) for k in self._of_run("influence.h5")["epochs_back"][...]]

    @property
    def kink_widths(self):
        """The kink widths of influence.h5."""
        return [float(width) for width in self._of_run("influence.h5")["kink_width"][...]]

    def influence(self, metric="all", k=1, kink_width=None):
        """Estimated influence of every instance on a metric over the last k epochs: a table of N rows with id, position,
        label (where known) and influence, in the metric's unit. `kink_width`: one of run.kink_widths; the one that agrees
        best with the truth, or the first, without."""
        file = self._of_run("influence.h5")
        m = _place(self.metrics, metric, "metric")
        at_k = _place(self.epochs_back, k, "k")
        width = self.best_kink_width(metric, k) if kink_width is None else kink_width
        h = _place(self.kink_widths, width, "kink_width")
        return self._labelled({"influence": file["influence"][h, m, at_k]})

    def best_kink_width(self, metric, k):
        """The width whose order agrees best with the truth by a validation that is current; the first without one."""
        rows = [] if self.stale("validation.json") else self.validation_rows()
        mine = [row for row in rows if row["metric"] == metric and row["epochs_back"] == k and
                row["kendall_tau"] is not None and row["kink_width"] in self.kink_widths]
        return max(mine, key=lambda row: row["kendall_tau"])["kink_width"] if mine else self.kink_widths[0]

    def truth(self, metric=None, k=None):
        """Influence by retraining without each target: a table with metric, k, id, position, influence and baseline (V
        without removal, of the same block), of one metric and k or of all that there are."""
        file = self._of_run("counterfactual.h5")
        names, horizons = text(file, "metrics").split(","), [int(n) for n in file["epochs_back"][...]]
        if metric is not None:
            _place(names, metric, "metric")
        if k is not None:
            _place(horizons, k, "k")
        pairs = [(m, j) for m, name in enumerate(names) for j, back in enumerate(horizons)
                 if metric in (None, name) and k in (None, back)]
        ids, positions, count = file["target_id"][...], file["target_position"][...], len(file["target_id"])
        return table({"metric": np.repeat([names[m] for m, _ in pairs], count),
                      "k": np.repeat([horizons[j] for _, j in pairs], count),
                      "id": np.tile(ids, len(pairs)), "position": np.tile(positions, len(pairs)),
                      **{name: np.concatenate([file[name][m, j] for m, j in pairs]) for name in ("influence", "baseline")}})

    def top(self, metric="all", k=1, n=20, end="harmful", kink_width=None):
        """The n most harmful (by whose absence the metric improves), or with end="helpful" most helpful instances: a table
        with rank, id, position, label, influence and truth (NaN where an instance was not retrained). Of metrics that
        only their game knows `end` is "raised" or "lowered" by removal."""
        full = self.influence(metric, k, kink_width)
        values = np.asarray(full["influence"])
        better = larger_is_better(metric)
        signs = {"raised": 1, "lowered": -1}
        if better is not None:
            signs.update(harmful=1 if better else -1, helpful=-1 if better else 1)
        if end not in signs:
            raise ValueError("end=%r is not one of %s for %s" % (end, ", ".join(sorted(signs)), metric))
        order = np.argsort(-signs[end] * values, kind="stable")[:n]
        true = np.full(len(values), np.nan)
        if self.has("counterfactual.h5"):
            try:
                rows = self.truth(metric, k)
                true[np.asarray(rows["position"])] = np.asarray(rows["influence"])
            except (Missing, KeyError):
                pass
        columns = {name: np.asarray(full[name])[order] for name in _names(full)}
        return table({"rank": np.arange(1, len(order) + 1), **columns, "truth": true[order]})

    @property
    def validation(self):
        """validation.json as a table, a row for each metric, k and kink width (figures that are not defined are NaN).
        Missing when the files it was made of were replaced since."""
        reason = self.stale("validation.json")
        if reason:
            raise Missing(f"validation.json is stale: {reason}; whence validate makes it anew")
        rows = self.validation_rows()
        names = list(dict.fromkeys(name for row in rows for name in row if name not in ("note", "group")))
        return table({name: [row.get(name) if name == "metric" else number(row.get(name)) for row in rows] for name in names})

    def validation_rows(self):
        """The rows as JSON has them; none where there is no validation.json."""
        return self.json("validation.json")["rows"] if self.has("validation.json") else []

    def tracin(self, name=""):
        """tracin.h5, or tracin-NAME.h5. Of `--queries self`: a table with id, position, label, self_influence. Otherwise a
        pair: the queries (a table with id, position (-1: no training instance) and label where there are any) and the
        scores [Q, N], an h5py array that is read by rows; positive = proponent, whose removal raises the query's loss."""
        file = self._of_run("tracin-%s.h5" % name if name else "tracin.h5")
        if "self_influence" in file:
            return self._labelled({"self_influence": file["self_influence"][...]})
        if "score" not in file:
            raise Missing(f"{os.path.basename(file.filename)} has no scores (it was made with --instances none)")
        queries = {"id": file["query_id"][...], "position": file["query_position"][...]}
        if "query_label" in file:
            queries["label"] = file["query_label"][...]
        return table(queries), file["score"]

    def images(self, ids):
        """Training instances by id as images [len(ids), height, width] or [len(ids), channels, height, width], 0 to 1.
        Missing where they are none, or not where they were."""
        return instances.images_of(self, ids)

    def stale(self, name):
        """Why a file is not of the files beside it any more, by what they hold and never by their times; "" where it is
        current or not there. Results of another run than the trajectory are stale, tables of a replaced result too."""
        if not self.has(name):
            return ""
        if name.endswith(".json"):
            return overtaken(self, name) if name in RESULTS else ""
        try:
            opened = self.opened(name)
        except Missing:
            return ""  # whoever wants to read it is told why
        if self.has("trajectory.h5") and "run" in opened.attrs and text(opened, "run") != self.fingerprint:
            return "it was made from another run than the trajectory beside it"
        if name == "cleansing.h5" and self.has("influence.h5") and not self.stale("influence.h5"):
            return cleansing_overtaken(opened, self._of_run("influence.h5"))
        return ""

    def _labelled(self, columns):
        labels = {} if self.labels is None else {"label": self.labels}
        ids = self.ids
        return table({"id": ids, "position": np.arange(len(ids)), **labels, **columns})


def _place(values, value, name):
    if value not in values:
        raise KeyError("%s=%r is not there; there are %s" % (name, value, ", ".join(map(str, values))))
    return values.index(value)


def _names(rows):
    return list(rows.columns) if hasattr(rows, "columns") else list(rows.dtype.names)
