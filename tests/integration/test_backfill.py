"""Past dates that are filled in again under a real scheduler, as an operator does it, beside live runs."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import Trained
from running_airflow import Running, wait_until

from batch_serving.shared.root import PROJECT_ROOT
from callables import prediction

pytestmark = pytest.mark.slow

DAYS = ("2026-03-02", "2026-03-03", "2026-03-04")
Stamps = dict[str, tuple[bytes, int]]


def fill(running: Running, dag_id: str, first: str, last: str, *more: str) -> int:
    """Start a backfill at the command line; return its id."""
    running.api.patch(f"/dags/{dag_id}", {"is_paused": False})
    command = ("backfill", "create", "--dag-id", dag_id, "--from-date", first, "--to-date", last)
    found = running.instance.airflow(*command, "--max-active-runs", "1", *more)
    assert found.returncode == 0, found.stdout + found.stderr
    return int(max(each["id"] for each in backfills(running, dag_id)))


def backfills(running: Running, dag_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = running.api.get(f"/backfills?dag_id={dag_id}")["backfills"]
    return found


def finish(running: Running, dag_id: str) -> None:
    """Wait until all runs of backfills have ended; each succeeds."""

    def runs() -> list[dict[str, Any]]:
        return [run for run in running.api.runs(dag_id) if run["run_type"] == "backfill"]

    wait_until(lambda: all(run["state"] in ("success", "failed") for run in runs()), f"backfill of {dag_id}")
    assert {run["state"] for run in runs()} == {"success"}
    wait_until(lambda: all(each["completed_at"] for each in backfills(running, dag_id)), "its completion", 90)


def stamps(*folders: Path) -> Stamps:
    """The bytes of each file, and when it was written."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files if path.name != ".lock"}


def rows_in(folder: Path) -> list[dict[str, str]]:
    found = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += list(csv.DictReader(file))
    return found


def test_three_days_are_predicted_as_at_their_time_and_a_second_backfill_changes_no_file(
    running: Running, trained: Trained
) -> None:
    span = (f"{DAYS[0]}T12:00+09:00", f"{DAYS[-1]}T12:00+09:00")
    predictions = running.output / "predictions" / "digits"
    folders = [predictions / f"date={day}" for day in DAYS]
    try:
        fill(running, "predict_daily", *span)
        live = running.run("predict_daily")  # its max_active_runs is 1: a backfill has a limit of its own
        assert live["state"] == "success"
        assert live["run_type"] == "manual"
        assert f"date={datetime.now(UTC):%Y-%m}" in running.xcom(live, "predict_rows")["file"]
        finish(running, "predict_daily")
        first = json.loads(
            (running.output / "models" / "digits" / "history.jsonl").read_text().splitlines()[0]
        )
        for day, folder in zip(DAYS, folders, strict=True):
            run_id = f"predict_daily.scheduled__{day}T03:00:00+00:00"
            rows = rows_in(folder)
            assert {row["run_id"] for row in rows} == {run_id}
            assert {row["run_after"] for row in rows} == {f"{day}T03:00:00+00:00"}
            assert {row["model_version"] for row in rows} == {
                first["version"]
            }  # the champion nearest to then
            drawn = prediction.draw_rows(
                run_id=run_id, dataset=str(PROJECT_ROOT / "data/digits.csv"), row_id="row_id"
            )
            assert [row["row_id"] for row in rows] == drawn["row_ids"]
        running.quiet("predict_daily")
        running.run("predict_daily")  # compacts what is left
        before = stamps(*folders)
        live_files = stamps(*(path for path in predictions.glob("date=*") if path not in folders))
        assert all(len(list(folder.glob("day=*.csv"))) == 1 for folder in folders)
        fill(running, "predict_daily", *span, "--reprocess-behavior", "completed")
        finish(running, "predict_daily")
        assert stamps(*folders) == before
        assert live_files.items() <= stamps(predictions).items()
    finally:
        running.api.patch("/dags/predict_daily", {"is_paused": True})
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(predictions / "drift" / folder.name, ignore_errors=True)


def test_a_second_backfill_of_trainings_makes_no_version(running: Running, trained: Trained) -> None:
    versions = running.output / "models" / "digits" / "versions"
    known = {path.name for path in versions.iterdir()}
    span = ("2026-03-02T09:00+09:00", "2026-03-02T10:00+09:00")
    try:
        fill(running, "train_model", *span)
        finish(running, "train_model")
        made = {path.name for path in versions.iterdir()} - known
        records = [json.loads((versions / name / "metadata.json").read_text()) for name in made]
        due = ["2026-03-02T00:00:00+00:00", "2026-03-02T01:00:00+00:00"]
        ours = sorted(record["run_after"] for record in records if record["run_after"] in due)
        assert ours == due
        before = stamps(*(versions / name for name in made))
        fill(running, "train_model", *span, "--reprocess-behavior", "completed")
        finish(running, "train_model")
        after = stamps(*(versions / name for name in made))
        # The pictures and predictions of a version are made again by its last task.
        assert {path: at for path, at in after.items() if path.endswith(("joblib", "metadata.json"))} == {
            path: at for path, at in before.items() if path.endswith(("joblib", "metadata.json"))
        }
        again = [json.loads((path / "metadata.json").read_text()) for path in versions.iterdir()]
        assert sorted(one["run_after"] for one in again if one["run_after"] in due) == due
    finally:
        running.api.patch("/dags/train_model", {"is_paused": True})
        running.quiet("train_model", "promote_model")


def test_old_hours_of_the_weather_are_skipped_with_the_reason(running: Running) -> None:
    try:
        fill(running, "collect_weather", "2026-03-02T09:00+09:00", "2026-03-02T09:00+09:00")
        finish(running, "collect_weather")
        run = running.api.get("/dags/collect_weather/dagRuns/backfill__2026-03-02T09:00:00+09:00")
        assert running.tasks(run) == {"collect": "skipped", "preprocess": "skipped"}
        assert "no longer has the one for 2026-03-02 10:00: nothing was requested" in running.log(
            run, "collect"
        )
        assert not list((running.output / "weather").rglob("*2026-03-02*"))
    finally:
        running.api.patch("/dags/collect_weather", {"is_paused": True})
