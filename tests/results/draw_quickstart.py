#!/usr/bin/env python3
"""Draws quickstart.png, the picture of the first page: which points of 2D-Normal made the GAN, and how true that is.

    tests/results/draw_quickstart.py RUN -o quickstart.png

RUN holds influence.h5, counterfactual.h5 and cleansing.h5, which knows where the points lie.
"""
import argparse
import os

os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")

import h5py
import matplotlib
import numpy as np
from scipy.stats import kendalltau

matplotlib.use("Agg")
import matplotlib.pyplot as plt

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("run")
parser.add_argument("-o", "--output", default="quickstart.png")
arguments = parser.parse_args()


def opened(name):
    return h5py.File(os.path.join(arguments.run, name + ".h5"), "r")


with opened("influence") as influence, opened("counterfactual") as truth, opened("cleansing") as points:
    k = int(influence["epochs_back"][-1])
    estimate = influence["influence"][-1, 0, -1]
    true, targets = truth["influence"][0, list(truth["epochs_back"]).index(k)], truth["target_position"][:]
    place = points["instances"][:]

figure, (plane, scatter) = plt.subplots(1, 2, figsize=(9, 3.7), dpi=90, gridspec_kw={"width_ratios": (1.25, 1)}, layout="constrained")
order, most = np.argsort(abs(estimate)), np.quantile(abs(estimate), 0.99)
drawn = plane.scatter(*place[order].T, s=3, c=estimate[order], cmap="RdBu_r", vmin=-most, vmax=most)
plane.set(title="each training point, by its influence", aspect="equal", facecolor="0.88")
bar = figure.colorbar(drawn, ax=plane, label="estimated influence (nats)")
bar.formatter.set_powerlimits((0, 0))

scatter.axline((0, 0), slope=1, c="0.7", lw=1)
scatter.scatter(true, estimate[targets], s=8)
scatter.set(title="200 of them, retrained without", xlabel="true influence (nats)", ylabel="estimated influence (nats)")
scatter.ticklabel_format(style="sci", scilimits=(0, 0))
scatter.text(0.05, 0.9, "Kendall's tau %.3f" % kendalltau(true, estimate[targets])[0], transform=scatter.transAxes)
figure.savefig(arguments.output, metadata={"Software": None})
