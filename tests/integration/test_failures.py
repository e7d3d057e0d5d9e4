"""Slack hears exactly once of every failed task, whatever killed it, under a real scheduler."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import yaml
from running_airflow import ROOT, Running, copied, started, wait_until

FAILING = Path(__file__).resolve().parent / "failing"
LOOK_S = 2
SETTINGS = {
    "BATCH_FAILURE_WATCH_S": str(LOOK_S),
    "BATCH_WARM_WORKERS": "0",
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor,lost:lost_executor.LostExecutor",
    "AIRFLOW__CORE__PARALLELISM": "6",
    # A start takes seconds where many tasks start at once: those that live are not taken for lost.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "2",
    "AIRFLOW__SCHEDULER__NUM_STUCK_IN_QUEUED_RETRIES": "0",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "6",
    "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "1",
}
LATER_MESSAGES_S = 4 * LOOK_S  # what comes twice comes within two looks
OUT_OF_MEMORY = "its process was killed by SIGKILL, probably out of memory"
REASONS = {
    "raises": "AirflowException: Bash command failed. The command returned a non-zero exit code 3.",
    "is_killed": OUT_OF_MEMORY,
    "is_killed_twice": OUT_OF_MEMORY,
    "is_terminated": "AirflowException: Bash command failed. The command returned a non-zero exit code -15.",
    "takes_too_long": "timed out after 0:00:02 (execution_timeout)",
    "stays_in_queue": "stuck in queue for 30 s: no worker took it",
    "loses_its_worker": "heartbeat lost: its worker on ",
}
BROKEN = "broken:\n  schedul: none\n  tasks: {a: {operator: airflow.providers.standard.operators.empty.EmptyOperator}}\n"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def failing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A project whose DAGs fail, under an Airflow that does not wait long for what is lost."""
    project = copied(tmp_path_factory.mktemp("failing"), "dags", "batch_serving", "callables", "schemas")
    shutil.copytree(FAILING, project / "dag_configs")
    shutil.copy(ROOT / "dag_configs" / "defaults.yml", project / "dag_configs")
    shutil.copy(Path(__file__).with_name("lost_executor.py"), project)
    dag_ids = {
        dag_id for file in FAILING.glob("*.yaml") for dag_id in yaml.safe_load(file.read_text("utf-8"))
    }
    write_old_weather(project / "output")
    with started(project, SETTINGS, dag_ids) as found:
        for dag_id in dag_ids:
            found.api.patch(f"/dags/{dag_id}", {"is_paused": False})
        yield found


def write_old_weather(output: Path) -> None:
    """Weather that was collected three hours ago."""
    collected_at = (datetime.now(UTC) - timedelta(hours=3)).isoformat()
    (output / "weather").mkdir(parents=True)
    (output / "weather" / "latest.csv").write_text(f"district,collected_at\nJongno-gu,{collected_at}\n")


def stale(failing: Running, output: str) -> list[str]:
    """Return the messages about an output that is stale."""
    return [text for text in failing.slack.messages if text.startswith(f":hourglass: *{output}* is stale")]


def callbacks(failing: Running, dag_id: str) -> list[str]:
    """Return the states of the callbacks that Airflow has made for the missed deadlines of a DAG."""
    query = (
        "SELECT callback.state FROM deadline JOIN callback ON callback.id = deadline.callback_id "
        "JOIN dag_run ON dag_run.id = deadline.dagrun_id WHERE deadline.missed AND dag_run.dag_id = ?"
    )
    database = f"file:{failing.instance.home}/airflow.db?mode=ro"
    with contextlib.closing(sqlite3.connect(database, uri=True, timeout=20)) as connection:
        return [state for (state,) in connection.execute(query, (dag_id,))]


def test_what_went_stale_before_the_scheduler_started_is_announced_once(failing: Running) -> None:
    wait_until(lambda: stale(failing, "weather"), "the message", 120)
    (message,) = stale(failing, "weather")
    assert re.search(r"the last weather is 3 h \d min old, and the limit is 2 h 0 min\n", message)
    assert "look at *was_stale_before*: is it paused" in message
    assert f"<{failing.instance.address}/dags/was_stale_before|Open was_stale_before>" in message


def test_a_missed_deadline_is_announced_once_however_many_runs_are_late(failing: Running) -> None:
    first, second = (failing.api.trigger("goes_stale", None) for _ in range(2))
    wait_until(lambda: stale(failing, "predictions/nothing"), "the message", 60)
    for run_id in (first, second):
        failing.ended("goes_stale", run_id)
    wait_until(lambda: callbacks(failing, "goes_stale") == ["success"] * 2, "both callbacks", 60)
    time.sleep(LATER_MESSAGES_S)
    (message,) = stale(failing, "predictions/nothing")
    assert "no prediction with nothing, and the limit is 2 s" in message
    assert "look at *goes_stale*" in message
    assert "/dags/goes_stale/runs/" in message
    assert len(stale(failing, "weather")) == 1


def about(failing: Running, dag_id: str) -> dict[str, list[str]]:
    """Return the messages about a DAG and its tasks, by the name in their first line."""
    found: dict[str, list[str]] = {}
    for text in failing.slack.messages:
        name = text.split("*")[1] if text.startswith(":red_circle:") else ""
        if name.partition(".")[0] == dag_id:
            found.setdefault(name.partition(".")[2], []).append(text)
    return found


