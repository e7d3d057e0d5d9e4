"""How far rows have moved from those that a model learnt from: the population stability index, by feature.

PSI = Σ (actual − expected) · ln(actual / expected) over bins that hold a tenth of the training rows each.
Below 0.1 nothing has moved, above 0.25 much has (Siddiqi 2006, Credit Risk Scorecards). On few rows it is
always large: five rows in ten bins cannot be even. From some 288 rows on it says something (a day of one row
every five minutes).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

BINS = 10
MOST_VALUES = 20  # of a text column, each with a bin of its own; the others share one
ALARM_AT = 0.25
FEWEST_ROWS = 288
SMALLEST_SHARE = 1e-4  # for an empty bin: the logarithm of nothing is infinite


def describe(column: pd.Series) -> dict[str, Any]:
    """Return the bins of a training column, and the share of its rows in each; the last is of empty cells.

    Numbers: ``edges`` between the bins; texts: ``values``, one bin each and one for all others.
    """
    import numpy as np

    if column.dtype.kind in "iufb":
        values = column.dropna().to_numpy(dtype=float)
        quantiles = np.quantile(values, [number / BINS for number in range(1, BINS)]) if len(values) else []
        bins: dict[str, Any] = {
            "edges": sorted({float(value) for value in quantiles if math.isfinite(value)})
        }
    else:
        bins = {"values": [str(value) for value in column.dropna().value_counts().index[:MOST_VALUES]]}
    counts = count(bins, column)
    return {**bins, "shares": [round(number / len(column), 6) for number in counts]}


def count(bins: dict[str, Any], column: pd.Series) -> list[int]:
    """Return how many rows lie in each bin, in the order of ``shares``."""
    import numpy as np

    empty = int(column.isna().sum())
    if "edges" in bins:
        values = column.astype(float).to_numpy()
        # Edge by edge, which is some times as fast as a search for each value; NaN is above none.
        above = [int(np.count_nonzero(values > edge)) for edge in bins["edges"]]
        ends = [len(values) - empty, *above, 0]
        return [*(more - less for more, less in itertools.pairwise(ends)), empty]
    known = {value: place for place, value in enumerate(bins["values"])}
    places = Counter(known.get(str(value), len(known)) for value in column.dropna())
    return [*(places[place] for place in range(len(known) + 1)), empty]


def psi(shares: list[float], counts: list[int]) -> float:
    """Return the population stability index of counted rows against the shares in training."""
    total = sum(counts)
    if not total:
        return 0.0
    pairs = [
        (max(share, SMALLEST_SHARE), max(number / total, SMALLEST_SHARE))
        for share, number in zip(shares, counts, strict=True)
    ]
    return sum((actual - expected) * math.log(actual / expected) for expected, actual in pairs)
