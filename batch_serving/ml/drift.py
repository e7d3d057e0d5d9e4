"""How far rows differ from a model's training rows: the population stability index (PSI), by feature.

PSI = Σ (actual − expected) · ln(actual / expected) over bins. Below 0.1 there is no drift, above 0.25 there
is much (Siddiqi 2006, Credit Risk Scorecards). A value that many rows have is a bin of its own, so that a
flag, a number of stars or a column that is mostly zero is compared value by value; the other numbers are in
bins that hold about a tenth of the training rows each.

On few rows the PSI is large by chance: about (bins − 1) · (1/n + 1/m) for n rows and m training rows
(Yurdakul 2018, Statistical Properties of the Population Stability Index), and more where bins have few rows.
So an alarm needs more than 0.25, and rows such as chance draws at most once in 10,000 days. That is a
permutation test, which is right for any number of rows: the rows of training and of the day are dealt out
again, and their likelihood ratios are compared (Phipson and Smyth 2010, Permutation P-values Should Never Be
Zero).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from batch_serving.ml.columns import MOST_CATEGORIES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

BINS = 10
MOST_VALUES = 20  # of a column, each with its own bin; the others share one
OWN_NUMBER_FROM = 0.05  # of the rows: a number that so many have is a bin of its own
OWN_TEXT_FROM = 0.02  # the same for texts
FEWEST_ROWS_OF_A_VALUE = 30  # of training: of fewer rows, the share of a value is not known well
ALARM_AT = 0.25
FEWEST_ROWS = 5
FEWEST_ROWS_BEFORE = (
    288  # for versions of an earlier release, which did not keep their number of training rows
)
SMALLEST_SHARE = 1e-4  # for an empty bin: the logarithm of 0 is infinite
BY_CHANCE = 1e-4  # of quiet days of a feature, at most so many have an alarm

Bins = dict[str, Any]


def describe(column: pd.Series) -> Bins:
    """Return the bins of a training column, and the share of its rows in each; the last is of empty cells.

    Numbers: ``points``, one bin each, then the bins between ``edges`` for all others. Texts: ``values``, one
    bin each, then one for all others; with ``never_seen``, one more for those that training did not have, of
    which ``new_by_chance`` is the greatest share on a quiet day. ``rows`` is the number of training rows.
    """
    if column.dtype.kind in "iufb":
        bins = _bins_of_numbers(column.dropna().to_numpy(dtype=float))
        counts = count(bins, column)
    else:
        texts = column.dropna().map(str).value_counts()
        # Of too many texts the record has no list: one that is not there may have been in training.
        own = texts[_has_own_bin(texts.to_numpy(), len(column), OWN_TEXT_FROM)]
        bins = {"values": [*own.index[:MOST_VALUES]], "never_seen": len(texts) <= MOST_CATEGORIES}
        counts = count(bins, column, texts.index)
        if bins["never_seen"]:
            singles, pairs = int((texts == 1).sum()), int((texts == 2).sum())
            _expect_new_texts(counts, singles)
            bins["new_by_chance"] = round(_most_new_texts(singles, pairs) / len(column), 6)
    return {**bins, "shares": [round(number / len(column), 6) for number in counts], "rows": len(column)}


def _has_own_bin(rows_with: np.ndarray, rows: int, share: float) -> np.ndarray:
    """Return which values have a bin of their own, by the number of rows with each value.

    All of them, if they are few and each is repeated: then there are hardly others. Otherwise only frequent
    ones: the most frequent values of a file are so partly by chance, and are less frequent afterwards. With a
    bin for each of the first 20 among 200 equally frequent texts, every third day had an alarm.
    """
    if len(rows_with) <= MOST_VALUES and (rows_with > 1).all():
        return rows_with > 0
    return rows_with >= max(share * rows, FEWEST_ROWS_OF_A_VALUE)


def _expect_new_texts(counts: list[int], singles: int) -> None:
    """Move rows from the bin of other texts to that of texts never seen, as many as are to be expected there.

    In more rows of the same kind, as many are new as there are texts that occur once (Good 1953, The
    Population Frequencies of Species and the Estimation of Population Parameters).
    """
    others, never_seen = len(counts) - 3, len(counts) - 2
    moved = min(singles, counts[others])
    counts[others] -= moved
    counts[never_seen] += moved


def _most_new_texts(singles: int, pairs: int) -> float:
    """Return how many new texts chance may give among as many rows: three standard errors more than expected.

    The variance is that of Good's estimate (Esty 1982, Confidence intervals for the coverage of low coverage
    samples), and 3 of no rows are the usual upper limit (rule of three).
    """
    return singles + 3 * math.sqrt(singles + 2 * pairs) + 3


def _bins_of_numbers(values: np.ndarray) -> Bins:
    import numpy as np

    distinct, rows = np.unique(values, return_counts=True)
    points = distinct[_has_own_bin(rows, len(values), OWN_NUMBER_FROM)]
    rest = values[~np.isin(values, points)]
    number = max(1, round(BINS * len(rest) / max(len(values), 1)))
    shares = [place / number for place in range(1, number)]
    edges = {float(value) for value in np.quantile(rest, shares)} if len(rest) and shares else set()
    return {
        "points": [float(value) for value in points],
        "edges": sorted(value for value in edges if math.isfinite(value)),
    }


def count(bins: Bins, column: pd.Series, known: Collection[str] = ()) -> list[int]:
    """Return how many rows are in each bin, in the order of ``shares``.

    ``known`` are the texts that training had: it is needed to count those that it did not have.
    """
    empty = int(column.isna().sum())
    if "edges" in bins:
        counts = _count_numbers(bins, column.astype(float).to_numpy(), empty)
    else:
        counts = _count_texts(bins, column, known)
    return [*counts, empty]


def _count_numbers(bins: Bins, values: np.ndarray, empty: int) -> list[int]:
    import numpy as np

    points, edges = bins.get("points", []), bins["edges"]  # an earlier release had no points
    at_points = [int(np.count_nonzero(values == point)) for point in points]
    rows = len(values) - empty - sum(at_points)
    if points and edges:
        values = values[~np.isin(values, points)]
    # Edge by edge: 4 ms for a million rows, instead of 28 ms by a search for each value.
    above = [int(np.count_nonzero(values > edge)) for edge in edges]  # NaN is above none
    return [*at_points, *(more - less for more, less in itertools.pairwise([rows, *above, 0]))]


def _count_texts(bins: Bins, column: pd.Series, known: Collection[str]) -> list[int]:
    places = {value: place for place, value in enumerate(bins["values"])}
    others, number = len(places), len(places) + 1
    if bins.get("never_seen"):  # an earlier release did not tell them from the others
        number += 1
        places = {**dict.fromkeys(known, others), **places}
        others += 1
    found = Counter(places.get(str(value), others) for value in column.dropna())
    return [found[place] for place in range(number)]


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


def is_alarm(value: float, counts: list[int], bins: Bins) -> bool:
    """Return whether a PSI means drift: it is large, on enough rows, and chance hardly makes such rows."""
    rows, training_rows = sum(counts), bins.get("rows")
    if value <= ALARM_AT or rows < FEWEST_ROWS:
        return False
    if not training_rows:
        return rows >= FEWEST_ROWS_BEFORE
    training = [round(share * training_rows) for share in bins["shares"]]
    if bins.get("never_seen") and counts[-2] <= bins.get("new_by_chance", 0) * rows:
        training, counts = _with_new_among_others(training), _with_new_among_others(counts)
    return _is_beyond_chance(training, counts)


def _with_new_among_others(counts: list[int]) -> list[int]:
    """Return the counts of texts with those never seen among the others."""
    return [*counts[:-3], counts[-3] + counts[-2], 0, counts[-1]]


def _is_beyond_chance(training: list[int], day: list[int]) -> bool:
    """Return whether at most BY_CHANCE of the ways to deal out all rows differ as much as these two counts.

    The draws are always the same, so that a day that is summarised again has the same result.
    """
    import numpy as np

    pooled = np.array([one + other for one, other in zip(training, day, strict=True)])
    seen = pooled > 0
    pooled, rows = pooled[seen], sum(day)
    observed = _likelihood(np.array([day])[:, seen], pooled)[0]
    draw = np.random.default_rng(0)
    total = round(2 / BY_CHANCE) - 1
    as_extreme = 0
    for number in (100, 1_000, total - 1_100):
        found = _likelihood(draw.multivariate_hypergeometric(pooled, rows, number, "marginals"), pooled)
        as_extreme += int(np.count_nonzero(found >= observed - 1e-9))
        if (as_extreme + 1) / (total + 1) > BY_CHANCE:  # whatever the others are
            return False
    return True


def _likelihood(days: np.ndarray, pooled: np.ndarray) -> np.ndarray:
    """Return the logarithm of the likelihood ratio of each day (a row of counts), up to a constant."""
    import numpy as np

    parts = [counts * np.log(np.maximum(counts, 1)) for counts in (days, pooled - days)]
    total: np.ndarray = np.sum(parts, axis=(0, 2))
    return total
