"""What is common to columns of training data and of rows to predict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from batch_serving.shared.wording import SHOWN

if TYPE_CHECKING:
    import pandas as pd

MOST_CATEGORIES = 1000  # of a text column, to be in a version's record
RANGE_SLACK = 0.1  # of the training range, beyond which a value is out of range
NO_VALUE = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None")


def is_number(dtype: str) -> bool:
    """Return whether a column of this type has numbers; true and false count as numbers."""
    return dtype.startswith(("int", "uint", "float", "bool", "Int", "Float"))


def out_of_range(column: Any, low: float, high: float) -> Any:
    """Return whether a number, or each of a column, is beyond the training range, with some slack."""
    slack = RANGE_SLACK * (high - low)
    return (column < low - slack) | (column > high + slack)


def lines_of(index: pd.Index) -> str:
    """Return the first few lines of the file that an index names."""
    shown = ", ".join(f"line {line}" for line in index[:SHOWN])
    return shown if len(index) <= SHOWN else f"{shown}, …"
