"""The chapters of tools/report.py. A chapter is a module with TITLE, FILES (keys of page.RESULTS; it is left out where
a folder has none of them) and SECTIONS: (title, function of a Run that returns HTML, "" where the figure is not one for
such data, or raises Missing with what it would need)."""
from . import agreement, cleansing, density, tracin

CHAPTERS = [
    agreement,
    cleansing,
    density,
    tracin,
]
