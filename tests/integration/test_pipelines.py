"""The four pipelines under a real scheduler: they succeed, write their files, and send messages to Slack."""

from __future__ import annotations

import csv
import json
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import pytest
from conftest import Trained
from kma_faults import FAULTS
from running_airflow import Running, wait_until
from servers import KEY, kma_answer
from trees import tree
from werkzeug import Response

from batch_serving.prediction.run_files import COLUMNS

pytestmark = pytest.mark.slow


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_nothing_listens_outside_this_machine(running: Running) -> None:
    listening = [
        address.laddr
        for process in running.instance.processes()
        for address in process.net_connections()
        if address.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} == {"127.0.0.1"}
    assert len({address.port for address in listening}) == 3


def test_there_are_no_import_errors_and_no_example_dags(running: Running) -> None:
    assert running.import_errors() == {}
    files = list((running.project / "dag_configs").glob("*.yaml"))
    assert len(running.api.get("/dags")["dags"]) == len(files)


def test_train_model_keeps_a_version_with_its_inference_results(running: Running, trained: Trained) -> None:
    train, _ = trained
    assert running.tasks(train) == dict.fromkeys(
        ("check_dataset", "train_challenger", "predict_holdout"), "success"
    )
    version = running.xcom(train, "train_challenger")["version"]
    folder = running.output / "models" / "digits" / "versions" / version
    # promote_model may have measured it already.
    assert {path.name for path in folder.iterdir()} - {"fold_scores.json"} == {
        "model.joblib",
        "metadata.json",
        "holdout_predictions.csv",
        "card.html",
    }
    assert json.loads((folder / "metadata.json").read_text())["run_id"] == train["dag_run_id"]
    assert len(read_rows(folder / "holdout_predictions.csv")) > 300


def test_its_asset_starts_promote_model_which_promotes_the_first_and_sends_a_message(
    running: Running, trained: Trained
) -> None:
    _, promote = trained
    assert promote["run_type"] == "asset_triggered"
    states = running.tasks(promote)
    assert states == {"compare": "success", "choose": "success", "promote": "success", "keep": "skipped"}
    first = json.loads((running.output / "models" / "digits" / "history.jsonl").read_text().splitlines()[0])
    assert (first["verdict"], first["run_id"]) == ("promoted", promote["dag_run_id"])
    message = message_with(running, ":trophy:")
    assert f"`{first['version']}`" in message
    assert "previous: `none`" in message
    assert f"{running.instance.address}/dags/promote_model/runs/" in message


def test_a_model_that_is_not_better_is_not_promoted(running: Running, trained: Trained) -> None:
    with running.alone("promote_model"):
        running.run(
            "promote_model"
        )  # whatever the newest version deserves; its asset's own run may come late
        before = (running.output / "models" / "digits" / "champion.json").read_bytes()
        again = running.run("promote_model")
    assert running.tasks(again) == {
        "compare": "success",
        "choose": "success",
        "promote": "skipped",
        "keep": "success",
    }
    assert (running.output / "models" / "digits" / "champion.json").read_bytes() == before


def test_a_version_can_be_promoted_by_hand(running: Running, trained: Trained) -> None:
    pointer = running.output / "models" / "digits" / "champion.json"
    versions = sorted(path.name for path in (running.output / "models" / "digits" / "versions").iterdir())
    other = next(name for name in versions if name != json.loads(pointer.read_text())["version"])
    run = running.run("promote_model", {"version": other})
    assert running.tasks(run)["promote"] == "success"
    assert json.loads(pointer.read_text())["version"] == other


def message_with(running: Running, part: str) -> str:
    """Return the Slack message with this part; a task calls back only after its state is known."""
    return wait_until(
        lambda: next((text for text in running.slack.messages if part in text), None), f"Slack: {part}", 30
    )


def pointer_of(running: Running) -> dict[str, Any]:
    return json.loads((running.output / "models" / "digits" / "champion.json").read_text())


def test_the_trigger_form_rolls_back_and_reports_what_would_be_done(
    running: Running, trained: Trained
) -> None:
    before = pointer_of(running)
    history = (running.output / "models" / "digits" / "history.jsonl").read_bytes()
    dry = running.run("promote_model", {"roll_back": True, "dry_run": True})
    assert running.tasks(dry)["promote"] == "skipped"
    reason = running.xcom(dry, "compare")["reason"]
    assert reason.startswith(
        f"dry run: {before['previous']} would be promoted: rolled back by hand: accuracy 0.9"
    )
    assert pointer_of(running) == before
    assert (running.output / "models" / "digits" / "history.jsonl").read_bytes() == history

    run = running.run("promote_model", {"roll_back": True})
    assert running.tasks(run)["promote"] == "success"
    after = pointer_of(running)
    assert (after["version"], after["previous"]) == (before["previous"], before["version"])
    assert "is rolled back to" in message_with(running, "rolled back by hand")


