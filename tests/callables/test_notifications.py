"""Slack: what a message says, and that no problem with Slack affects a pipeline."""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from buckets import SIGN_IN
from pytest_httpserver import HTTPServer
from servers import Slack
from stores import together
from werkzeug import Response

from batch_serving.notices import claims, reasons
from batch_serving.notices.claims import Announced
from batch_serving.shared.airflow import fail_already_reported
from callables import notifications

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
    """The part of Airflow's context that a callback uses."""
    instance = SimpleNamespace(
        id=str(uuid.uuid4()),
        map_index=-1,
        dag_id="train_model",
        task_id="train_challenger",
        run_id="manual__1",
        try_number=3,
        log_url="http://127.0.0.1:8080/dags/train_model/runs/manual__1/tasks/train_challenger?try_number=3",
        xcom_pull=lambda task_ids: result,
    )
    return {"ti": instance, "exception": error}


@pytest.fixture(autouse=True)
def claims_folder(output: Path) -> Path:
    """Where the claims on messages are, for each test its own."""
    return output / "notifications"


@pytest.fixture
def slack(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Slack:
    caplog.set_level(logging.INFO)
    server = Slack(httpserver)
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_WEBHOOK", server.connection)
    return server


def test_a_failure_has_the_task_the_error_and_a_link(slack: Slack) -> None:
    notifications.notify_failure(context(ValueError("target 'digit' is empty in 3 rows <&>")))
    assert slack.messages == [
        ":red_circle: *train_model.train_challenger* failed\n"
        "run `manual__1`, try 3\n"
        "```ValueError: target 'digit' is empty in 3 rows &lt;&amp;&gt;```\n"
        "<http://127.0.0.1:8080/dags/train_model/runs/manual__1/tasks/train_challenger?try_number=3"
        "|Open the log>"
    ]


def test_a_promotion_has_both_versions_and_the_metric_before_and_after(slack: Slack) -> None:
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


def test_a_failure_that_follows_from_a_reported_one_is_not_sent(
    slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(AirflowFailException) as failed:
        fail_already_reported("no answer yet for: Jongno-gu")
    notifications.notify_failure(context(failed.value))
    assert slack.messages == []
    assert "not sent to Slack: the task that failed first was reported" in caplog.text


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
        (slow, "no response within"),
        (trickle, "no response within"),
    ],
)
def test_whatever_slack_answers_the_message_is_in_the_log(
    slack: Slack, answer: Any, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(notifications, "DEADLINE_S", 1)
    slack.answer = answer
    notifications.notify_failure(context(ValueError("the reason")))
    assert f"Not sent to Slack ({reason}" in caplog.text
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
    assert "Not sent to Slack" in caplog.text
    assert "ValueError: the reason" in caplog.text
    assert "secret-token" not in caplog.text


def test_a_password_quoted_in_an_error_is_masked(slack: Slack, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.log import mask_secret

    mask_secret("hunter2-hunter2")
    notifications.notify_failure(context(ValueError("login with hunter2-hunter2 was refused")))
    assert "hunter2" not in slack.messages[0]
    assert "login with *** was refused" in slack.messages[0]


def test_a_callback_of_a_dag_has_the_reason_and_the_tasks(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"a": "success", "b": "failed", "c": "upstream_failed", "d": "running", "e": "skipped"}
    monkeypatch.setattr("batch_serving.shared.airflow.states_of_tasks", lambda dag_id, run_id: states)
    instance = context()["ti"]
    notifications.notify_failure({"ti": instance, "reason": "task_failure", "exception": None})
    assert slack.messages[0].splitlines() == [
        ":red_circle: *train_model* failed: a task failed",
        "run `manual__1`",
        "failed: b",
        "not run because of them: c",
        "not finished: d",
        f"<{instance.log_url}|Open the log of train_challenger>",
    ]


def test_after_a_timeout_the_tasks_that_airflow_skipped_are_listed(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {"a": "success", "b": "skipped", "c": "running"}
    monkeypatch.setattr("batch_serving.shared.airflow.states_of_tasks", lambda dag_id, run_id: states)
    notifications.notify_failure({"ti": context()["ti"], "reason": "timed_out", "exception": None})
    assert slack.messages[0].splitlines()[2] == "not finished, or skipped: b, c"


def test_a_callback_of_a_dag_needs_no_task(slack: Slack) -> None:
    """After a time-out of the run, Airflow gives the DAG, the run and the reason, and nothing else."""
    dag = SimpleNamespace(dag_id="train_model")
    notifications.notify_failure({"dag": dag, "run_id": "manual__1", "reason": "timed_out"})
    assert slack.messages == [
        ":red_circle: *train_model* failed: it took longer than its dagrun_timeout\nrun `manual__1`"
    ]


def test_however_often_airflow_calls_back_slack_hears_once(
    slack: Slack, caplog: pytest.LogCaptureFixture
) -> None:
    failed = context(ValueError("the reason"))
    together([lambda: notifications.notify_failure(failed)] * 4)
    notifications.notify_failure({**failed, "exception": None})  # as the DAG processor calls it
    assert len(slack.messages) == 1
    assert "it is, or was, sent by another process" in caplog.text


def test_another_try_and_another_connection_are_messages_of_their_own(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_OTHER", slack.connection)
    failed = context(ValueError("the reason"))
    notifications.notify_failure(failed)
    notifications.notify_failure(failed, connection="other")
    failed["ti"].try_number += 1
    notifications.notify_failure(failed)
    assert len(slack.messages) == 3


def test_a_sender_that_died_before_it_sent_keeps_no_one_silent(
    slack: Slack, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = context(ValueError("the reason"))
    assert claims.claim(claims.of_task(failed["ti"].id, 3, "slack_webhook")) is not None
    notifications.notify_failure(failed)
    assert slack.messages == []
    monkeypatch.setattr(claims, "ABANDONED_AFTER_S", 0.0)
    notifications.notify_failure(failed)
    assert len(slack.messages) == 1


def test_where_nothing_can_be_claimed_the_message_is_sent(
    slack: Slack, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    output.write_text("a file in the place of the folder")
    notifications.notify_failure(context(ValueError("the reason")))
    assert len(slack.messages) == 1
    assert "it was not noted that Slack has this message: UnreachableError" in caplog.text


@pytest.fixture
def new_s3_clients() -> Iterator[None]:
    """A client reads the storage's address once, and is used again."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "http://10.255.255.1"])
def test_a_storage_that_does_not_answer_delays_no_message_for_long(
    slack: Slack, monkeypatch: pytest.MonkeyPatch, new_s3_clients: None, address: str
) -> None:
    monkeypatch.setattr(notifications, "CLAIM_DEADLINE_S", 0.5)
    for name, value in {**SIGN_IN, "AWS_ENDPOINT_URL": address, "BATCH_OUTPUT": "s3://bucket"}.items():
        monkeypatch.setenv(name, value)
    start = time.monotonic()
    notifications.notify_failure(context(ValueError("the reason")))
    assert time.monotonic() - start < 4
    assert len(slack.messages) == 1


def test_a_task_that_was_reported_with_another_is_noted_so_that_no_one_requests_it(slack: Slack) -> None:
    with pytest.raises(AirflowFailException) as failed:
        fail_already_reported("no answer yet for: Jongno-gu")
    found = context(failed.value)
    found["ti"].id = "01a218b3-1f8e-78e3-aadf-4f60b410212b"
    notifications.notify_failure(found)
    assert claims.announced(found["ti"].id, 3) is Announced.YES


def test_a_timeout_says_after_how_long(slack: Slack) -> None:
    from airflow.sdk.exceptions import AirflowTaskTimeout

    failed = context(AirflowTaskTimeout("Timeout, PID: 123"))
    failed["ti"].task = SimpleNamespace(execution_timeout=timedelta(minutes=15))
    notifications.notify_failure(failed)
    assert "```timed out after 0:15:00 (execution_timeout)```" in slack.messages[0]


@pytest.mark.parametrize(
    ("request_text", "shown"), [("killed by SIGKILL", "killed by SIGKILL"), ("", reasons.UNKNOWN)]
)
def test_a_requested_callback_says_why_it_was_requested(slack: Slack, request_text: str, shown: str) -> None:
    with reasons.requested_because(request_text):
        notifications.notify_failure(context())
    assert f"```{shown}```" in slack.messages[0]


def test_a_mapped_task_has_its_index(slack: Slack) -> None:
    failed = context(ValueError("the reason"))
    failed["ti"].map_index = 2
    notifications.notify_failure(failed)
    assert slack.messages[0].startswith(":red_circle: *train_model.train_challenger[2]* failed\n")


@pytest.mark.parametrize(
    ("reason", "sent"), [("task_failure", 0), ("timed_out", 1), ("all_tasks_deadlocked", 1)]
)
def test_a_callback_of_a_dag_may_leave_out_runs_whose_tasks_report_themselves(
    slack: Slack, reason: str, sent: int
) -> None:
    found = {"dag": SimpleNamespace(dag_id="train_model"), "run_id": "manual__1", "reason": reason}
    notifications.notify_failure(found, unless_a_task_failed=True)
    assert len(slack.messages) == sent


def test_a_connection_whose_type_is_not_installed_is_reported_with_the_command(slack: Slack) -> None:
    notifications.notify_failure(context(ValueError('Unknown hook type "sqlite"')))
    assert "it needs the provider sqlite, which is not installed: make setup EXTRAS=" in slack.messages[0]
