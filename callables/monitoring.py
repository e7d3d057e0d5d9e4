"""After predictions: compacted days, drift and card (P3); and how good they were, once labels are there."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from batch_serving.monitoring import arguments as quality_arguments
from batch_serving.notices.claims import Announced, claim, state_of
from batch_serving.prediction import arguments
from batch_serving.registry.store import ModelStore
from batch_serving.shared.airflow import skip
from batch_serving.shared.checked_by import checked_by, same_values_as
from batch_serving.shared.failures import Failures
from batch_serving.shared.paths import relative_to_project
from batch_serving.shared.run_context import parse_flag, parse_time, parse_zone
from callables.notifications import inform, warn

if TYPE_CHECKING:
    from datetime import date

    from upath import UPath

log = logging.getLogger(__name__)

MOST_NAMED = 5  # row ids in a result


@checked_by(arguments.of_maintenance)
def maintain_predictions(*, model: str, run_after: str, timezone: str = "Asia/Seoul") -> dict[str, Any]:
    """Do the upkeep of the predictions of ``model``: nothing here changes what was predicted.

    Compacts the last days that are over into one file each, writes how far the rows of each day differ from
    the training rows, and makes the champion's card again, once a day and after a promotion. The day of
    ``run_after`` in ``timezone`` is included if it was compacted before: then its run was cleared. If one of
    the three fails, the others are still done, and then the task fails with all reasons; the next run does
    what is left. Returns the compacted days, the features with a drift alarm by day, and the card.
    """
    from batch_serving.cards.renewal import renew_card
    from batch_serving.prediction.compaction import compact_day
    from batch_serving.prediction.daily_drift import summarise_day
    from batch_serving.prediction.places import days_to_maintain

    store, zone, failures = ModelStore(model), parse_zone(timezone), Failures()
    run_day = parse_time(run_after).astimezone(zone).date()
    midnight = datetime.now(UTC).astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    list_days = partial(days_to_maintain, model, midnight.date(), run_day)
    days: list[date] = failures.attempt("finding the days", list_days, [])
    compacted = [
        day.isoformat()
        for day in days
        if failures.attempt(f"compaction of {day}", partial(compact_day, model, day), False)
    ]
    drifted: dict[str, list[str]] = {
        day.isoformat(): failures.attempt(f"drift of {day}", partial(summarise_day, store, day), [])
        for day in days
    }
    card = failures.attempt("model card", partial(renew_card, store, midnight), None)
    failures.raise_if_any()
    return {
        "compacted_days": compacted,
        "drifted_features": {day: features for day, features in drifted.items() if features},
        "card": relative_to_project(card) if card else None,
    }


@checked_by(quality_arguments.of_join)
def join_labels(
    *,
    model: str,
    run_after: str,
    row_id: str,
    label: str,
    dataset: str | None = None,
    sql: str | None = None,
    connection: str | None = None,
    known_at: str | None = None,
    window_days: int = 30,
    timezone: str = "Asia/Seoul",
) -> dict[str, Any]:
    """Give each prediction of the last ``window_days`` the label that was known at ``run_after``.

    Labels are rows of ``dataset`` (a CSV) or of ``sql`` through the Airflow ``connection``: ``row_id``,
    ``label``, and in ``known_at`` the time since when it is known. A label may be corrected by a later row:
    the newest counts, and of two with the same time the last. Times without an offset are in ``timezone``.
    Writes ``output/quality/<model>/date=…/labelled.csv``, one file a day, each prediction once. What
    happened to each row of labels is counted in the result: used, replaced, a duplicate, in conflict, after
    ``run_after``, without a label or a time, or of a row that was not predicted. Skips if a later run has
    joined already, and if there are no predictions. Labels that come more than ``window_days`` after the
    prediction are not used.
    """
    from batch_serving.monitoring.joining import join_days
    from batch_serving.monitoring.labels import LabelSource
    from batch_serving.monitoring.places import days_in_window
    from batch_serving.prediction.row_source import RowSource

    zone, cutoff = parse_zone(timezone), parse_time(run_after)
    source = LabelSource(RowSource(dataset, sql, connection, row_id), label, known_at, zone)
    days = days_in_window(model, cutoff, zone, window_days)
    if not days:
        skip(f"model {model!r} has no predictions of the last {window_days} days")
    joined = join_days(model, days, source, cutoff)
    if joined is None:
        skip(f"a later run has joined the labels of {model!r} already")
    log.info("%d of %d predictions of %s have a label", joined.labelled, joined.predictions, model)
    return {
        "days": [joined.days[0].isoformat(), joined.days[-1].isoformat()],
        "predictions": joined.predictions,
        "labelled": joined.labelled,
        "labels": joined.labels.to_json(),
        "conflicts": sorted(set(joined.labels.conflicts))[:MOST_NAMED],
    }


@same_values_as(join_labels, "model", "run_after", "timezone", "window_days")
@checked_by(quality_arguments.of_measure)
def measure(
    *,
    model: str,
    run_after: str,
    metric: str,
    other_metrics: list[str] | None = None,
    maturity_days: float = 2,
    mature_share: float = 1.0,
    confidence: float = 0.95,
    window_days: int = 30,
    timezone: str = "Asia/Seoul",
) -> dict[str, Any]:
    """Measure the predictions that ``join_labels`` gave labels, by day and model version.

    ``metric`` and ``other_metrics`` are names of scikit-learn that need labels and predictions alone. Each
    has an interval with ``confidence``. A day is mature ``maturity_days`` after its end, or earlier once
    ``mature_share`` of its rows have labels; only mature days count for ``alarm``. Writes
    ``output/quality/<model>/date=…/quality.csv``. Labels that the model cannot predict, for example a new
    class, are counted, not measured. Returns the values of the newest mature day, and how many days there
    are.
    """
    from batch_serving.monitoring.measuring import Maturity, Measurement
    from batch_serving.monitoring.outcomes import VersionReader
    from batch_serving.monitoring.places import days_in_window

    zone, cutoff, store = parse_zone(timezone), parse_time(run_after), ModelStore(model)
    maturity = Maturity(maturity_days, mature_share, zone)
    metrics = list(dict.fromkeys([metric, *(other_metrics or [])]))
    how = Measurement(store, VersionReader(store), metrics, maturity, cutoff, confidence)
    days = days_in_window(model, cutoff, zone, window_days)
    found = [one for day in days for one in how.measure(day)]
    outside = {one.version: one.outside for one in found if one.outside}
    for version, count in outside.items():
        log.warning("%d labels of a day are none that %s can predict; they are not measured", count, version)
    mature = [one for one in found if one.mature and one.metric == metric]
    return {
        "days": len({one.day for one in found}),
        "mature_days": len({one.day for one in mature}),
        "newest_mature": [one.to_json() for one in mature if one.day == mature[-1].day],
    }


@same_values_as(measure, "model", "run_after", "timezone", "window_days", "maturity_days", "mature_share")
@checked_by(quality_arguments.of_alarm)
def alarm(
    *,
    model: str,
    run_after: str,
    metric: str,
    floor: float | None = None,
    margin: float | None = None,
    false_alarms_per_year: float = 0.5,
    maturity_days: float = 2,
    mature_share: float = 1.0,
    window_days: int = 30,
    timezone: str = "Asia/Seoul",
    slack: str = "slack_webhook",
) -> dict[str, Any]:
    """Report whether the live ``metric`` of the champion is below what it must be, and send changes to Slack.

    It must be ``floor``, or the holdout's value less ``margin``, whichever is stricter. The test may look at
    each mature day: as long as nothing has changed there are at most ``false_alarms_per_year`` on average.
    ``metric`` is accuracy or mean_absolute_error; an error counts as ten times the limit at most. Slack is
    sent one message when the state changes, also when it is in order again. Returns the state (ok or alarm),
    whether it has changed to alarm in this run (``asks_for_training``), and the reason. Skips without a
    champion.
    """
    from batch_serving.monitoring import alarm as alarms
    from batch_serving.monitoring.joining import labelled_rows
    from batch_serving.monitoring.measuring import Maturity
    from batch_serving.monitoring.outcomes import VersionReader
    from batch_serving.monitoring.places import days_in_window

    zone, cutoff, store = parse_zone(timezone), parse_time(run_after), ModelStore(model)
    pointer = store.usable_pointer()
    if pointer is None:
        skip(f"model {model!r} has no champion yet")
    standard = alarms.standard_of(store.metadata(pointer.version), metric, floor, margin)
    maturity, reader = Maturity(maturity_days, mature_share, zone), VersionReader(store)
    days = []
    for day in days_in_window(model, cutoff, zone, window_days):
        outcomes = reader.outcomes(labelled_rows(model, day)).get(pointer.version)
        if outcomes and outcomes.actual and maturity.is_mature(day, outcomes.labelled_share, cutoff):
            days.append((day, outcomes))
    state = alarms.state_of(pointer.version, standard, days, false_alarms_per_year)
    reason = alarms.sentence_of(model, state, standard)
    log.info("%s", reason)
    changed = _announce(model, state.version, state.state, reason, slack)
    return {
        "model": model,
        "version": state.version,
        "state": state.state,
        "since": state.since.isoformat() if state.since else None,
        "asks_for_training": changed and state.state == alarms.ALARM,
        "reason": reason,
    }


def _announce(model: str, version: str, state: str, reason: str, slack: str) -> bool:
    """Send a change of the alarm's state to Slack, once; return whether it is one."""
    from batch_serving.monitoring.alarm import ALARM, LastChange, announced, keep_announced
    from batch_serving.monitoring.places import quality_folder

    last = announced(model)
    changed = state != last.state or (state == ALARM and version != last.version)
    number = last.number + changed
    if changed and not _send_once(quality_folder(model) / "changes" / f"{number}.json", state, reason, slack):
        return True  # the next run looks whether it was sent
    keep_announced(model, LastChange(version, state, number, reason))
    return changed


def _send_once(path: UPath, state: str, reason: str, slack: str) -> bool:
    """Send a change to Slack unless a try before has; False if one may have been killed while it sent."""
    from batch_serving.monitoring.alarm import ALARM

    right = claim(path, reason)
    if right is None:
        return state_of(path) is Announced.YES
    send = warn if state == ALARM else inform
    right.close(send(reason, connection=slack))
    return True


def needs_training(*, asks_for_training: bool | str) -> bool:
    """Return whether ``alarm`` asks for a training: for a ShortCircuitOperator, whose followers run then."""
    return parse_flag(asks_for_training, "asks_for_training")
