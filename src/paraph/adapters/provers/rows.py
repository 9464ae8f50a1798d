"""Rows of numbers from a file: inputs to calibrate and compare with."""

import csv
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from paraph.core.errors import Malformed

FILE_BYTES_MAX: Final = 2**30
"""A gibibyte: 60 000 images of 28 × 28 in double precision take a third of it."""
ROWS_MAX: Final = 2**22


def read_rows(path: Path) -> NDArray[Any]:
    """The rows of a file `.npy` (an array, the batch first) or `.csv` (numbers, with or without a line of names).

    Raises:
        Malformed: `exact.data`: neither, too large, or what is not a number.
    """
    size = path.stat().st_size
    if size > FILE_BYTES_MAX:
        raise Malformed("exact.data", f"{path.name} has {size} bytes; at most {FILE_BYTES_MAX}")
    match path.suffix.lower():
        case ".npy":
            found = _array(path)
        case ".csv":
            found = _table(path)
        case suffix:
            raise Malformed("exact.data", f"data is a .npy or a .csv file, not {suffix or 'one without an ending'}")
    if found.ndim < 2 or found.dtype.kind not in "fiub" or not found.size or not np.isfinite(found).all():
        raise Malformed("exact.data", f"{path.name} must hold rows of finite numbers, not {found.dtype} {found.shape}")
    return found


def _array(path: Path) -> NDArray[Any]:
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise Malformed("exact.data", f"{path.name} is not an array of numpy: {str(error)[:200]}") from error
    if not isinstance(found, np.ndarray):
        raise Malformed("exact.data", f"{path.name} holds several arrays, not one")
    return found


def _table(path: Path) -> NDArray[Any]:
    found: list[list[float]] = []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(csv.reader(file), 1):
            if not line:
                continue
            try:
                found.append([float(each) for each in line])
            except ValueError as error:
                # The first line may name the columns.
                if number > 1:
                    raise Malformed("exact.data", f"line {number} of {path.name} holds what is not a number") from error
                continue
            if len(found[-1]) != len(found[0]) or len(found) > ROWS_MAX:
                raise Malformed("exact.data", f"line {number} of {path.name} has other columns than the first")
    return np.array(found, np.float64)
