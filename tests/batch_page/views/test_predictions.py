"""The predictions: rows, labels by day, drift, and one row over time."""

from __future__ import annotations

import csv
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asking import asking, forbidden_in, text_of
from fastapi import HTTPException

from batch_page.view import State
from batch_page.views import predictions
from batch_serving.prediction.run_files import COLUMNS
from batch_serving.shared.csv_rows import csv_bytes


def written(output: Path) -> list[dict[str, str]]:
    found = []
    for path in sorted((output / "predictions" / "digits").glob("date=*/*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += list(csv.DictReader(file))
    return found


def test_the_latest_runs_have_their_rows_as_pictures(champion: str, output: Path) -> None:
    page = predictions.page(asking("/predictions"))
    rows = written(output)
    last = [row for row in rows if row["run_id"] == rows[-1]["run_id"]]
    text = text_of(page)
    assert last[0]["run_id"] in text
    for row in last:
        assert f"{row['row_id']} {row['prediction']} {row['probability']}" in text
    assert page.count('class="digit"') >= len(last)
    assert forbidden_in(page) == []


def test_a_row_is_found_on_every_day(champion: str, output: Path) -> None:
    row_id = written(output)[0]["row_id"]
    wanted = [row for row in written(output) if row["row_id"] == row_id]
    found = predictions.find_row("digits", row_id)
    key = "scored_at"
    assert sorted(found, key=lambda row: row[key]) == sorted(wanted, key=lambda row: row[key])
    assert [row[key] for row in found] == sorted((row[key] for row in wanted), reverse=True)
    text = text_of(predictions.page(asking("/predictions", row=row_id)))
    assert f"What was predicted for row {row_id}" in text
    text = text_of(predictions.page(asking("/predictions", row="no such row")))
    assert "Nothing was predicted for row no such row in the last 120 days." in text


def test_labels_are_counted_by_day(champion: str, output: Path) -> None:
    rows = written(output)
    for day in predictions.latest_days("digits"):
        path = output / "predictions" / "digits" / f"date={day.day}"
        with next(path.glob("*.csv")).open(encoding="utf-8", newline="") as file:
            of_day = list(csv.DictReader(file))
        assert sum(day.labels.values()) == len(of_day)
        assert day.labels["7"] == sum(row["prediction"] == "7" for row in of_day)
    assert rows


def test_a_new_run_is_on_the_next_page(champion: str, output: Path) -> None:
    predictions.page(asking("/predictions"))
    at = datetime.now(UTC).isoformat(timespec="seconds")
    day = max((output / "predictions" / "digits").glob("date=*"))
    (day / "new.csv").write_bytes(csv_bytes(COLUMNS, [["a new run", at, champion, "5", "3", "0.9", at]]))
    assert "a new run" in text_of(predictions.page(asking("/predictions")))


def test_drift_says_of_how_many_rows_it_is(champion: str) -> None:
    page = predictions.page(asking("/predictions"))
    one = predictions.drift_of("digits")[0]
    assert f"{one.day}: {one.feature}, PSI {one.psi:.3f}, {one.rows} rows" in page


def test_an_alarm_is_a_notice_with_advice(champion: str, output: Path) -> None:
    path = max((output / "predictions" / "digits" / "drift").glob("*.csv"))
    path.write_text(
        path.read_text(encoding="utf-8").replace(",no\n", ",yes\n").replace(",no\r\n", ",yes\r\n"),
        encoding="utf-8",
    )
    tile = next(tile for tile in predictions.tiles(asking()) if tile.title.startswith("Drift"))
    assert tile.state is State.NOTICE
    assert "have drifted" in tile.advice


def test_labels_rows_and_runs_are_text(champion: str, output: Path) -> None:
    evil = "<script>alert(1)</script>"
    at = datetime.now(UTC).isoformat(timespec="seconds")
    day = max((output / "predictions" / "digits").glob("date=*"))
    (day / "evil.csv").write_bytes(csv_bytes(COLUMNS, [[evil, at, evil, evil, evil, "0.9", at]]))
    page = predictions.page(asking("/predictions", row=evil))
    assert evil not in page
    assert evil in text_of(page)
    assert forbidden_in(page) == []


def test_a_corrupt_file_takes_no_other_away(champion: str, output: Path) -> None:
    day = max((output / "predictions" / "digits").glob("date=*"))
    (day / "bad.csv").write_text("corrupt", encoding="utf-8")
    assert "predict.scheduled__" in text_of(predictions.page(asking("/predictions")))


def test_without_predictions_the_page_says_what_to_do(output: Path) -> None:
    text = text_of(predictions.page(asking("/predictions")))
    assert "There are no predictions yet: trigger predict once there is a champion." in text


def test_predictions_are_shown_to_those_who_may_read_a_dag_of_their_model(champion: str) -> None:
    assert predictions.predicted_models(asking(readable={"train_model"})) == ["digits"]
    assert predictions.predicted_models(asking(readable={"collect_weather"})) == []
    with pytest.raises(HTTPException):
        predictions.page(asking("/predictions", readable=set(), model="digits"))
