"""What a run lacks, later runs collect."""

from __future__ import annotations

import dataclasses
import json
from datetime import timedelta
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from kma_faults import FAULTS
from servers import Kma, kma_answer
from trees import tree
from weather_pipeline import (
    DISTRICTS,
    START,
    collect,
    collect_and_preprocess,
    hour_run,
    hours_of,
    kst,
    missing_hours,
    preprocess,
    rows_of,
    run_with_retries,
    unfinished_hours,
    write_districts,
)
from werkzeug import Response

from batch_serving.weather import collector, earlier_runs, raw_answers
from batch_serving.weather import kma as kma_client
from batch_serving.weather.districts import Cell, read_districts
from batch_serving.weather.runs import Run


def test_a_later_run_collects_what_an_earlier_one_lacks(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    for hour in (10, 11):
        with pytest.raises(RuntimeError, match="3 of 14 cells have no forecast"):
            collect(**hour_run(hour))
        with pytest.raises(AirflowFailException, match="no answer yet for 2026-01-01 1.:00 in ") as failed:
            preprocess(**hour_run(hour))
        assert getattr(failed.value, "already_reported", False)  # collect's failure went to Slack
        # What arrived is written immediately.
        assert 0 < len(rows_of(output / "weather" / "latest.csv")) < 25
    assert unfinished_hours(output) == ["2026-01-01T11", "2026-01-01T12"]

    kma.fault = lambda asked, request: None
    kma.requests.clear()
    collect(**hour_run(12))
    assert len(kma.requests) == 3 + 3 + 14
    merged = preprocess(**hour_run(12))
    assert (merged["rows"], merged["late_rows"]) == (25, 50)
    assert unfinished_hours(output) == []
    assert len(rows_of(output / "weather" / "Gangseo-gu" / "2026-01.csv")) == 3

    # Clearing the failed runs requests nothing and changes nothing.
    before = tree(output)
    kma.requests.clear()
    for hour in (10, 11):
        collect_and_preprocess(**hour_run(hour))
    assert kma.requests == []
    assert tree(output) == before


def test_hours_lost_to_an_expired_key_are_collected_with_the_new_key(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = json.loads(kma.connection) | {"password": "expired"}
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", json.dumps(wrong))
    for hour in (10, 11):
        with pytest.raises(AirflowFailException, match="KMA 30"):
            collect(**hour_run(hour))
        with pytest.raises(AirflowFailException, match="the other 0 districts are written"):
            preprocess(**hour_run(hour))
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", kma.connection)
    collect_and_preprocess(**hour_run(12))
    rows = rows_of(output / "weather" / "Jongno-gu" / "2026-01.csv")
    assert [row["forecast_at"][11:13] for row in rows] == ["11", "12", "13"]
    assert [row["base_at"][11:16] for row in rows] == ["09:30", "10:30", "11:30"]


def test_an_hour_that_kma_lost_is_noted_by_a_later_run(kma: Kma, output: Path) -> None:
    kma.lost = {"202601010930", "202601010830", "202601011030"}
    with pytest.raises(RuntimeError):
        collect(**hour_run(10))
    kma.now = kst("2026-01-02T12:00:00")
    run = {"run_id": "next day", "run_after": "2026-01-02T12:00:00+09:00", "now": "2026-01-02T12:00:00+09:00"}
    collect_and_preprocess(**run)
    missing = rows_of(output / "weather" / "missing" / "2026-01.csv")
    assert {row["forecast_at"] for row in missing} == {"2026-01-01T11:00:00+09:00"}
    assert len(missing) == 25
    assert unfinished_hours(output) == []


def test_earlier_hours_never_fail_a_run(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["base_time"] == "0930" else None
    with pytest.raises(RuntimeError):
        collect(**hour_run(10))
    for name in ("code 01", "429", "page with 200"):
        kma.fault = lambda asked, request, name=name: (
            FAULTS[name](asked, request) if asked["base_time"] in ("0830", "0930") else None
        )
        assert collect_and_preprocess(**hour_run(13))["rows"] == 25
        assert unfinished_hours(output) == ["2026-01-01T11"]
    quota = Response(json.dumps(kma_answer([], "22", "LIMITED NUMBER OF SERVICE REQUESTS EXCEEDS")))
    kma.fault = lambda asked, _: quota if asked["base_time"] in ("0830", "0930") else None
    kma.requests.clear()
    assert collect_and_preprocess(**hour_run(14))["rows"] == 25
    assert len(kma.requests) == 14 + 1  # it makes no further request


def test_sample_weather_does_not_complete_earlier_runs_of_kma(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect(**hour_run(10))
    monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    assert collect_and_preprocess(**hour_run(11))["late_rows"] == 25 - 6
    assert unfinished_hours(output) == ["2026-01-01T11"]


@pytest.mark.slow
def test_after_an_outage_of_more_than_a_day_everything_that_kma_still_has_is_collected(
    kma: Kma, output: Path
) -> None:
    kma.keeps = timedelta(hours=24)
    kma.fault = lambda asked, request: Response("", 500)
    for hour in range(27):
        assert run_with_retries(kma, START + timedelta(hours=hour)) == ["failed", "failed"]
    assert len(kma.requests) <= 27 * 4 * collector.UNAVAILABLE_AFTER * kma_client.ATTEMPTS
    kma.fault = lambda asked, request: None
    for hour in range(27, 33):
        kma.requests.clear()
        assert run_with_retries(kma, START + timedelta(hours=hour)) == ["success", "success"]
        assert len(kma.requests) < 350
    assert unfinished_hours(output) == []
    # After 27 hours KMA no longer has the first ones, in whatever base.
    assert len(missing_hours(output)) + len(hours_of(output, "Jongno-gu")) == 33
    assert len(missing_hours(output)) <= 4


@pytest.mark.parametrize("fault", ["code 99", "page with 200", "empty items", "code 10"])
def test_a_cell_that_always_fails_blocks_no_other(kma: Kma, output: Path, fault: str) -> None:
    rejected = Response(json.dumps(kma_answer([], "10", "INVALID")))
    answer = FAULTS.get(fault, lambda *_: rejected)
    kma.fault = lambda asked, request: answer(asked, request) if asked["nx"] in ("61", "58") else None
    run_with_retries(kma, START)
    kma.fault = lambda asked, request: answer(asked, request) if asked["nx"] == "61" else None
    for hour in range(1, 7):
        kma.requests.clear()
        assert run_with_retries(kma, START + timedelta(hours=hour)) == ["failed", "failed"]
        assert len(kma.requests) < 100
    lacking = {d.name_en for d in read_districts(DISTRICTS) if d.cell.nx == 61}
    for district in read_districts(DISTRICTS):
        if district.name_en not in lacking:
            assert len(hours_of(output, district.name_en)) == 7


def test_the_next_run_collects_for_a_run_that_was_killed_before_it_began(kma: Kma, output: Path) -> None:
    with pytest.raises(AirflowFailException, match="the other 0 districts are written") as failed:
        preprocess(**hour_run(10))
    assert not getattr(failed.value, "already_reported", False)  # collect has not reported it
    collect_and_preprocess(**hour_run(11))
    assert hours_of(output, "Jongno-gu") == ["01 11", "01 12"]


def test_a_district_that_is_added_later_is_collected_by_the_next_run(
    kma: Kma, output: Path, tmp_path: Path
) -> None:
    jongno, busan = "종로구,Jongno-gu,1,60,127", "부산,Busan,2,97,74"
    at = {"districts": write_districts(tmp_path / "d.csv", jongno)}
    collect_and_preprocess(**hour_run(10), **at)
    write_districts(tmp_path / "d.csv", jongno, busan)
    with pytest.raises(AirflowFailException, match="no answer yet for .* in Busan"):
        preprocess(**hour_run(10), **at)
    collect_and_preprocess(**hour_run(11), **at)
    assert hours_of(output, "Busan") == ["01 11", "01 12"]


def test_an_hour_that_no_run_requested_in_time_is_noted(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, request: Response("", 500)
    run_with_retries(kma, START)
    kma.fault = lambda asked, request: None
    run_with_retries(kma, START + timedelta(days=5), keep_raw_days=1)
    assert missing_hours(output) == ["02 01"]
    assert unfinished_hours(output) == []


def test_a_sample_run_that_was_killed_is_completed_by_the_next(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        written = iter(range(5))
        write = raw_answers.write
        patch.setattr(raw_answers, "write", lambda *given: (next(written), write(*given)))
        with pytest.raises(StopIteration):
            collect(**hour_run(10))
    collect_and_preprocess(**hour_run(11))
    assert unfinished_hours(output) == []
    assert hours_of(output, "Gangseo-gu") == ["01 11", "01 12"]


@pytest.mark.parametrize("damage", ["answer", "hour", "folder"])
def test_a_corrupt_raw_answer_of_an_earlier_hour_is_collected_again(
    kma: Kma, output: Path, damage: str
) -> None:
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect(**hour_run(10))
    run = Run(hour_run(10)["run_id"], hour_run(10)["run_after"], DISTRICTS)
    path = raw_answers.path_of(run.folder, Cell(60, 127))
    raw = raw_answers.read(path)
    assert raw is not None
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        raw_answers.write(run.folder, dataclasses.replace(raw, **{damage: "nonsense"}))
    kma.fault = lambda asked, request: None
    assert collect_and_preprocess(**hour_run(11))["rows"] == 25
    assert unfinished_hours(output) == ([] if damage != "folder" else ["2026-01-01T11"])


def test_requests_for_earlier_hours_are_limited(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kma.fault = lambda asked, request: Response("", 500)
    for hour in range(10):
        with pytest.raises(RuntimeError):
            collect(**hour_run(hour))
    kma.fault = lambda asked, request: None
    kma.requests.clear()
    collect(**hour_run(10))
    assert len(kma.requests) == 14 + earlier_runs.MAX_CELLS
    monkeypatch.setattr(earlier_runs, "MAX_TIME_S", -1)
    kma.requests.clear()
    collect(**hour_run(11))
    assert len(kma.requests) == 14
