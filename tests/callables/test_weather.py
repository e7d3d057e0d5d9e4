"""The task functions of the weather, from request to CSV."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException
from pytest_httpserver import HTTPServer
from servers import Kma, kma_answer
from trees import tree
from weather_pipeline import (
    DISTRICTS,
    RUN,
    collect,
    collect_and_preprocess,
    kst,
    preprocess,
    rows_of,
    shorten_waits,
    start_kma,
    write_districts,
)
from werkzeug import Response

from batch_serving.weather.districts import read_districts


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits that suit a server on this machine."""
    shorten_waits(monkeypatch)


@pytest.fixture
def kma(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Kma:
    """The forecast service, named by the connection ``kma_api``."""
    return start_kma(httpserver, monkeypatch)


def test_without_a_connection_the_weather_is_sample_weather_and_marked_so(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = collect_and_preprocess()
    assert result["rows"] == 25
    latest = rows_of(output / "weather" / "latest.csv")
    assert {row["source"] for row in latest} == {"sample"}
    assert "MADE UP" in caplog.text
    assert len(list((output / "weather" / "raw").rglob("*.json.gz"))) == 14


def test_a_second_run_of_both_tasks_changes_no_file(output: Path) -> None:
    collect_and_preprocess()
    before = tree(output)
    collect_and_preprocess()
    assert tree(output) == before


def test_14_calls_serve_25_districts_one_hour_ahead(kma: Kma, output: Path) -> None:
    result = collect_and_preprocess()
    assert len(kma.requests) == 14
    assert {(asked["base_date"], asked["base_time"]) for asked in kma.requests} == {("20260101", "0930")}
    latest = rows_of(output / "weather" / "latest.csv")
    assert (len(latest), result["rows"]) == (25, 25)
    # 11:00 is the second slot of base 09:30, and has a temperature of its own.
    assert {row["temperature_c"] for row in latest} == {"9"}
    row = latest[0]
    assert (row["rain_1h_text"], row["rain_1h_min_mm"], row["rain_1h_max_mm"]) == ("1mm 미만", "0", "1")
    assert (row["sky"], row["precipitation"], row["source"]) == ("mostly cloudy", "rain", "kma")
    assert row["base_at"] == "2026-01-01T09:30:00+09:00"


def test_a_wrong_key_fails_immediately_with_the_remedy_and_is_never_shown(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = json.loads(kma.connection) | {"password": "wrong-key/123="}
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", json.dumps(wrong))
    with pytest.raises(AirflowFailException, match=r"KMA 30: .*put the \*Decoding\* key") as error:
        collect()
    assert len(kma.requests) == 1
    assert "wrong-key" not in str(error.value) + caplog.text


def test_a_connection_that_is_created_later_replaces_the_sample(
    output: Path, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect_and_preprocess()
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", Kma(httpserver).connection)
    assert collect()["source"] == "kma"
    collect_and_preprocess()
    assert {found["source"] for found in rows_of(output / "weather" / "latest.csv")} == {"kma"}


def test_without_a_connection_collect_fails_if_the_yaml_says_so(output: Path) -> None:
    with pytest.raises(
        AirflowFailException,
        match="connection 'kma_api' does not exist, and without_connection is 'fail'; create it",
    ):
        collect(without_connection="fail")
    with pytest.raises(AirflowFailException) as failed:
        preprocess()
    assert getattr(failed.value, "already_reported", False)  # Slack has the message of collect


def test_an_unreadable_connection_does_not_count_as_a_missing_one(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", "{'conn_type': 'http', 'password': 'K'}")
    with pytest.raises(
        AirflowFailException, match="AIRFLOW_CONN_KMA_API is set but is neither JSON nor a URI"
    ) as error:
        collect()
    assert "'K'" not in str(error.value)


def test_districts_without_an_answer_are_named_and_the_others_written(output: Path) -> None:
    found = collect()
    (Path(found["raw"]) / "60-127.json.gz").unlink()
    message = "no answer yet for 2026-01-01 11:00 in Jongno-gu, Jung-gu; the other 23 districts are written"
    with pytest.raises(AirflowFailException, match=message):
        preprocess()
    assert 0 < len(rows_of(output / "weather" / "latest.csv")) < 25


def test_an_hour_that_kma_no_longer_has_is_noted_and_the_others_are_written(kma: Kma, output: Path) -> None:
    kma.now = kst("2026-01-01T10:00:00")
    kma.fault = lambda asked, _: Response("{") if asked["nx"] == "59" else None
    with pytest.raises(RuntimeError):
        collect()
    kma.now = kst("2026-01-03T10:00:00")
    kma.fault = lambda asked, request: None
    late = {"now": "2026-01-03T10:00:00+09:00"}
    found = collect(**late)
    assert len(found["gone"]) == 3
    result = preprocess()
    assert (result["rows"] + result["missing"], result["missing"]) == (25, 6)
    missing = rows_of(output / "weather" / "missing" / "2026-01.csv")
    assert {row["reason"] for row in missing} == {"KMA no longer has the forecast of 2026-01-01 09:30"}
    assert {row["forecast_at"] for row in missing} == {"2026-01-01T11:00:00+09:00"}
    written = {row["district_en"] for row in rows_of(output / "weather" / "latest.csv")}
    assert written.isdisjoint(row["district_en"] for row in missing)
    before = tree(output)
    collect_and_preprocess(**late)
    assert tree(output) == before
    # Another run of the same hour has them.
    kma.now = None
    collect_and_preprocess(run_id="another")
    assert not (output / "weather" / "missing" / "2026-01.csv").exists()
    preprocess()
    assert not (output / "weather" / "missing" / "2026-01.csv").exists()


def test_a_run_whose_hour_kma_no_longer_has_is_skipped(kma: Kma, output: Path) -> None:
    kma.now = kst("2026-01-04T09:00:00")
    with pytest.raises(AirflowSkipException, match="KMA no longer has 2026-01-01 11:00 for any district"):
        collect_and_preprocess(now="2026-01-04T09:00:00+09:00")
    assert len(rows_of(output / "weather" / "missing" / "2026-01.csv")) == 25


@pytest.mark.parametrize("source", ["kma", "sample"])
def test_a_backfill_of_an_old_hour_is_skipped_without_a_request(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    if source == "sample":
        monkeypatch.delenv("AIRFLOW_CONN_KMA_API")
    kma.now = kst("2026-01-09T10:00:00")
    old = {"run_id": "backfill__2026-01-01T10:00:00+09:00", "now": "2026-01-09T10:00:00+09:00"}
    with pytest.raises(AirflowSkipException, match="no longer has the one for 2026-01-01 11:00: nothing was"):
        collect(**old)
    assert kma.requests == []
    assert tree(output) == {}


def test_a_backfill_of_an_hour_that_was_collected_changes_nothing(kma: Kma, output: Path) -> None:
    collect_and_preprocess()
    before, requested = tree(output), len(kma.requests)
    collect_and_preprocess(run_id="backfill__2026-01-01T10:00:00+09:00", now="2026-01-09T10:00:00+09:00")
    assert tree(output) == before
    assert len(kma.requests) == requested


def test_rebuild_restores_the_same_bytes_from_the_raw_answers(kma: Kma, output: Path) -> None:
    kma.fault = lambda asked, _: (
        Response("{") if asked["nx"] == "59" and asked["base_time"] == "1030" else None
    )
    for hour in (1, 2, 3):
        try:
            collect_and_preprocess(run_id=f"run {hour}", run_after=f"2026-01-01T0{hour}:00:00+00:00")
        except RuntimeError:
            kma.now = kst("2026-01-04T00:00:00")
            kma.fault = lambda asked, request: None
            collect_and_preprocess(
                run_id=f"run {hour}",
                run_after=f"2026-01-01T0{hour}:00:00+00:00",
                now="2026-01-04T00:00:00+00:00",
            )
            kma.now = None
    before = tree(output)
    assert any("missing/" in name for name in before)
    for path in output.rglob("*.csv"):
        path.unlink()
    code = "from callables.weather import main; raise SystemExit(main(['rebuild']))"
    shown = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ}, capture_output=True, text=True, check=True
    )
    assert json.loads(shown.stdout.splitlines()[-1])["runs"] == 3
    assert tree(output) == before


def test_another_city_needs_only_another_line(kma: Kma, output: Path, tmp_path: Path) -> None:
    file = write_districts(tmp_path / "d.csv", "부산,Busan,26,,,35.101148844565955,129.02478725562108")
    assert collect_and_preprocess(districts=file)["rows"] == 1
    assert (kma.requests[0]["nx"], kma.requests[0]["ny"]) == ("97", "74")
    assert rows_of(output / "weather" / "Busan" / "2026-01.csv")[0]["district"] == "부산"


def test_keep_raw_days_of_zero_is_rejected(output: Path) -> None:
    collect()
    with pytest.raises(AirflowFailException, match="keep_raw_days must be 1 or more, got 0"):
        preprocess(keep_raw_days=0)


def test_a_cell_that_kma_rejects_is_named(kma: Kma, output: Path, tmp_path: Path) -> None:
    seoul = [
        f"{district.name_ko},{district.name_en},{district.code},{district.cell.nx},{district.cell.ny}"
        for district in read_districts(DISTRICTS)
    ]
    file = write_districts(tmp_path / "d.csv", *seoul, "섬,Island,9900000000,1,1")
    rejected = Response(json.dumps(kma_answer([], "10", "INVALID")))
    kma.fault = lambda asked, request: rejected if asked["nx"] == "1" else None
    with pytest.raises(
        AirflowFailException,
        match=r"KMA rejects the requests; correct these cells in .*d.csv.*\ncell 1,1 \(Island\): KMA 10",
    ):
        collect(districts=file)
    with pytest.raises(
        AirflowFailException, match="no answer yet for .* in Island; the other 25 districts are written"
    ):
        preprocess(districts=file)


def test_two_cities_share_an_output_and_lose_nothing(kma: Kma, output: Path, tmp_path: Path) -> None:
    busan = ("중구,Jung-gu,2611000000,97,74", "강서구,Gangseo-gu,2644000000,96,76")
    file = write_districts(tmp_path / "busan.csv", *busan)
    collect_and_preprocess()
    collect_and_preprocess(districts=file)
    codes = {row["code"] for row in rows_of(output / "weather" / "Jung-gu" / "2026-01.csv")}
    assert codes == {"1114000000", "2611000000"}
    assert len(rows_of(output / "weather" / "latest.csv")) == 27
    # Each prunes its own raw answers only.
    late = {"run_id": "late", "run_after": "2026-01-05T01:00:00+00:00", "now": "2026-01-05T01:00:00+00:00"}
    collect(**late, districts=file)
    preprocess(**late, districts=file, keep_raw_days=1)
    days = sorted(path.name for path in (output / "weather" / "raw").glob("*/*"))
    assert days == ["date=2026-01-01", "date=2026-01-05"]
    # A run with the same run_id at another hour uses nothing of the first.
    found = collect(run_id=RUN["run_id"], run_after="2026-01-01T05:00:00+00:00")
    assert found["hour"].startswith("2026-01-01T15")
    assert preprocess(run_id=RUN["run_id"], run_after="2026-01-01T05:00:00+00:00")["rows"] == 25


def test_a_cleared_sample_run_logs_that_kma_no_longer_has_its_hour(
    kma: Kma, output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connection = os.environ.pop("AIRFLOW_CONN_KMA_API")
    collect_and_preprocess()
    monkeypatch.setenv("AIRFLOW_CONN_KMA_API", connection)
    kma.now = kst("2026-01-09T10:00:00")
    assert collect(now="2026-01-09T10:00:00+09:00")["made_up"] == 14
    assert "14 cells keep sample weather" in caplog.text
