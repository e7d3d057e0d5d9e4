"""P3, after the predictions: compacted days, daily drift, and the champion's card."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from batch_serving.prediction import arguments
from batch_serving.registry.store import ModelStore
from batch_serving.shared.checked_by import checked_by
from batch_serving.shared.failures import Failures
from batch_serving.shared.paths import relative_to_project
from batch_serving.shared.run_context import parse_time, parse_zone

if TYPE_CHECKING:
    from datetime import date


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
