"""The quality of each day's predictions, by model version: ``date=…/quality.csv``.

Wilson, E. B. (1927), JASA 22(158), for the interval of a share; for other metrics, rows are drawn with
replacement (Efron and Tibshirani 1993, chapter 13). The calibration error (Naeini et al. 2015): the rows are
in ten groups by their probability; by how much does its mean differ from the share that was right?
"""

from __future__ import annotations

import csv
import hashlib
import inspect
import io
import logging
import math
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any

from batch_serving.ml.estimators import find_scorer
from batch_serving.monitoring.joining import labelled_rows
from batch_serving.monitoring.outcomes import Outcomes, VersionReader
from batch_serving.monitoring.places import locked_quality, measured_path
from batch_serving.shared.csv_rows import csv_bytes
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import read_with_tag, remove_leftovers, write_atomic

if TYPE_CHECKING:
    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

QUALITY_COLUMNS = (
    "date", "model_version", "metric", "value", "low", "high",
    "rows", "labelled", "outside_classes", "mature", "fingerprint",
)  # fmt: skip
CALIBRATION = "calibration_error"
DRAWS = 200
PARTS = 10  # of the range of probabilities
FEWEST_ROWS = 2  # for an interval


Values = tuple[float, float, float]  # a metric, and both ends of its interval


@dataclass(frozen=True)
class Maturity:
    """When a day counts: so many days after its end, or once this share of its rows has labels."""

    days: float
    share: float
    zone: tzinfo

    def is_mature(self, day: date, labelled_share: float, cutoff: datetime) -> bool:
        """Return whether a day's labels are as complete as they have to be."""
        midnight = datetime.combine(day + timedelta(days=1), datetime.min.time(), self.zone)
        return cutoff >= midnight + timedelta(days=self.days) or (
            cutoff >= midnight and labelled_share >= self.share
        )


@dataclass(frozen=True)
class Measured:
    """The value of one metric on one day for one version."""

    day: date
    version: str
    metric: str
    value: float
    low: float
    high: float
    rows: int
    labelled: int
    outside: int
    mature: bool
    fingerprint: str  # of what it was measured on

    def to_json(self) -> dict[str, Any]:
        """Return what a task returns of it; an interval that there is not is null."""
        low, high = (None if math.isnan(one) else round(one, 6) for one in (self.low, self.high))
        value = None if math.isnan(self.value) else round(self.value, 6)
        return {
            "day": self.day.isoformat(),
            "model_version": self.version,
            "metric": self.metric,
            "value": value,
            "low": low,
            "high": high,
            "rows": self.rows,
            "labelled": self.labelled,
        }

    def cells(self) -> list[str]:
        """Return the cells of QUALITY_COLUMNS."""
        numbers = [f"{number:.6g}" for number in (self.value, self.low, self.high)]
        counts = [str(number) for number in (self.rows, self.labelled, self.outside)]
        mature = "yes" if self.mature else "no"
        return [self.day.isoformat(), self.version, self.metric, *numbers, *counts, mature, self.fingerprint]


def check_metric(metric: str) -> None:
    """Refuse, with InvalidValueError, a metric that cannot be measured on predictions and labels alone."""
    scorer, _ = find_scorer(metric)
    if scorer._response_method != "predict":
        raise InvalidValueError(
            f"metric {metric!r} needs more than the predictions",
            "use one of labels and predictions, such as accuracy, f1_macro or mean_absolute_error",
        )


@dataclass(frozen=True)
class Measurement:
    """How days are measured: with which metrics, when a day is mature, and with which confidence."""

    store: ModelStore
    reader: VersionReader
    metrics: Sequence[str]
    maturity: Maturity
    cutoff: datetime
    confidence: float

    def measure(self, day: date) -> list[Measured]:
        """Return the day's metrics by version, and write them if they have changed.

        What was measured on the same labels is not measured again.
        """
        path = measured_path(self.store.name, day)
        before, _ = read_with_tag(path)
        known = {(one["model_version"], one["metric"], one["fingerprint"]): one for one in _rows_of(before)}
        found: list[Measured] = []
        for version, outcomes in sorted(self.reader.outcomes(labelled_rows(self.store.name, day)).items()):
            mature = self.maturity.is_mature(day, outcomes.labelled_share, self.cutoff)
            fingerprint = self._fingerprint(outcomes, mature)
            counts = (outcomes.rows, len(outcomes.actual), outcomes.outside)
            for metric in self._metrics_of(outcomes):
                row = known.get((version, metric, fingerprint))
                values = _values_in(row) if row else self._values(metric, outcomes, mature)
                found.append(Measured(day, version, metric, *values, *counts, mature, fingerprint))
        data = csv_bytes(QUALITY_COLUMNS, [one.cells() for one in found])
        with locked_quality(self.store.name):
            remove_leftovers(path.parent)
            if before != data:
                write_atomic(path, data)
        return found

    def _metrics_of(self, outcomes: Outcomes) -> list[str]:
        """Return the metrics, and the calibration error where each row has a probability."""
        sure = self.reader.is_classifier and outcomes.actual
        calibrated = sure and len(outcomes.probabilities) == len(outcomes.actual)
        return [*self.metrics, CALIBRATION] if calibrated else [*self.metrics]

    def _fingerprint(self, outcomes: Outcomes, mature: bool) -> str:
        given = (self.confidence, mature)
        content = (outcomes.actual, outcomes.predicted, outcomes.probabilities, given)
        return hashlib.sha256(repr(content).encode()).hexdigest()[:8]

    def _values(self, metric: str, outcomes: Outcomes, mature: bool) -> Values:
        """Return a metric with its interval; NaN without labels.

        An interval for which rows are drawn takes 1 s: a day that still changes has none.
        """
        if not outcomes.actual:
            return math.nan, math.nan, math.nan
        actual, predicted = outcomes.arrays(self.reader.is_classifier)
        if metric == CALIBRATION:
            error = calibration_error(actual == predicted, outcomes.probabilities)
            return error, math.nan, math.nan
        if metric == "accuracy":
            right, rows = int((actual == predicted).sum()), len(actual)
            return right / rows, *wilson(right, rows, self.confidence)
        if not mature:
            return value_of(metric, actual, predicted), math.nan, math.nan
        return _bootstrapped(metric, actual, predicted, self.confidence)


