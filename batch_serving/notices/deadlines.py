"""Deadlines of DAGs, and where to look when one has passed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

STALE_CALLBACK = "callables.deadlines.notify_stale"  # as YAML names it


@dataclass(frozen=True)
class RunToLookAt:
    """A run that is late, or the last one of a DAG; ``run_id`` is empty if it has none."""

    dag_id: str
    run_id: str = ""
    state: str = ""
    is_late: bool = False
    expected_since: datetime | None = None  # the DAG's first run, or when the deadline was written if later


@dataclass(frozen=True)
class Deadline:
    """A deadline of a DAG, with the arguments that its callback gets beside the context."""

    run: RunToLookAt
    arguments: dict[str, Any]