def test_an_unknown_version_fails_without_retries_and_lists_the_known_ones(
    running: Running, trained: Trained
) -> None:
    run = running.run("promote_model", {"version": "20200101T000000Z-00000000"})
    assert running.tasks(run)["compare"] == "failed"
    log = running.log(run, "compare")
    assert "has no version '20200101T000000Z-00000000'; the newest are: " in log
    assert pointer_of(running)["version"] in log


@pytest.mark.parametrize("answer", ["Approve", "Reject"])
def test_a_promotion_may_need_an_approval(running: Running, trained: Trained, answer: str) -> None:
    before = pointer_of(running)
    run_id = running.api.trigger("promote_approved", {"version": before["previous"]})
    task = f"/dags/promote_approved/dagRuns/{run_id}/taskInstances/approve"
    wait_until(lambda: running.api.get(task)["state"] == "awaiting_input", "the question")
    asked = running.api.get(f"{task}/-1/hitlDetails")
    assert asked["subject"] == f"Promote {before['previous']}?"
    assert re.fullmatch(r"chosen by hand: accuracy 0\.9\d* → 0\.9\d*", asked["body"])
    # An answer before the scheduler knows that the worker has paused counts as a crash, and is needed again.
    time.sleep(4)
    running.api.patch(f"{task}/-1/hitlDetails", {"chosen_options": [answer], "params_input": {}})
    run = running.ended("promote_approved", run_id)
    done = {"Approve": "success", "Reject": "skipped"}[answer]
    assert running.tasks(run)["promote"] == done
    moved = pointer_of(running)["version"] == before["previous"]
    assert moved == (answer == "Approve")


def test_a_request_is_in_the_audit_log_with_its_user(running: Running, trained: Trained) -> None:
    found = running.api.get("/eventLogs?event=trigger_dag_run&dag_id=train_model")["event_logs"]
    assert found
    assert {each["owner"] for each in found} == {"admin"}


def test_predict_writes_five_rows(running: Running, trained: Trained) -> None:
    run = running.run("predict")
    assert running.tasks(run) == dict.fromkeys(
        ("draw_rows", "predict_rows", "maintain_predictions"), "success"
    )
    assert running.xcom(run, "maintain_predictions")["compacted_days"] == []
    rows = read_rows(running.project / running.xcom(run, "predict_rows")["file"])
    assert len(rows) == 5
    assert {row["run_id"] for row in rows} == {f"predict.{run['dag_run_id']}"}


def test_a_run_for_an_earlier_day_writes_into_that_day(running: Running, trained: Trained) -> None:
    """By hand with a logical date, as for `airflow dags test`, and by a backfill; both are of the 13th in Seoul."""
    running.api.patch("/dags/predict", {"is_paused": False})
    started = running.api.post("/dags/predict/dagRuns", {"logical_date": "2026-02-12T23:31:00Z"})
    times = {"from_date": "2026-02-12T23:35:00Z", "to_date": "2026-02-12T23:35:00Z"}
    running.api.post("/backfills", {"dag_id": "predict", **times, "max_active_runs": 1})
    due = "backfill__2026-02-12T23:35:00+00:00"
    runs = [running.ended("predict", run_id) for run_id in (started["dag_run_id"], due)]
    folder = running.output / "predictions" / "digits" / "date=2026-02-13"
    try:
        assert [run["state"] for run in runs] == ["success", "success"]
        files = [running.project / running.xcom(run, "predict_rows")["file"] for run in runs]
        assert {path.parent for path in files} == {folder}
        running.quiet("predict")  # a later run compacts the day, which is over
        rows = [row["run_id"] for path in folder.glob("*.csv") for row in read_rows(path)]
        names = [f"predict.{started['dag_run_id']}", "predict.scheduled__2026-02-12T23:35:00+00:00"]
        assert sorted(rows) == sorted(5 * names)
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(folder.parent / "drift" / folder.name)


def test_predict_is_skipped_without_a_champion_with_the_reason(running: Running) -> None:
    run = running.run("predict_untrained")
    assert running.tasks(run) == {
        "draw_rows": "success",
        "predict_rows": "skipped",
        "maintain_predictions": "skipped",
    }
    assert "model 'untrained' has no champion yet" in running.log(run, "predict_rows")


