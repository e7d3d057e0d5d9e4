"""How good a version's predictions were, by the labels that have come since, and the trial that it is in."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from batch_serving.cards.html_parts import section
from batch_serving.monitoring.alarm import announced
from batch_serving.monitoring.measuring import measured_rows
from batch_serving.prediction.places import days_of
from batch_serving.promotion.trials import trial_of

if TYPE_CHECKING:
    from batch_serving.registry.store import ModelStore

DAYS_READ = 30
DAYS_SHOWN = 7
COLUMNS = ("date", "metric", "value", "interval", "labelled", "mature")

Row = dict[str, str]


def live_quality(store: ModelStore, version: str) -> str:
    """Return a table of the newest measured days, and sentences on the alarm and the trial; empty without."""
    rows: list[Row] = []
    days = 0
    for day in reversed(days_of(store.name)[-DAYS_READ:]):
        own = [row for row in measured_rows(store.name, day) if row["model_version"] == version]
        rows, days = rows + own, days + bool(own)
        if days == DAYS_SHOWN:
            break
    texts = "".join(f"<p>{html.escape(text)}</p>" for text in _sentences(store, version))
    if not rows and not texts:
        return ""
    return section("Live quality", texts + (_table(rows) if rows else ""))


def _sentences(store: ModelStore, version: str) -> list[str]:
    found = []
    last, trial = announced(store.name), trial_of(store)
    if last.version == version and last.reason:
        found.append(last.reason)
    if trial is not None and version in (trial.trial.version, trial.trial.champion):
        found.append(f"trial: {trial.evidence().sentence}")
    return found


def _table(rows: list[Row]) -> str:
    head = "".join(f"<th>{name}</th>" for name in COLUMNS)
    body = "".join(f"<tr>{''.join(_cells(row))}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _cells(row: Row) -> list[str]:
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    texts = [
        row["date"],
        row["metric"],
        "–" if math.isnan(value) else f"{value:.4f}",
        "–" if math.isnan(low) else f"{low:.4f} to {high:.4f}",
        f"{row['labelled']} of {row['rows']}",
        row["mature"],
    ]
    return [f"<td>{html.escape(text)}</td>" for text in texts]