def test_each_failed_task_is_announced_once_with_its_reason_and_no_other(failing: Running) -> None:
    too_long = failing.api.trigger("run_takes_too_long", None)
    run = failing.run("ways_to_fail")
    failing.ended("run_takes_too_long", too_long)
    states = failing.tasks(run)
    assert {name for name, state in states.items() if state == "failed"} == {*REASONS, "is_killed_in_silence"}
    wait_until(lambda: set(about(failing, "ways_to_fail")) >= set(REASONS), "all messages", 60)
    time.sleep(LATER_MESSAGES_S)
    found = about(failing, "ways_to_fail")
    assert {name: len(texts) for name, texts in found.items()} == dict.fromkeys(REASONS, 1)
    assert {name: texts[0] for name, texts in found.items() if REASONS[name] not in texts[0]} == {}
    assert "try 2\n" in found["is_killed_twice"][0]
    (message,) = about(failing, "run_takes_too_long").values()
    assert len(message) == 1
    assert message[0].startswith(
        ":red_circle: *run_takes_too_long* failed: it took longer than its dagrun_timeout\n"
    )


def test_a_task_that_fails_again_after_it_was_cleared_is_announced_again(failing: Running) -> None:
    run = failing.api.runs("ways_to_fail")[0]
    failing.slack.messages.clear()
    path = "/dags/ways_to_fail/clearTaskInstances"
    body = {
        "dry_run": False,
        "dag_run_id": run["dag_run_id"],
        "task_ids": ["is_killed"],
        "only_failed": False,
    }
    failing.api.post(path, body)
    wait_until(lambda: "is_killed" in about(failing, "ways_to_fail"), "the message", 60)
    time.sleep(LATER_MESSAGES_S)
    ((message,),) = about(failing, "ways_to_fail").values()
    assert OUT_OF_MEMORY in message
    assert "try 2\n" in message


def test_an_import_error_is_announced_once_and_so_is_its_repair(failing: Running) -> None:
    failing.slack.messages.clear()
    file = failing.project / "dag_configs" / "broken.yaml"
    file.write_text(BROKEN, encoding="utf-8")
    wait_until(lambda: failing.slack.messages, "the message about the file", 60)
    os.utime(failing.project / "dags" / "load_all.py")  # it is parsed again
    time.sleep(LATER_MESSAGES_S)
    (message,) = failing.slack.messages
    assert message.startswith(
        ":warning: dag_configs/broken.yaml has an error, and its DAGs are not loaded:\n"
    )
    assert "broken.yaml:2:3: DAG002 error: unknown key 'schedul'\n  hint: did you mean 'schedule'?" in message
    file.write_text(BROKEN.replace("schedul:", "schedule:"), encoding="utf-8")
    wait_until(lambda: len(failing.slack.messages) > 1, "the message about the repair", 60)
    time.sleep(LATER_MESSAGES_S)
    assert failing.slack.messages[1:] == [":white_check_mark: dag_configs/broken.yaml is loaded again"]


def test_a_deadline_that_passes_while_the_scheduler_is_down_is_announced_on_its_next_start(
    failing: Running,
) -> None:
    failing.slack.messages.clear()
    task = f"/dags/goes_stale_meanwhile/dagRuns/{failing.api.trigger('goes_stale_meanwhile', None)}/taskInstances/slow"
    wait_until(lambda: failing.api.get(task)["state"] == "running", "the task", 60)
    first = scheduler_of(failing)
    first.suspend()
    time.sleep(11)
    assert stale(failing, "predictions/later") == []
    first.kill()
    wait_until(lambda: stale(failing, "predictions/later"), "the message", 60)
    # The watcher, which compares ages, may be quicker than Airflow's own alert: there is one message all the same.
    wait_until(lambda: callbacks(failing, "goes_stale_meanwhile") == ["success"], "the callback", 120)
    time.sleep(LATER_MESSAGES_S)
    assert len(stale(failing, "predictions/later")) == 1
    assert stale(failing, "weather") == []  # announced before


def scheduler_of(failing: Running) -> psutil.Process:
    """Return the scheduler's own process, which is the parent of its workers."""
    found = [each for each in failing.instance.processes() if each.cmdline()[-1:] == ["scheduler"]]
    return next(each for each in found if each.parent() not in found)


def test_over_a_restart_of_the_scheduler_nothing_is_lost_or_said_twice(failing: Running) -> None:
    failing.slack.messages.clear()
    file = failing.project / "dag_configs" / "broken.yaml"
    file.write_text(BROKEN, encoding="utf-8")  # an error from before the restart
    run_id = failing.api.trigger("while_restarting", None)
    running = [failing.output / "first", failing.output / "second"]
    wait_until(lambda: all(path.exists() for path in running), "two running tasks", 60)
    wait_until(lambda: any("broken.yaml has" in text for text in failing.slack.messages), "the old error", 60)
    failing.slack.messages.clear()
    time.sleep(LOOK_S)  # it notes what it has sent
    first = scheduler_of(failing)
    first.kill()
    (failing.output / "die").touch()
    task = f"/dags/while_restarting/dagRuns/{run_id}/taskInstances/dies_meanwhile"
    wait_until(lambda: failing.api.get(task)["state"] == "failed", "the end of the task that dies", 60)
    run = failing.ended("while_restarting", run_id)  # by the next scheduler, which is started on its own
    assert scheduler_of(failing).pid != first.pid
    wait_until(lambda: "dies_meanwhile" in about(failing, "while_restarting"), "the message", 60)
    time.sleep(LATER_MESSAGES_S)
    assert failing.tasks(run) == {"dies_meanwhile": "failed", "is_started_again": "success"}
    assert len(failing.slack.messages) == 1, failing.slack.messages
    (message,) = failing.slack.messages
    assert message.startswith(":red_circle: *while_restarting.dies_meanwhile* failed\n")
    assert OUT_OF_MEMORY in message
