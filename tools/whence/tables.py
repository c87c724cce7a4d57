"""Labelled tables: pandas where it is installed, NumPy's structured arrays where it is not."""
import numpy as np

try:
    import pandas
except ImportError:
    pandas = None


def table(columns):
    """A pandas.DataFrame of the columns ({name: sequence of equal length}), or a structured array with the same names
    (table["id"] is a column of either). Texts are objects there."""
    if pandas is not None:
        return pandas.DataFrame(dict(columns))
    arrays = {name: np.asarray(values) for name, values in columns.items()}
    kinds = [(name, object if array.dtype.kind in "USO" else array.dtype) for name, array in arrays.items()]
    result = np.empty(len(next(iter(arrays.values()), ())), dtype=kinds)
    for name, array in arrays.items():
        result[name] = array
    return result


def number(value):
    """A float; NaN of None, which is how JSON says that a figure is not defined."""
    return float("nan") if value is None else float(value)
