"""Slack hears once of an output that has nothing new for too long."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from servers import Slack

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
    context = {"dag_run": {"dag_id": "train_model", "dag_run_id": run_id}}
    asyncio.run(notify_stale(context, interval=interval, output="models/digits"))


def test_a_stale_output_is_announced_once_until_there_is_something_new(output: Path, slack: Slack) -> None:
    version = add_version(4)
    for number in range(3):
        miss(f"scheduled__{number}")
    report_stale("train_model", None, 10800, "models/digits")
    (message,) = slack.messages
    assert (
        f"*models/digits* is stale: version {version} of digits is 4 h 0 min old, and the limit is 3 h"
        in message
    )
    assert "look at *train_model*: is it paused" in message
    assert "/dags/train_model/runs/scheduled__0|Open scheduled__0>" in message
    add_version(1)
    miss("scheduled__4")
    assert len(slack.messages) == 1
    miss("scheduled__5", interval=1800)  # stale again, by a shorter limit
    assert len(slack.messages) == 2


def test_a_late_run_is_not_announced_while_the_output_is_new(output: Path, slack: Slack) -> None:
    add_version(1)
    miss()
    assert slack.messages == []


def test_an_output_that_is_not_there_is_announced_only_if_a_run_is_late(output: Path, slack: Slack) -> None:
    report_stale("train_model", None, 10800, "models/digits")
    assert slack.messages == []
    miss()
    miss("scheduled__2")
    (message,) = slack.messages
    assert "*models/digits* is stale: no version of digits, and the limit is 3 h 0 min" in message


def test_without_slack_the_log_has_it(output: Path, caplog: pytest.LogCaptureFixture) -> None:
    add_version(4)
    miss()
    assert "Not sent to Slack (there is no connection 'slack_webhook')" in caplog.text
