"""The files that mark runs as unfinished."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from servers import Kma
from trees import tree
from weather_pipeline import (
    DISTRICTS,
    collect,
    collect_and_preprocess,
    hour_run,
    hours_of,
    kst,
    preprocess,
    rows_of,
    unfinished_hours,
)
from werkzeug import Response

from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.weather import unfinished
from batch_serving.weather.runs import Run


def test_files_that_describe_no_unfinished_run_and_those_of_other_cities_are_ignored(
    kma: Kma, output: Path
) -> None:
    folder = output / "weather" / "unfinished"
    folder.mkdir(parents=True)
    run = {"run_id": "x", "run_after": "2026-01-01T00:00:00+09:00", "districts": DISTRICTS}
    marks = ["", "{", "[]", "[" * 100_000, '{"run_id": 1}', json.dumps({"run": {**run, "run_id": 5}})]
    marks += [
        json.dumps({"run": {**run, "run_after": at}}) for at in ("yesterday", "9999-12-31T23:30:00+09:00")
    ]
    for number, mark in enumerate(marks):
        (folder / f"2026-01-01T01-{number}.json").write_text(mark, encoding="utf-8")
    # Another city's districts file exists: its own runs complete this one.
    unfinished.start(Run("b", "2026-01-01T00:00:00+09:00", "data/digits.csv"))
    assert collect_and_preprocess(**hour_run(10))["rows"] == 25
    assert len(kma.requests) == 14
    assert len(unfinished_hours(output)) == len(marks) + 1


def test_a_renamed_districts_file_leaves_no_run_unfinished(kma: Kma, output: Path, tmp_path: Path) -> None:
    file = tmp_path / "seoul.csv"
    text = PROJECT_ROOT.joinpath(DISTRICTS).read_text(encoding="utf-8-sig")
    file.write_text(text, encoding="utf-8")
    kma.fault = lambda asked, request: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect(**hour_run(10), districts=str(file))
    kma.fault = lambda asked, request: None
    with pytest.raises(AirflowFailException, match="correct `districts`"):
        collect(**hour_run(11), districts="data/seul_districts.csv")
    file.unlink()
    collect_and_preprocess(**hour_run(12))
    assert unfinished_hours(output) == []
    assert hours_of(output, "Gangseo-gu") == ["01 11", "01 12", "01 13"]


def test_sample_weather_does_not_complete_a_run_with_answers_of_kma(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect(**hour_run(10))
    connection = os.environ["AIRFLOW_CONN_KMA_API"]
    monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    with pytest.raises(
        AirflowFailException, match="started with a connection to KMA.* create the connection again"
    ):
        collect(**hour_run(10))
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", connection)
    kma.fault = lambda asked, request: None
    collect_and_preprocess(**hour_run(11))
    assert {row["source"] for row in rows_of(output / "weather" / "Gangseo-gu" / "2026-01.csv")} == {"kma"}
    # Nor does it replace a note that the hour is missing.
    kma.now = kst("2026-01-09T10:00:00")
    late = {**hour_run(20), "now": "2026-01-09T10:00:00+09:00"}
    with pytest.raises(AirflowSkipException):
        collect_and_preprocess(**late)
    before = tree(output)
    monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    with pytest.raises(AirflowSkipException):
        collect_and_preprocess(**late)
    assert tree(output) == before


def test_a_run_that_failed_because_of_its_key_is_still_a_run_of_kma(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = json.loads(kma.connection) | {"password": "expired"}
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", json.dumps(wrong))
    with pytest.raises(AirflowFailException, match="KMA 30"):
        collect(**hour_run(10))
    monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    with pytest.raises(AirflowFailException, match="started with a connection to KMA"):
        collect(**hour_run(10))


def test_a_failure_after_a_successful_retry_is_reported(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect()
    kma.fault = lambda asked, request: None
    (Path(collect()["raw"]) / "60-127.json.gz").unlink()
    with pytest.raises(AirflowFailException) as failed:
        preprocess()
    assert not getattr(failed.value, "already_reported", False)
