"""Slack hears of an output that has nothing new for too long.

For the ``deadline`` of a DAG: ``deadline: {interval: 10800, callback: callables.deadlines.notify_stale, …}``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from batch_serving.monitoring import arguments
from batch_serving.notices import claims
from batch_serving.shared.checked_by import checked_by
from callables.notifications import announce_once, escaped

log = logging.getLogger(__name__)


@checked_by(arguments.of_deadline)
async def notify_stale(
    context: Mapping[str, Any], *, interval: float, output: str, connection: str = "slack_webhook"
) -> None:
    """Send to Slack that an output has nothing new since more than ``interval`` seconds, and what to look at.

    Airflow calls it when a run has not succeeded ``interval`` seconds after it was queued. ``output`` is
    ``models/<name>``, ``verdicts/<name>``, ``predictions/<name>`` or ``weather``. Sends nothing while the
    output is new, for example because a later run was quicker, and one message until there is something new,
    however many runs are late.
    """
    from asgiref.sync import sync_to_async

    run = context["dag_run"]
    await sync_to_async(report_stale)(run["dag_id"], run["dag_run_id"], interval, output, connection)


def report_stale(
    dag_id: str, run_id: str | None, interval: float, output: str, connection: str = "slack_webhook"
) -> None:
    """Do what ``notify_stale`` does; ``run_id`` is the late run, None if there is none.

    Without a late run an output that is not there yet is not reported.
    """
    from batch_serving.monitoring.ages import in_words, newest_of

    found = newest_of(output)
    age, limit = found.age(datetime.now(UTC)), timedelta(seconds=interval)
    if (age is None and run_id is None) or (age is not None and age <= limit):
        log.info("%s is not stale: %s", output, found.what)
        return
    state = found.what if age is None else f"{found.what} is {in_words(age)} old"
    lines = [
        f":hourglass: *{escaped(output)}* is stale: {escaped(state)}, and the limit is {in_words(limit)}",
        f"look at *{escaped(dag_id)}*: is it paused, does a run fail or wait, has the scheduler been down?",
        f"<{_address_of(dag_id, run_id)}|Open {escaped(run_id or dag_id)}>",
    ]
    announce_once(lambda: claims.of_stale(output, found.moment), lines, connection)


def _address_of(dag_id: str, run_id: str | None) -> str:
    """Return the page of a DAG, or of one of its runs, in Airflow's UI."""
    from batch_serving.shared.airflow import ui_address

    run = f"/runs/{quote(run_id, safe='')}" if run_id else ""
    return f"{ui_address()}/dags/{quote(dag_id)}{run}"
