"""Slack: what a message says, and that nothing Slack does reaches the pipeline."""

from __future__ import annotations

import json
import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from pytest_httpserver import HTTPServer
from servers import Slack
from werkzeug import Response

from callables import notifications
from callables._airflow import fail_as_told

PROMOTION = {
    "model": "digits",
    "version": "new",
    "previous": "old",
    "metric": "accuracy",
    "before": 0.9,
    "after": 0.95,
    "reason": "better: accuracy 0.9 → 0.95",
}


def context(error: BaseException | None = None, result: dict | None = None) -> dict[str, Any]:
    """What a callback uses of Airflow's context."""
    instance = SimpleNamespace(
        dag_id="train_model",
        task_id="train_challenger",
        run_id="manual__1",
        try_number=3,
        log_url="http://127.0.0.1:8080/dags/train_model/runs/manual__1/tasks/train_challenger?try_number=3",
        xcom_pull=lambda task_ids: result,
    )
    return {"ti": instance, "exception": error}


@pytest.fixture
def slack(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Slack:
    caplog.set_level(logging.INFO)
    server = Slack(httpserver)
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_WEBHOOK", server.connection)
    return server


def test_a_failure_tells_where_what_and_where_to_look(slack: Slack) -> None:
    notifications.notify_failure(context(ValueError("target 'digit' is empty in 3 rows <&>")))
    assert slack.messages == [
        ":red_circle: *train_model.train_challenger* failed\n"
        "run `manual__1`, try 3\n"
        "```ValueError: target 'digit' is empty in 3 rows &lt;&amp;&gt;```\n"
        "<http://127.0.0.1:8080/dags/train_model/runs/manual__1/tasks/train_challenger?try_number=3"
        "|Open the log>"
    ]


def test_a_promotion_tells_both_versions_and_the_metric_before_and_after(slack: Slack) -> None:
    notifications.notify_promotion(context(result=PROMOTION))
    first = notifications.notify_promotion(context(result={**PROMOTION, "previous": None, "before": None}))
    back = {**PROMOTION, "rolled_back": True, "reason": "rolled back by hand"}
    notifications.notify_promotion(context(result=back))
    assert first is None
    assert slack.messages[0].splitlines()[:3] == [
        ":trophy: *digits* has a new champion: `new`",
        "previous: `old`",
        "accuracy: 0.9000 → 0.9500 (better: accuracy 0.9 → 0.95)",
    ]
    assert "previous: `none`\naccuracy: none → 0.9500" in slack.messages[1]
    assert slack.messages[2].startswith(":leftwards_arrow_with_hook: *digits* is rolled back to `new`\n")


def test_a_failure_that_follows_from_one_that_was_told_is_told_once(
    slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AirflowFailException) as failed:
        fail_as_told("no answer yet for: Jongno-gu")
    notifications.notify_failure(context(failed.value))
    assert slack.messages == []
    assert "Slack was told by the task that failed first" in caplog.text


def test_a_long_error_is_cut(slack: Slack) -> None:
    notifications.notify_failure(context(ValueError("x" * 100_000)))
    assert len(slack.messages[0]) < 2000


def slow(_request: object) -> Response:
    time.sleep(5)
    return Response("ok")


def trickle(_request: object) -> Response:
    def body() -> Any:
        for _ in range(50):
            yield b"x"
            time.sleep(0.1)

    return Response(body())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: Response("rate limited", status=429, headers={"Retry-After": "3600"}), "HTTP 429"),
        (lambda _: Response("server error", status=500), "HTTP 500"),
        (lambda _: Response("no_team", status=404), "HTTP 404"),
        (slow, "no answer within"),
        (trickle, "no answer within"),
    ],
)
def test_whatever_slack_answers_the_message_is_in_the_log(
    slack: Slack, answer: Any, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notifications, "DEADLINE_S", 1)
    slack.answer = answer
    notifications.notify_failure(context(ValueError("the reason")))
    assert f"Slack was not told ({reason}" in caplog.text
    assert "ValueError: the reason" in caplog.text
    assert "AIRFLOW_CONN_SLACK_WEBHOOK=" in caplog.text
    assert "secret-token" not in caplog.text


@pytest.mark.parametrize(
    "connection",
    [
        None,
        json.dumps({"conn_type": "slackwebhook", "password": "http://127.0.0.1:9/services/secret-token"}),
        json.dumps({"conn_type": "slackwebhook", "password": "http://127.0.0.1:9/services/secret-token x"}),
        json.dumps({"conn_type": "slackwebhook", "password": "htp://127.0.0.1:9/services/secret-token"}),
        json.dumps({"conn_type": "slackwebhook"}),
        "not a connection at all",
    ],
)
def test_without_a_connection_that_works_the_message_is_in_the_log(
    connection: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_WEBHOOK", connection)
    notifications.notify_failure(context(ValueError("the reason")))
    assert "Slack was not told" in caplog.text
    assert "ValueError: the reason" in caplog.text
    assert "secret-token" not in caplog.text


def test_a_password_quoted_in_an_error_is_masked(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.log import mask_secret

    mask_secret("hunter2-hunter2")
    notifications.notify_failure(context(ValueError("login with hunter2-hunter2 was refused")))
    assert "hunter2" not in slack.messages[0]
    assert "login with *** was refused" in slack.messages[0]
