"""What the sections of a report share: drawings as SVG inside the page, images, tables."""
import base64
import html
import io
import re

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

MOST_POINTS = 20000  # drawn in one picture: more make it no clearer
MOST_VECTORS = 300   # points drawn one by one; more are an image inside the drawing, which is smaller
INK = "#0a0b0c"      # becomes the colour of the page's text, light or dark
GRAPHITE = "#808488"  # lines that guide the eye, on either
COLOURS = ["#3b82c4", "#d9822b", "#3aa06a", "#c9506f", "#8a6bc9", "#8f8a2a", "#2a9d9d", "#b06a3b"]
SIGNED = matplotlib.colors.LinearSegmentedColormap.from_list("signed", ["#2166ac", "#92a9bd", "#b9b9b9", "#cf9a86", "#b2182b"])

matplotlib.rcParams.update({
    "svg.fonttype": "none", "svg.hashsalt": "whence", "font.family": "sans-serif", "font.size": 9, "axes.titlesize": 9.5,
    "axes.labelsize": 9, "legend.fontsize": 8, "text.color": INK, "axes.edgecolor": GRAPHITE, "axes.labelcolor": INK,
    "axes.titlecolor": INK, "xtick.color": INK, "ytick.color": INK, "xtick.labelsize": 8, "ytick.labelsize": 8,
    "axes.spines.top": False, "axes.spines.right": False, "grid.color": GRAPHITE, "grid.alpha": 0.25,
    "axes.prop_cycle": matplotlib.cycler(color=COLOURS), "legend.frameon": False, "figure.dpi": 110, "savefig.dpi": 150})


def colour(number):
    return COLOURS[number % len(COLOURS)]


def row_of_axes(count, width=4.3, height=3.3):
    """So many figures of one axis each, which a narrow page puts below each other."""
    figures, axes = zip(*(plt.subplots(figsize=(width, height)) for _ in range(count)))
    return list(figures), list(axes)


def svg_of(figure, label):
    """The figure as <svg> without a word about other places; its size follows the page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", bbox_inches="tight", transparent=True, metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg"):], flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text).replace("xlink:href", "href").replace(INK, "currentColor")
    width, view = re.search(r'width="([\d.]+)pt"', text)[1], re.search(r'viewBox="[^"]*"', text)[0]
    opening = f'<svg class="plot" role="img" aria-label="{html.escape(label)}" style="width:{float(width) * 1.25:.0f}px" {view}>'
    return opening + text[text.index(">") + 1:]


def picture(figures, caption):
    """A figure, or several that belong together, with a caption."""
    figures = figures if isinstance(figures, list) else [figures]
    drawn = "".join(svg_of(figure, caption) for figure in figures)
    return f'<figure><div class="row">{drawn}</div><figcaption>{html.escape(caption)}</figcaption></figure>'


def table(rows, header=None):
    cells = [("th", header)] if header else []
    cells += [("td", row) for row in rows]
    return '<div class="wide"><table>' + "".join(
        "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in row) + "</tr>"
        for tag, row in cells) + "</table></div>"


def image(values, label, size=56):
    """An image [height, width] or [channels, height, width] of numbers from 0 to 1 as <img>; 0 is black everywhere."""
    values = np.clip(np.asarray(values, float), 0, 1)
    if values.ndim == 3:
        values = values[0] if len(values) == 1 else values.transpose(1, 2, 0)
    buffer = io.BytesIO()
    kind = "jpeg" if values.ndim == 3 and values.size > 4000 else "png"
    plt.imsave(buffer, np.round(255 * values).astype(np.uint8), format=kind, cmap="gray", vmin=0, vmax=255,
               **({"pil_kwargs": {"quality": 88}} if kind == "jpeg" else {}))
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(label)}" style="width:{size}px" src="data:image/{kind};base64,{data}">'


def thumbs(images, captions):
    """Images in rows, each with lines of text below."""
    return '<div class="thumbs">' + "".join(
        f"<div>{image(one, ', '.join(lines))}{'<br>'.join(map(html.escape, lines))}</div>"
        for one, lines in zip(images, captions)) + "</div>"


def sheet(images, shape, columns=6):
    """Images side by side as one array of numbers from 0 to 1 (those of all of them)."""
    flat = np.asarray(images, float)
    flat = (flat - flat.min()) / max(flat.max() - flat.min(), 1e-300) if len(flat) else flat
    channels = list(shape[:-2])
    rows, (height, width) = -(-len(flat) // columns), shape[-2:]
    page = np.full(channels + [rows * (height + 1) + 1, columns * (width + 1) + 1], 0.5)
    for i, one in enumerate(flat):
        r, c = divmod(i, columns)
        page[..., 1 + r * (height + 1):(r + 1) * (height + 1), 1 + c * (width + 1):(c + 1) * (width + 1)] = one.reshape(shape)
    return page


def plane(points):
    """The first two coordinates; a single one is drawn along a line."""
    return points[:, 0], points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))


def significant(value, digits=3):
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}g}"


def signed(value):
    if value is None or not np.isfinite(value):
        return "-"
    return f"{value:+,.0f}" if 1e3 <= abs(value) < 1e6 else f"{value:+.3g}"


def scale_of(*values):
    """(factor, words) that bring numbers to between 1 and 1000 for an axis: (1e7, "1e-7 ") for some millionths."""
    most = max((float(np.abs(one).max()) for one in values if len(one)), default=0.0)
    power = int(np.floor(np.log10(most))) if np.isfinite(most) and most > 0 else 0
    return (1.0, "") if -2 <= power <= 3 else (10.0 ** -power, f"1e{power} ")


def scatter_signed(axis, points, values, title, unit=""):
    """Points in a diverging map centred at 0, the largest magnitudes on top."""
    factor, words = scale_of(values)
    values = values * factor
    order = np.argsort(np.abs(values), kind="stable")
    x, y = plane(points[order])
    most = max(float(np.abs(values).max()), 1e-300)
    drawing = axis.scatter(x, y, c=values[order], s=9, cmap=SIGNED, vmin=-most, vmax=most, linewidths=0,
                           rasterized=len(values) > MOST_VECTORS)
    bar = axis.figure.colorbar(drawing, ax=axis)
    bar.set_label(words + unit)
    axis.set_title(title)
    return drawing
