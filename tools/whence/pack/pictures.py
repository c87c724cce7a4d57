"""Pictures of a folder as arrays of bytes, one after another; what cannot be one is passed over, with the reason."""
import os
import warnings

import numpy as np
from PIL import Image, ImageOps

LARGEST = 100_000_000  # pixels; a file of a few bytes can promise any number of them


class PackFailure(Exception):
    """What the user has to know, in one sentence."""


def reason(error):
    """The first line of what an exception says, without what could steer a terminal."""
    text = (getattr(error, "strerror", None) or str(error) or type(error).__name__).splitlines()[0]
    return "".join(letter for letter in text if letter.isprintable())[:160]


def files_below(folder):
    """Every file below the folder, in the order of their names; hidden ones are left out."""
    def refuse(error):
        raise PackFailure("%s: cannot be looked into (%s)" % (error.filename, reason(error)))

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield os.path.relpath(os.path.join(place, name), folder)


def labels_of(names, wanted):
    """(label of each file, names of the labels): the first folder of its path. None, [] where no file is in one."""
    tops = [name.split(os.sep)[0] if os.sep in name else None for name in names]
    if not wanted or all(top is None for top in tops):
        return None, []
    if None in tops:
        raise PackFailure("%s: lies beside the subfolders, which are the labels; move it into one, or give --no-labels"
                          % names[tops.index(None)])
    known = sorted(set(tops))
    place = {top: label for label, top in enumerate(known)}
    return [place[top] for top in tops], known


def pixels(path, side, grey):
    """A picture as uint8 [side, side] or [3, side, side]: turned as its camera says, over white where it is transparent,
    the square in its middle, resized (Pillow's bilinear, which averages where it makes smaller)."""
    if not os.path.isfile(path):
        raise ValueError("is not a file")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(path) as opened:
            if opened.width * opened.height > LARGEST:
                raise ValueError("has %d x %d pixels, more than %d" % (opened.width, opened.height, LARGEST))
            if opened.mode in ("F", "I") or opened.mode.startswith("I;"):
                raise ValueError("has more than 8 bits a channel (mode %s)" % opened.mode)
            image = ImageOps.exif_transpose(opened)
            if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
                image = image.convert("RGBA")
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
            image = image.convert("L" if grey else "RGB")
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    image = image.resize((side, side), Image.BILINEAR, (left, top, left + edge, top + edge))
    values = np.asarray(image, dtype=np.uint8)
    return values if grey else np.ascontiguousarray(values.transpose(2, 0, 1))