def test_a_failure_in_the_upkeep_is_reported_and_fails_no_prediction(
    running: Running, trained: Trained
) -> None:
    """A compacted day that is corrupt, and a late run of that day."""
    day = running.output / "predictions" / "digits" / "date=2026-01-02"
    day.mkdir(parents=True)
    (day / "day=2026-01-02.csv").write_text("corrupt", encoding="utf-8")
    (day / "late.csv").write_text(",".join(COLUMNS) + "\nlate,t,v,1,2,,t\n", encoding="utf-8")
    running.slack.messages.clear()
    try:
        run = running.run("predict")
        assert run["state"] == "failed"
        assert running.tasks(run) == {
            "draw_rows": "success",
            "predict_rows": "success",
            "maintain_predictions": "failed",
        }
        assert len(read_rows(running.project / running.xcom(run, "predict_rows")["file"])) == 5
        message = message_with(running, "*predict.maintain_predictions* failed")
        assert "compaction of 2026-01-02 failed: CorruptFileError" in message
        assert ", try 1" in message  # no retries
    finally:
        shutil.rmtree(day)
    assert running.clear(run)["state"] == "success"


def test_collect_weather_without_a_key_writes_samples_for_25_districts(running: Running) -> None:
    run = running.run("collect_weather")
    assert running.tasks(run) == {"collect": "success", "preprocess": "success"}
    rows = read_rows(running.output / "weather" / "latest.csv")
    assert len(rows) == 25
    assert {row["source"] for row in rows} == {"sample"}
    assert "MADE UP" in running.log(run, "collect")


def test_collect_weather_with_a_key_asks_the_service_and_never_shows_the_key(running: Running) -> None:
    run = running.run("collect_loopback")
    assert run["state"] == "success", running.log(run, "collect")
    assert len(running.kma.requests) == 14
    assert "kma" in {row["source"] for row in read_rows(running.output / "weather" / "latest.csv")}
    secret = KEY[:12].encode()
    places = {**tree(running.output), **tree(running.instance.home / "logs")}
    assert [name for name, data in places.items() if secret in data] == []
    assert KEY not in str(running.xcom(run, "collect")) + running.log(run, "collect")


@pytest.mark.parametrize("fault", ["key in a page", "wrong cell", "code 30"])
def test_a_run_that_fails_never_shows_the_key(running: Running, fault: str) -> None:
    answers = {**FAULTS, "code 30": lambda *_: Response(json.dumps(kma_answer([], "30", f"NOT {KEY}")))}
    running.kma.fault = answers[fault]
    running.slack.messages.clear()
    try:
        run = running.run("collect_failing")
    finally:
        running.kma.fault = lambda asked, request: None
    assert run["state"] == "failed"
    path = f"/dags/collect_failing/dagRuns/{run['dag_run_id']}/taskInstances/collect"
    shown = [running.log(run, "collect"), *running.slack.messages, json.dumps(running.api.get(path))]
    assert "KMA " in shown[0]
    assert len(running.slack.messages) == 1  # collect's, not that of preprocess, which fails with it
    assert running.tasks(run) == {"collect": "failed", "preprocess": "failed"}
    shown.append(running.log(run, "preprocess"))
    assert "the other 0 districts are written" in shown[-1]
    for secret in (KEY, quote(KEY), KEY[:12]):
        assert not [text for text in shown if secret in text]
        places = {**tree(running.output), **tree(running.instance.home / "logs")}
        assert [name for name, data in places.items() if secret.encode() in data] == []


@pytest.mark.parametrize("dag_id", ["train_model", "predict", "collect_loopback"])
def test_a_cleared_run_leaves_the_same_files(running: Running, trained: Trained, dag_id: str) -> None:
    # promote_model would follow a training, and the card that is made again has its verdict.
    running.api.patch("/dags/promote_model", {"is_paused": True})
    run = running.run(dag_id)
    with running.alone(dag_id):  # another run would write files of its own meanwhile
        before = tree(running.output)
        assert running.clear(run)["state"] == "success"
        assert running.tasks(run).keys()
        after = tree(running.output)
    assert [name for name in {**before, **after} if before.get(name) != after.get(name)] == []


def test_a_failed_training_reaches_slack_with_the_errors_text(running: Running) -> None:
    running.slack.messages.clear()
    run = running.run("train_broken")
    assert run["state"] == "failed"
    message = message_with(running, ":red_circle:")
    assert len(running.slack.messages) == 1
    assert "*train_broken.check_dataset* failed" in message
    assert f"run `{run['dag_run_id']}`, try 1" in message
    assert "FileNotFoundError: dataset 'data/no_such_file.csv' does not exist" in message
    assert f"<{running.instance.address}/dags/train_broken/runs/" in message


