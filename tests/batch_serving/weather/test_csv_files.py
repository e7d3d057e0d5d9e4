"""The CSVs: the newest forecast is kept, and nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from servers import Kma, kma_answer, kma_items
from trees import tree
from weather_pipeline import DISTRICTS, collect, collect_and_preprocess, preprocess, rows_of
from werkzeug import Request, Response

from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.weather import csv_files
from batch_serving.weather.rows import Batch, WeatherRow
from callables import weather


def weather_row(base: str, collected: str, value: str, run_id: str = "") -> WeatherRow:
    columns = dict.fromkeys(WeatherRow._fields, "")
    columns |= {"forecast_at": "2026-01-01T11:00:00+09:00", "district_en": "Jongno-gu", "code": "1"}
    columns |= {"base_at": base, "collected_at": collected, "temperature_c": value, "run_id": run_id}
    return WeatherRow(**columns)


def test_each_district_has_a_file_that_excel_reads(output: Path) -> None:
    collect_and_preprocess()
    folder = output / "weather"
    files = sorted(folder.glob("*-gu/2026-01.csv"))
    assert len(files) == 25
    assert files[0].read_bytes().startswith(b"\xef\xbb\xbf")
    assert [row["district"] for row in rows_of(folder / "Jongno-gu" / "2026-01.csv")] == ["종로구"]
    assert {row["forecast_at"] for row in rows_of(folder / "latest.csv")} == {"2026-01-01T11:00:00+09:00"}


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 2, 0)])
def test_the_newest_base_then_the_newest_collection_wins(output: Path, order: tuple[int, ...]) -> None:
    rows = [
        weather_row("08:30", "10:09", "older"),
        weather_row("09:30", "10:00", "earlier"),
        weather_row("09:30", "10:05", "newest"),
    ]
    for index in order:
        csv_files.upsert(Batch(rows=[rows[index]]))
    for name in ("Jongno-gu/2026-01.csv", "latest.csv"):
        assert [found["temperature_c"] for found in rows_of(output / "weather" / name)] == ["newest"]


def test_latest_does_not_go_back_when_an_old_run_is_cleared(output: Path) -> None:
    collect_and_preprocess()
    collect_and_preprocess(run_id="old", run_after="2025-12-31T01:00:00+00:00")
    assert {found["forecast_at"] for found in rows_of(output / "weather" / "latest.csv")} == {
        "2026-01-01T11:00:00+09:00"
    }
    assert rows_of(output / "weather" / "Jongno-gu" / "2025-12.csv")


def test_concurrent_writers_lose_nothing(output: Path) -> None:
    runs = [
        {"districts": DISTRICTS, "run_id": f"run {hour}", "run_after": f"2026-01-01T{hour:02}:00:00+00:00"}
        for hour in range(8)
    ]
    for run in runs:
        collect(**run)
    code = "import json, sys; from callables import weather; weather.preprocess(**json.loads(sys.argv[1]))"
    writers = [
        subprocess.Popen([sys.executable, "-c", code, json.dumps(run)], cwd=PROJECT_ROOT) for run in runs
    ]
    assert [writer.wait() for writer in writers] == [0] * 8
    assert len(rows_of(output / "weather" / "Jongno-gu" / "2026-01.csv")) == 8


@pytest.mark.parametrize("value", ["1mm\r미만", "\ud800", "\0"])
def test_no_value_can_break_the_csvs(kma: Kma, output: Path, value: str) -> None:
    def answer(asked: dict[str, str], _request: Request) -> Response:
        items = kma_items(asked["base_date"] + asked["base_time"], int(asked["nx"]), int(asked["ny"]))
        changed = [item | {"fcstValue": value} if item["category"] == "RN1" else item for item in items]
        return Response(json.dumps(kma_answer(changed)))

    kma.fault = answer
    assert collect_and_preprocess()["quarantined"] == 25
    assert {row["reason"] for row in rows_of(output / "weather" / "quarantine" / "2026-01.csv")} == {
        "has a character that cannot be printed"
    }
    before = tree(output)
    collect_and_preprocess()
    assert tree(output) == before


def test_of_two_rows_of_the_same_age_the_same_one_always_wins(output: Path) -> None:
    for order in ((0, 1), (1, 0)):
        found = [weather_row("09:30", "10:00", name, run_id=name) for name in ("a", "b")]
        for index in order:
            csv_files.upsert(Batch(rows=[found[index]]))
        assert rows_of(output / "weather" / "latest.csv")[0]["run_id"] == "b"
        (output / "weather" / "latest.csv").unlink()


@pytest.mark.parametrize("how", ["cut", "cp949"])
def test_a_corrupt_csv_is_reported_and_restored(kma: Kma, output: Path, how: str) -> None:
    collect_and_preprocess()
    before = tree(output)
    path = output / "weather" / "Jongno-gu" / "2026-01.csv"
    good = path.read_bytes()
    path.write_bytes(good[:-60] if how == "cut" else good.decode("utf-8-sig").encode("cp949"))
    with pytest.raises(AirflowFailException, match="Jongno-gu/2026-01.csv is corrupt .*weather rebuild"):
        collect_and_preprocess()
    weather.rebuild(districts=DISTRICTS)
    preprocess()  # cleared by the user after the failure
    after = tree(output)
    assert {name for name in after if name not in before} == {"weather/Jongno-gu/2026-01.csv.corrupt"}
    assert all(after[name] == data for name, data in before.items())
