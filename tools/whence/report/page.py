"""What the sections of a report share: pictures that hold their own data, tables."""
import base64
import html
import io

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

MOST_POINTS = 20000  # drawn in one picture: more make it no clearer


def picture(figure, caption):
    """The figure as an <img> that holds its own data."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<p><img alt="{html.escape(caption)}" src="data:image/png;base64,{data}"><br>{html.escape(caption)}</p>'


def table(rows, header=None):
    cells = [("th", header)] if header else []
    cells += [("td", row) for row in rows]
    return "<table>" + "".join(
        "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in row) + "</tr>"
        for tag, row in cells) + "</table>"


def plane(points):
    """The first two coordinates; a single one is drawn along a line."""
    return points[:, 0], points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))


def row_of_axes(count, sharey=False):
    figure, axes = plt.subplots(1, count, squeeze=False, figsize=(4.2 * count, 3.6), sharey=sharey)
    return figure, axes[0]