@pytest.mark.parametrize(
    ("dag_id", "lines"),
    [
        (
            "run_failing",
            [
                "*run_failing* failed: a task failed",
                "failed: also_bad, bad",
                "not run because of them: after_bad",
            ],
        ),
        (
            "run_too_long",
            [
                "*run_too_long* failed: it took longer than its dagrun_timeout",
                "not finished, or skipped: after_slow, slow",
            ],
        ),
    ],
)
def test_a_run_that_fails_reaches_slack_once_with_the_reason_and_its_tasks(
    running: Running, dag_id: str, lines: list[str]
) -> None:
    running.slack.messages.clear()
    run = running.run(dag_id)
    assert run["state"] == "failed"
    message = message_with(running, f"*{dag_id}*")
    time.sleep(3)  # a second message would come with the scheduler's next rounds
    assert [text for text in running.slack.messages if dag_id in text] == [message]
    assert [line for line in lines if line not in message] == []
    assert not re.search(r"\b(good|quick)\b", message), "those succeeded"
    assert f"run `{run['dag_run_id']}`" in message
    assert f"<{running.instance.address}/dags/{dag_id}/runs/" in message


def test_when_slack_is_broken_the_pipeline_ends_as_it_would(running: Running) -> None:
    running.slack.answer = lambda _: Response("server error", status=500)
    try:
        run = running.run("train_broken")
    finally:
        running.slack.answer = lambda _: Response("ok")
    assert run["state"] == "failed"
    log = running.log(run, "check_dataset")
    assert "Not sent to Slack (HTTP 500" in log
    assert "AIRFLOW_CONN_SLACK_WEBHOOK=" in log
    assert "secret-token" not in log


def test_a_broken_file_shows_under_its_own_name_and_stops_nothing_else(running: Running) -> None:
    path = running.project / "dag_configs" / "predict.yaml"
    good = path.read_text(encoding="utf-8")
    running.run("predict")
    history = [run["dag_run_id"] for run in running.api.runs("predict")]
    running.api.patch("/dags/every_minute", {"is_paused": False})
    path.write_text(good.replace("draw_rows\n      doc", "draw_row\n      doc"), encoding="utf-8")
    try:
        error = wait_until(lambda: running.import_errors().get("dag_configs/predict.yaml"), "the error", 60)
        broken_at = datetime.now(UTC)
        line = 1 + good[: good.index("callables.prediction.draw_rows")].count("\n")
        assert error.strip() == (
            f"dag_configs/predict.yaml:{line}:24: DAG101 error: "
            "python_callable: 'callables.prediction' has no 'draw_row'\n  hint: did you mean 'draw_rows'?"
        )

        def scheduled_since() -> list[dict[str, Any]]:
            """Return the runs that the scheduler started after the file was broken, and that succeeded."""
            return [
                run
                for run in running.api.runs("every_minute")
                if run["run_type"] == "scheduled"
                and run["state"] == "success"
                and datetime.fromisoformat(run["start_date"]) > broken_at
            ]

        wait_until(scheduled_since, "a scheduled run of another DAG", 130)
        assert set(running.import_errors()) == {"dag_configs/predict.yaml"}
    finally:
        running.api.patch("/dags/every_minute", {"is_paused": True})
        path.write_text(good, encoding="utf-8")
    wait_until(lambda: running.import_errors() == {}, "the error to go away", 60)
    repaired = running.run("predict")
    assert repaired["state"] == "success"
    assert {*history, repaired["dag_run_id"]} <= {run["dag_run_id"] for run in running.api.runs("predict")}


BROKEN = {
    "import": "import a_package_that_does_not_exist\n",
    "syntax": "def draw_rows(:\n",
    "exit": "import sys\nsys.exit(3)\n",
    "loop": "while True:\n    try:\n        pass\n    except Exception:\n        pass\n",
}


def test_a_callable_that_breaks_at_import_stops_its_own_file_and_nothing_else(running: Running) -> None:
    good = (running.project / "dag_configs" / "predict_untrained.yaml").read_text(encoding="utf-8")
    written = []
    for name, code in BROKEN.items():
        module = running.project / "callables" / f"breaks_by_{name}.py"
        config = running.project / "dag_configs" / f"breaks_by_{name}.yaml"
        module.write_text(code, encoding="utf-8")
        text = good.replace("predict_untrained:", f"breaks_by_{name}:")
        config.write_text(
            text.replace("callables.prediction", f"callables.breaks_by_{name}"), encoding="utf-8"
        )
        written += [config, module]
    wanted = {f"dag_configs/breaks_by_{name}.yaml" for name in BROKEN}
    try:
        errors = wait_until(
            lambda: running.import_errors() if wanted <= set(running.import_errors()) else None,
            "the errors",
            90,
        )
        assert set(errors) == wanted
        assert all("cannot be imported" in text for text in errors.values())
        # 10 s of the processor's time; on a loaded machine the clock's limit may come first
        assert re.search(r"it takes more than \d+ s", errors["dag_configs/breaks_by_loop.yaml"])
        assert running.run("predict")["state"] == "success"
    finally:
        for path in written:
            path.unlink()
    wait_until(lambda: running.import_errors() == {}, "the errors to go away", 90)
