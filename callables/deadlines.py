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
from batch_serving.notices.deadlines import RunToLookAt
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

    late = context["dag_run"]
    run = RunToLookAt(late["dag_id"], late["dag_run_id"], str(late.get("state") or ""), is_late=True)
    await sync_to_async(report_stale)(run, interval, output, connection)


def report_stale(run: RunToLookAt, interval: float, output: str, connection: str = "slack_webhook") -> None:
    """Do what ``notify_stale`` does; ``run`` is the late run, or the DAG's last one.

    An output that is not there yet is expected since the DAG's first run. So runs that succeed and never
    write anything are reported, and a pipeline that has just been started is not.
    """
    from batch_serving.monitoring.ages import in_words, newest_of

    found, now, limit = newest_of(output), datetime.now(UTC), timedelta(seconds=interval)
    since = found.moment or run.expected_since
    is_stale = run.is_late if since is None else now - since > limit
    if not is_stale or found.is_not_due:
        log.info("%s is not stale: %s", output, found.what)
        return
    age = found.age(now)
    state = found.what if age is None else f"{found.what} is {in_words(age)} old"
    lines = [
        f":hourglass: *{escaped(output)}* is stale: {escaped(state)}, and the limit is {in_words(limit)}",
        f"look at *{escaped(run.dag_id)}*: is it paused, does a run fail, wait or skip what writes, "
        "has the scheduler been down?",
        _link_to(run),
    ]
    announce_once(lambda: claims.of_stale(output, found.moment), lines, connection)


def _link_to(run: RunToLookAt) -> str:
    """Return a link to the run with its state, or to the DAG."""
    link = f"<{_address_of(run.dag_id, run.run_id)}|Open {escaped(run.run_id or run.dag_id)}>"
    if not run.run_id:
        return link
    return f"{link}, {'which is late' if run.is_late else 'its last run'}: {escaped(run.state)}"


def _address_of(dag_id: str, run_id: str) -> str:
    """Return the page of a DAG, or of one of its runs, in Airflow's UI."""
    from batch_serving.shared.airflow import ui_address

    run = f"/runs/{quote(run_id, safe='')}" if run_id else ""
    return f"{ui_address()}/dags/{quote(dag_id)}{run}"
