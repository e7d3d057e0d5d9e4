"""The alarm: whether the champion's live metric is below what it must be, with statistical confidence.

What is tested is a mean over rows: the share that is right, or the absolute error. Days count once they are
mature. The state follows from the days' files alone, so that it can be computed again at any time; only what
was announced is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from batch_serving.ml.estimators import find_scorer
from batch_serving.monitoring.betting import MeanDetector
from batch_serving.monitoring.places import quality_folder
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import read_with_tag, seal, unseal, write_atomic
from batch_serving.shared.suggestions import did_you_mean
from batch_serving.shared.wording import counted, shown

if TYPE_CHECKING:
    import numpy as np

    from batch_serving.monitoring.outcomes import Outcomes

log = logging.getLogger(__name__)

ERRORS = ("mean_absolute_error", "neg_mean_absolute_error")
MEANS = ("accuracy", *ERRORS)  # metrics that are a mean over rows
LARGEST_ERROR = 10.0  # an error counts as at most this many times the limit
DAYS_A_YEAR = 365.0
ANNOUNCED = "alarm.json"
OK, ALARM = "ok", "alarm"


@dataclass(frozen=True)
class Standard:
    """What the live metric must be: ``limit``, and the sentence that says where it comes from."""

    metric: str
    limit: float
    because: str

    @property
    def least(self) -> float:
        """The limit of the mean score: of rows between 0 (wrong) and 1 (right)."""
        return self.limit if self.metric == "accuracy" else 1 - 1 / LARGEST_ERROR

    def scores(self, outcomes: Outcomes) -> np.ndarray[Any, Any]:
        """Return the score of each labelled row, between 0 and 1."""
        import numpy as np

        actual, predicted = outcomes.arrays(classes=self.metric == "accuracy")
        if self.metric == "accuracy":
            return np.asarray(actual == predicted, dtype=float)
        most = abs(self.limit) * LARGEST_ERROR
        scores: np.ndarray[Any, Any] = 1 - np.minimum(np.abs(actual - predicted), most) / most
        return scores


def check_alarm_metric(metric: str, tester: str = "the alarm") -> None:
    """Refuse, with InvalidValueError, a metric that is not a mean over rows, for what tests it."""
    if metric not in MEANS:
        raise InvalidValueError(
            f"metric {metric!r} is not a mean over rows, which {tester} tests",
            did_you_mean(metric, MEANS) or f"use one of {', '.join(MEANS)}",
        )


def standard_of(record: dict[str, Any], metric: str, floor: float | None, margin: float | None) -> Standard:
    """Return what a version's live metric must be: the floor, or the holdout's less the margin.

    Of the two the stricter one. Raises InvalidValueError if neither is given, and for a margin without the
    metric in the record.
    """
    check_alarm_metric(metric)
    sign = 1 if find_scorer(metric)[1] == "maximize" else -1
    found: list[tuple[float, str]] = []
    if floor is not None:
        found.append((floor, f"the floor {shown(floor)}"))
    if margin is not None:
        if metric not in record["metrics"]:
            raise InvalidValueError(
                f"{record['version']} was not measured by {metric!r} on its holdout",
                "add it to other_metrics of train_challenger, or give a floor alone",
            )
        holdout = record["metrics"][metric]
        found.append(
            (holdout - sign * margin, f"{shown(holdout)} on the holdout, with a margin of {shown(margin)}")
        )
    if not found:
        raise InvalidValueError("neither floor nor margin is given", "add one of them, or both")
    limit, because = max(found, key=lambda one: sign * one[0])
    if metric == "accuracy" and not 0 < limit < 1:
        raise InvalidValueError(
            f"accuracy must be {shown(limit)}", "choose a floor or margin so that it is between 0 and 1"
        )
    if metric in ERRORS and limit == 0:
        raise InvalidValueError(f"{metric} must be 0", "choose another floor or margin")
    return Standard(metric, limit, because)


@dataclass(frozen=True)
class AlarmState:
    """Whether there is an alarm for a version, since which day, and the rows that it is about."""

    version: str
    state: str  # ok or alarm
    since: date | None  # the day with which the evidence sufficed
    days: int
    rows: int
    mean: float | None  # of the scores, over these rows


def state_of(
    version: str, standard: Standard, days: Iterable[tuple[date, Outcomes]], false_alarms_per_year: float
) -> AlarmState:
    """Return the state after these mature days, oldest first.

    Without a change, at least ``365 / false_alarms_per_year`` days pass on average until a false alarm,
    however often it is looked at.
    """
    periods = max(1.0, DAYS_A_YEAR / false_alarms_per_year)
    state, since, rows, total, count = OK, None, 0, 0.0, 0
    detector = MeanDetector(standard.least, below=True, periods=periods)
    for day, outcomes in days:
        scores = standard.scores(outcomes)
        count, rows, total = count + 1, rows + len(scores), total + float(scores.sum())
        if detector.add(scores):
            state, since = (ALARM, day) if state == OK else (OK, day)
            detector = MeanDetector(standard.least, below=state == OK, periods=periods)
            rows, total, count = len(scores), float(scores.sum()), 1
    return AlarmState(version, state, since, count, rows, total / rows if rows else None)


@dataclass(frozen=True)
class LastChange:
    """The last change that was announced, its number, which names its claim, and what was found last."""

    version: str = ""
    state: str = OK
    number: int = 0
    reason: str = ""


def announced(model: str) -> LastChange:
    """Return what was announced last; nothing before the first alarm, or if the record is corrupt."""
    data, _ = read_with_tag(quality_folder(model) / ANNOUNCED)
    if data is None:
        return LastChange()
    try:
        record = unseal(data)
        texts = (str(record[name]) for name in ("version", "state", "reason"))
        version, state, reason = texts
        return LastChange(version, state, int(record["number"]), reason)
    except (ValueError, KeyError, TypeError) as error:
        log.warning("the record of the last alarm is corrupt (%s); an alarm is announced again", error)
        return LastChange()


def keep_announced(model: str, done: LastChange) -> None:
    """Keep what was announced and found, if that has changed."""
    path, data = quality_folder(model) / ANNOUNCED, seal(asdict(done))
    if read_with_tag(path)[0] != data:
        write_atomic(path, data)


def sentence_of(model: str, found: AlarmState, standard: Standard) -> str:
    """Return the state in one sentence."""
    about = f"{model} {found.version}: {standard.metric}"
    must = f"it must be {shown(standard.limit)} ({standard.because})"
    if found.mean is None:
        return f"{about} has no mature day yet; {must}"
    value = found.mean
    if standard.metric != "accuracy":
        value = (1 - found.mean) * standard.limit * LARGEST_ERROR
    over = f"{shown(value)} over {counted(found.rows, 'labelled row')} of {counted(found.days, 'day')}"
    word = "is not what it must be" if found.state == ALARM else "is in order"
    since = f" since {found.since}" if found.since else ""
    return f"{about} {word}{since}: {over}; {must}"