def measured_rows(model: str, day: date) -> list[dict[str, str]]:
    """Return the rows of a day's file; none before it is measured."""
    return _rows_of(read_with_tag(measured_path(model, day))[0])


def _rows_of(data: bytes | None) -> list[dict[str, str]]:
    """Return the rows of a file of QUALITY_COLUMNS; none of another file, which is made again."""
    if data is None:
        return []
    reader = csv.DictReader(io.StringIO(data.decode("utf-8", "replace"), newline=""))
    rows = list(reader)
    return rows if tuple(reader.fieldnames or ()) == QUALITY_COLUMNS else []


def _values_in(row: dict[str, str]) -> Values:
    """Return the value and its interval in a row of a file."""
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    return value, low, high


def wilson(successes: int, rows: int, confidence: float) -> tuple[float, float]:
    """Return the interval of a share of ``successes`` among ``rows``."""
    z = statistics.NormalDist().inv_cdf(0.5 + confidence / 2)
    share = successes / rows
    scale = 1 + z * z / rows
    middle = (share + z * z / (2 * rows)) / scale
    half = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)


def value_of(metric: str, actual: Any, predicted: Any, weights: Any = None) -> float:
    """Return a metric of predictions; an error's value is positive. NaN where it is not defined."""
    scorer, direction = find_scorer(metric)
    given = scorer._kwargs if weights is None else {**scorer._kwargs, "sample_weight": weights}
    try:
        value: float = scorer._sign * float(scorer._score_func(actual, predicted, **given))
    except ValueError:  # for example a class of two that is not there
        return math.nan
    return value if direction == "maximize" else -value


def _bootstrapped(metric: str, actual: Any, predicted: Any, confidence: float) -> tuple[float, float, float]:
    import warnings

    import numpy as np

    rows = len(actual)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of draws that lack a class
        value = value_of(metric, actual, predicted)
        if rows < FEWEST_ROWS:
            return value, math.nan, math.nan
        drawn = np.array(list(_drawn_values(metric, actual, predicted)))
    if np.isnan(drawn).all():
        return value, math.nan, math.nan
    tail = 50 * (1 - confidence)
    low, high = (float(one) for one in np.nanpercentile(drawn, [tail, 100 - tail]))
    return value, low, high


def _drawn_values(metric: str, actual: Any, predicted: Any) -> Iterator[float]:
    """Yield the metric of each draw of as many rows; equal pairs are drawn together, by their number."""
    import numpy as np

    draws = np.random.default_rng(int.from_bytes(hashlib.sha256(metric.encode()).digest()[:4], "big"))
    rows = len(actual)
    if "sample_weight" not in inspect.signature(find_scorer(metric)[0]._score_func).parameters:
        for _ in range(DRAWS):
            chosen = draws.integers(0, rows, rows)
            yield value_of(metric, actual[chosen], predicted[chosen])
        return
    pairs = Counter(zip(actual.tolist(), predicted.tolist(), strict=True))
    ordered = sorted(pairs)
    shares = np.array([pairs[pair] for pair in ordered]) / rows
    ones, others = (np.array(values, dtype=actual.dtype) for values in zip(*ordered, strict=True))
    for weights in draws.multinomial(rows, shares, DRAWS):
        there = weights > 0
        yield value_of(metric, ones[there], others[there], weights[there])


def calibration_error(right: Any, probabilities: Sequence[float]) -> float:
    """Return by how much the probabilities differ from the share that was right; between 0 and 1."""
    import numpy as np

    given = np.asarray(probabilities)
    part = np.minimum((given * PARTS).astype(int), PARTS - 1)
    differences = np.asarray(right, dtype=float) - given
    return float(np.abs(np.bincount(part, differences, PARTS)).sum() / len(given))
