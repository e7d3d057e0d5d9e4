"""Slack hears once of an output that has nothing new for too long."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from servers import Slack

from batch_serving.notices import claims
from batch_serving.notices.deadlines import RunToLookAt
from batch_serving.registry.store import ModelStore
from callables.deadlines import notify_stale, report_stale


@pytest.fixture
def slack(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Slack:
    found = Slack(httpserver)
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_WEBHOOK", found.connection)
    return found


def add_version(hours_ago: float) -> str:
    moment = datetime.now(UTC) - timedelta(hours=hours_ago)
    return ModelStore("digits").save({}, {"run_id": f"{hours_ago}", "inputs": "", "metrics": {}}, moment)


def miss(run_id: str = "scheduled__1", interval: float = 10800) -> None:
    context = {"dag_run": {"dag_id": "train_model", "dag_run_id": run_id, "state": "running"}}
    asyncio.run(notify_stale(context, interval=interval, output="models/digits"))


def look(output: str = "models/digits", *, first_run_hours_ago: float = 0, state: str = "success") -> None:
    """Look as the watcher does, which knows of no late run."""
    since = datetime.now(UTC) - timedelta(hours=first_run_hours_ago)
    report_stale(RunToLookAt("train_model", "last", state, expected_since=since), 10800, output)


def test_a_stale_output_is_announced_once_until_there_is_something_new(output: Path, slack: Slack) -> None:
    version = add_version(4)
    for number in range(3):
        miss(f"scheduled__{number}")
    look()
    (message,) = slack.messages
    assert (
        f"*models/digits* is stale: version {version} of digits is 4 h 0 min old, and the limit is 3 h"
        in message
    )
    assert "look at *train_model*: is it paused" in message
    assert "/dags/train_model/runs/scheduled__0|Open scheduled__0>, which is late: running" in message
    add_version(1)
    miss("scheduled__4")
    assert len(slack.messages) == 1
    miss("scheduled__5", interval=1800)  # stale again, by a shorter limit
    assert len(slack.messages) == 2


def test_a_late_run_is_not_announced_while_the_output_is_new(output: Path, slack: Slack) -> None:
    add_version(1)
    miss()
    assert slack.messages == []


def test_an_output_that_is_not_there_is_announced_if_a_run_is_late(output: Path, slack: Slack) -> None:
    report_stale(RunToLookAt("train_model"), 10800, "models/digits")  # the DAG has no run yet
    look(first_run_hours_ago=2)
    assert slack.messages == []
    miss()
    miss("scheduled__2")
    (message,) = slack.messages
    assert "*models/digits* is stale: no version of digits, and the limit is 3 h 0 min" in message


def test_runs_that_succeed_and_never_write_anything_are_announced(output: Path, slack: Slack) -> None:
    for _ in range(2):
        look("predictions/digits", first_run_hours_ago=4)
    (message,) = slack.messages
    assert "*predictions/digits* is stale: no prediction with digits, and the limit is 3 h 0 min" in message
    assert message.endswith("/dags/train_model/runs/last|Open last>, its last run: success")


def test_no_verdict_is_missed_before_there_is_a_version(output: Path, slack: Slack) -> None:
    look("verdicts/digits", first_run_hours_ago=4)
    assert slack.messages == []
    add_version(4)
    look("verdicts/digits", first_run_hours_ago=4)
    assert len(slack.messages) == 1


def test_what_is_stale_for_months_is_announced_once_also_after_claims_are_pruned(
    output: Path, slack: Slack
) -> None:
    add_version(24 * 40)
    for _ in range(3):
        look()
        claims.prune()
    assert len(slack.messages) == 1


def test_versions_that_wait_for_a_verdict_are_announced_once_however_many_there_are(
    output: Path, slack: Slack
) -> None:
    for hours in range(60, 4, -1):
        add_version(hours)
    for hours in range(4, 0, -1):
        add_version(hours)
        look("verdicts/digits")
    assert len(slack.messages) == 1


def test_without_slack_the_log_has_it(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_version(4)
    miss()
    assert "Not sent to Slack (there is no connection 'slack_webhook')" in caplog.text
