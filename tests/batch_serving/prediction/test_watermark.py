"""Incremental rows: predicted once, by one run, whatever was cleared, changed or corrupted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from predicting import digits_copy, predict_selected, rows_of
from trees import tree

from batch_serving.prediction import claims
from batch_serving.shared.files import seal
from batch_serving.shared.root import PROJECT_ROOT
from callables import prediction


def predict_new(tmp_path: Path, until: int, run_id: str) -> dict:
    """Run on the rows up to a number: those that no run has had are new."""
    path = digits_copy(tmp_path, lambda frame: frame.assign(number=range(len(frame))).head(until))
    given = {"dataset": path, "row_id": "row_id", "run_id": run_id}
    drawn = prediction.draw_rows(**given, rows="incremental", cursor_column="number", model="digits")
    return predict_selected(drawn, dataset=path, run_id=run_id)


def test_new_rows_are_predicted_once_and_a_cleared_run_has_its_own_again(
    champion: str, tmp_path: Path, output: Path
) -> None:
    assert [row["row_id"] for row in rows_of(predict_new(tmp_path, 3, "a"))] == ["0", "1", "2"]
    second = predict_new(tmp_path, 5, "b")
    assert [row["row_id"] for row in rows_of(second)] == ["3", "4"]
    before = tree(output)
    assert predict_new(tmp_path, 9, "a")["rows"] == 3
    assert predict_new(tmp_path, 9, "b") == second
    assert tree(output) == before
    with pytest.raises(AirflowSkipException, match="nothing new in dataset .*: no number is greater than 4"):
        predict_new(tmp_path, 5, "c")
    assert predict_new(tmp_path, 9, "c")["rows"] == 4
    assert json.loads((output / "predictions" / "digits" / "progress.json").read_text())["until"] == 8


def test_a_run_of_new_rows_that_failed_leaves_them_to_the_next(champion: str, tmp_path: Path) -> None:
    path = digits_copy(tmp_path, lambda frame: frame.assign(number=range(len(frame))).head(4))
    given = {
        "dataset": path,
        "row_id": "row_id",
        "cursor_column": "number",
        "model": "digits",
        "rows": "incremental",
    }
    lost = prediction.draw_rows(**given, run_id="a")
    assert predict_new(tmp_path, 6, "b")["rows"] == 6
    with pytest.raises(AirflowSkipException, match="nothing new in .*: another run has predicted the rows"):
        predict_selected(lost, dataset=path, run_id="a")


def test_a_run_too_long_ago_to_be_remembered_keeps_what_it_predicted(
    champion: str, tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "RUNS_REMEMBERED", 1)
    first = predict_new(tmp_path, 3, "a")
    predict_new(tmp_path, 5, "b")
    before = tree(output)
    assert predict_new(tmp_path, 9, "a") == first
    assert tree(output) == before


def test_the_cursor_may_have_whole_numbers_of_any_size(champion: str, tmp_path: Path) -> None:
    def up_to(until: int, run_id: str, start: int = 2**64 - 3) -> list[str]:
        def change(frame: pd.DataFrame) -> pd.DataFrame:
            return frame.assign(number=[start + row for row in range(len(frame))]).head(until)

        path = digits_copy(tmp_path, change)
        given = {"dataset": path, "row_id": "row_id", "run_id": run_id}
        drawn = prediction.draw_rows(**given, rows="incremental", cursor_column="number", model="digits")
        return [row["row_id"] for row in rows_of(predict_selected(drawn, dataset=path, run_id=run_id))]

    assert up_to(2, "a") == ["0", "1"]
    assert up_to(5, "b") == ["2", "3", "4"]
    assert up_to(7, "c") == ["5", "6"]


def test_a_corrupt_watermark_says_what_to_do(champion: str, tmp_path: Path, output: Path) -> None:
    predict_new(tmp_path, 3, "a")
    (output / "predictions" / "digits" / "progress.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="progress.json is corrupt, .* write {"):
        predict_new(tmp_path, 5, "b")


@pytest.mark.parametrize(
    "damage", [b'{"until": 999, "runs": []}', b'{"until": [1], "runs": []}', b'{"runs": null']
)
def test_a_watermark_that_was_changed_is_refused(
    champion: str, tmp_path: Path, output: Path, damage: bytes
) -> None:
    predict_new(tmp_path, 3, "a")
    path = output / "predictions" / "digits" / "progress.json"
    changed = path.read_bytes().replace(b'"until": 2', b'"until": 9') if b"999" in damage else damage
    path.write_bytes(changed)
    with pytest.raises(ValueError, match=r"progress.json is corrupt, .* write \{"):
        predict_new(tmp_path, 5, "b")


def test_two_sources_need_two_watermarks(champion: str, tmp_path: Path) -> None:
    predict_new(tmp_path, 3, "a")
    other = tmp_path / "other"
    other.mkdir()
    path = digits_copy(other, lambda frame: frame.assign(number=range(len(frame))).head(2))
    given = {
        "dataset": path,
        "row_id": "row_id",
        "rows": "incremental",
        "cursor_column": "number",
        "model": "digits",
    }
    with pytest.raises(
        ValueError, match=r"progress.json is the watermark of dataset .*rows.csv', by number, but this task"
    ):
        prediction.draw_rows(**given, run_id="b")
    drawn = prediction.draw_rows(**given, run_id="b", watermark="others")
    assert predict_selected(drawn, dataset=path, run_id="b")["rows"] == 2


def test_two_queries_through_one_connection_need_two_watermarks(
    champion: str, tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    frame = pd.read_csv(PROJECT_ROOT / "data" / "digits.csv")
    with sqlite3.connect(tmp_path / "rows.db") as database:
        for name, rows in (("one", 9), ("other", 4)):
            frame.head(rows).to_sql(name, database, index=False)
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/rows.db"}))
    given = {
        "connection": "db",
        "row_id": "row_id",
        "rows": "incremental",
        "cursor_column": "row_id",
        "model": "digits",
    }

    def run(sql: str, run_id: str) -> int:
        drawn = prediction.draw_rows(**given, sql=sql, run_id=run_id)
        source = {"dataset": None, "sql": sql, "connection": "db"}
        return predict_selected(drawn, **source, run_id=run_id)["rows"]

    assert run("select * from one where row_id < 5", "a") == 5
    assert run("select * from one  where row_id < 900", "b") == 4
    with pytest.raises(
        ValueError, match="is the watermark of 'select . from one where row_id < .' through 'db'"
    ) as error:
        run("select * from other", "c")
    # The other remedy, if they are the same rows.
    content = str(error.value).partition("write ")[2].partition(" into that file")[0]
    (output / "predictions" / "digits" / "progress.json").write_text(content)
    with pytest.raises(AirflowSkipException, match="nothing new"):
        run("select * from other", "c")


def test_the_watermark_of_an_earlier_release_is_continued(
    champion: str, tmp_path: Path, output: Path
) -> None:
    """Its file, with its keys and its checksum, as it was written then; and the selection in its XCom."""
    path = tmp_path / "rows.csv"
    predict_new(tmp_path, 3, "a")
    file = output / "predictions" / "digits" / "progress.json"
    before = json.loads(file.read_text(encoding="utf-8"))
    file.write_bytes(seal({"of": before["of"], "until": 2, "runs": [["a", None, 2]]}))
    digits_copy(tmp_path, lambda frame: frame.assign(number=range(len(frame))).head(5))
    old = {"rows": "new", "new_by": "number", "progress": "progress"}
    selection = {**old, "of": before["of"], "after": 2, "until": 4}
    result = predict_selected(selection, dataset=str(path), run_id="b")
    assert [row["row_id"] for row in rows_of(result)] == ["3", "4"]


def csv_of(tmp_path: Path, rows: dict[int, str]) -> str:
    """Some of the digits, by row id, each with a time."""

    def change(frame: pd.DataFrame) -> pd.DataFrame:
        chosen = frame.set_index("row_id", drop=False).loc[[str(row) for row in rows]]
        return chosen.assign(at=list(rows.values()))

    return digits_copy(tmp_path, change)


def run_at(path: str, run_id: str, **change: Any) -> list[str]:
    """Run on the rows that are new by their time; return their ids, none if the run is skipped."""
    given = {"dataset": path, "row_id": "row_id", "run_id": run_id}
    chosen = {"rows": "incremental", "cursor_column": "at", "model": "digits", **change}
    try:
        drawn = prediction.draw_rows(**given, **chosen)
    except AirflowSkipException:
        return []
    return [row["row_id"] for row in rows_of(predict_selected(drawn, dataset=path, run_id=run_id))]


def test_rows_at_the_watermark_and_late_rows_are_predicted_once(champion: str, tmp_path: Path) -> None:
    rows = {1: "2026-01-01 02:29:00", 2: "2026-01-01 02:30:00"}
    assert run_at(csv_of(tmp_path, rows), "a") == ["1", "2"]
    assert run_at(csv_of(tmp_path, rows), "b") == []
    rows |= {3: "2026-01-01 02:30:00", 4: "2026-01-01 02:29:59", 5: "2026-01-01 01:30:00"}
    assert run_at(csv_of(tmp_path, rows), "c") == ["3", "4", "5"]
    rows |= {6: "2026-01-01 02:30:00", 7: "2026-01-01 02:31:00"}
    assert run_at(csv_of(tmp_path, rows), "d") == ["6", "7"]
    assert run_at(csv_of(tmp_path, rows), "e") == []
    assert run_at(csv_of(tmp_path, rows), "c") == ["3", "4", "5"], "a cleared run has its own rows again"


def test_rows_later_than_the_lag_are_reported(
    champion: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {1: "2026-01-01 02:00:00", 2: "2026-01-01 02:30:00"}
    run_at(csv_of(tmp_path, rows), "a", lag=60)
    rows |= {3: "2026-01-01 02:28:59", 4: "2026-01-01 02:29:00"}
    assert run_at(csv_of(tmp_path, rows), "b", lag=60) == ["4"]
    assert (
        "1 row came later than `lag` allows, with 'at' before 2026-01-01T02:29:00, and will not be predicted"
        in caplog.text
    )


def test_a_lag_of_numbers_is_in_their_own_unit(champion: str, tmp_path: Path) -> None:
    rows = {1: "10", 2: "20"}
    assert run_at(csv_of(tmp_path, rows), "a", lag=5) == ["1", "2"]
    rows |= {3: "15", 4: "14.9", 5: "20"}
    assert run_at(csv_of(tmp_path, rows), "b", lag=5) == ["3", "5"]


def test_a_row_in_the_future_waits_and_is_reported(
    champion: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {1: "2026-01-01 02:00:00", 2: "2099-01-01 00:00:00", 3: "infinity"}
    assert run_at(csv_of(tmp_path, rows), "a") == ["1"]
    assert (
        "'at' is in the future in 2 rows, left out: row 2 has 2099-01-01T00:00:00; correct it" in caplog.text
    )
    rows |= {4: "2026-01-01 03:00:00"}
    assert run_at(csv_of(tmp_path, rows), "b") == ["4"]
    assert run_at(csv_of(tmp_path, rows), "c", run_after="2099-01-01T00:00:00+09:00") == ["2"]


def test_the_run_s_time_is_the_limit_and_a_tolerance_can_be_given(champion: str, tmp_path: Path) -> None:
    rows = {1: "2026-01-01 09:00:00", 2: "2026-01-01 09:00:30", 3: "2026-01-01 09:05:00"}
    at = {"run_after": "2026-01-01T00:00:00+00:00"}  # 9 o'clock in Seoul
    assert run_at(csv_of(tmp_path, rows), "a", **at, future_tolerance_s=0) == ["1"]
    assert run_at(csv_of(tmp_path, rows), "b", **at) == ["2"]
    assert run_at(csv_of(tmp_path, rows), "c", **at, timezone="UTC", future_tolerance_s=0) == []
    assert run_at(csv_of(tmp_path, rows), "d", **at, future_tolerance_s=600) == ["3"]


def test_times_with_an_offset_are_compared_as_moments(champion: str, tmp_path: Path) -> None:
    rows = {1: "2026-01-01T09:00:00+09:00", 2: "2026-01-01T01:00:00Z"}
    assert run_at(csv_of(tmp_path, rows), "a", lag=0) == ["1", "2"]
    rows |= {3: "2026-01-01T10:00:00+09:00", 4: "2026-01-01T10:30:00+09:00", 5: "2026-01-01T00:59:59Z"}
    assert run_at(csv_of(tmp_path, rows), "b", lag=0) == ["3", "4"]
    rows |= {6: "2026-01-01 11:00:00"}
    with pytest.raises(ValueError, match="times with an offset and times without one, such as "):
        run_at(csv_of(tmp_path, rows), "c")


def test_a_row_without_a_value_waits_until_it_has_one(
    champion: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rows = {1: "2026-01-01 02:00:00", 2: "", 3: "NULL"}
    assert run_at(csv_of(tmp_path, rows), "a") == ["1"]
    assert "'at' is empty in 2 rows, left out: predicted once it has a value" in caplog.text
    assert run_at(csv_of(tmp_path, {**rows, 2: "2026-01-01 02:10:00"}), "b") == ["2"]


def test_a_corrected_row_is_predicted_again(champion: str, tmp_path: Path) -> None:
    rows = {1: "2026-01-01 02:00:00", 2: "2026-01-01 02:00:00"}
    assert run_at(csv_of(tmp_path, rows), "a") == ["1", "2"]
    assert run_at(csv_of(tmp_path, {**rows, 1: "2026-01-01 02:30:00"}), "b") == ["1"]
    assert run_at(csv_of(tmp_path, {**rows, 1: "2026-01-01 02:30:00"}), "a") == ["1", "2"]
    assert run_at(csv_of(tmp_path, {**rows, 1: "2026-01-01 02:30:00"}), "c") == []


def test_a_cleared_run_whose_rows_are_gone_leaves_its_file(
    champion: str, tmp_path: Path, output: Path
) -> None:
    rows = {1: "2026-01-01 02:00:00", 2: "2026-01-01 02:00:00"}
    run_at(csv_of(tmp_path, rows), "a")
    before = tree(output)
    with pytest.raises(
        ValueError, match=r"1 row that this run has predicted are no longer in .*: 2; its file"
    ):
        run_at(csv_of(tmp_path, {1: rows[1]}), "a")
    assert tree(output) == before


def test_of_two_runs_with_the_same_new_rows_each_predicts_its_own(champion: str, tmp_path: Path) -> None:
    rows = {1: "2026-01-01 02:00:00", 2: "2026-01-01 02:00:00"}
    path = csv_of(tmp_path, rows)
    given = {
        "dataset": path,
        "row_id": "row_id",
        "rows": "incremental",
        "cursor_column": "at",
        "model": "digits",
    }
    one, other = (prediction.draw_rows(**given, run_id=run_id) for run_id in ("a", "b"))
    assert rows_of(predict_selected(other, dataset=path, run_id="b"))[0]["row_id"] == "1"
    csv_of(tmp_path, {**rows, 3: "2026-01-01 01:59:00"})
    assert [row["row_id"] for row in rows_of(predict_selected(one, dataset=path, run_id="a"))] == ["3"]


def test_a_run_whose_file_was_lost_finds_its_rows_by_their_range(
    champion: str, tmp_path: Path, output: Path
) -> None:
    rows = {1: "2026-01-01 02:00:00", 2: "2026-01-01 03:00:00"}
    path = csv_of(tmp_path, rows)
    first = run_at(path, "a", lag=0)
    run_at(csv_of(tmp_path, {**rows, 3: "2026-01-01 04:00:00"}), "b", lag=0)
    for file in (output / "predictions" / "digits").glob("date=*/*.csv"):
        file.unlink()
    assert run_at(csv_of(tmp_path, {**rows, 3: "2026-01-01 04:00:00"}), "a", lag=0) == first == ["1", "2"]


def test_a_lost_file_has_all_its_rows_again_while_only_some_are_settled(
    champion: str, tmp_path: Path, output: Path
) -> None:
    rows = {1: "2026-01-01 02:00:00", 2: "2026-01-01 03:00:00", 3: "2026-01-01 03:00:00"}
    path = csv_of(tmp_path, rows)
    assert run_at(path, "a", lag=0) == ["1", "2", "3"]
    assert run_at(csv_of(tmp_path, {**rows, 4: "2026-01-01 03:00:00"}), "b", lag=0) == ["4"]
    for file in (output / "predictions" / "digits").glob("date=*/*.csv"):
        file.unlink()
    assert run_at(path, "a", lag=0) == ["1", "2", "3"]
    assert run_at(csv_of(tmp_path, {**rows, 4: "2026-01-01 03:00:00"}), "b", lag=0) == ["4"]


def test_rows_within_the_lag_stay_taken_however_many_runs_follow(
    champion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claims, "RUNS_REMEMBERED", 2)
    rows = {}
    for minute in range(6):
        rows[minute] = f"2026-01-01 02:0{minute}:00"
        assert run_at(csv_of(tmp_path, rows), f"run {minute}") == [str(minute)]
    assert run_at(csv_of(tmp_path, rows), "run 0") == ["0"]


def test_a_cleared_run_finds_its_own_among_the_versions_of_a_row(champion: str, tmp_path: Path) -> None:
    """A table that only grows has a corrected row twice, of which each run predicts one."""

    def versions(later: bool) -> str:
        path = csv_of(tmp_path, {1: "2026-01-01 02:00:00", 2: "2026-01-01 02:00:00"})
        lines = Path(path).read_text(encoding="utf-8").splitlines()
        if later:
            # First, so that it is not the order that decides.
            lines.insert(1, lines[1].replace("02:00:00", "04:00:00"))
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    assert run_at(versions(later=False), "a") == ["1", "2"]
    assert run_at(versions(later=True), "b") == ["1"]
    assert run_at(versions(later=True), "a") == ["1", "2"]
    assert run_at(versions(later=True), "b") == ["1"]
    assert run_at(versions(later=True), "c") == []


def test_a_source_that_was_emptied_and_filled_again_is_reported(
    champion: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run_at(csv_of(tmp_path, {1: "1", 2: "2", 3: "3"}), "a") == ["1", "2", "3"]
    refilled = csv_of(tmp_path, {4: "1", 5: "2"})
    assert run_at(refilled, "b") == []
    assert "'at' is at most 2, but rows up to 3 were predicted: if the source was emptied" in caplog.text
    given = {"dataset": refilled, "row_id": "row_id", "run_id": "c"}
    chosen = {"rows": "incremental", "cursor_column": "at", "model": "digits", "watermark": "again"}
    drawn = prediction.draw_rows(**given, **chosen)
    assert predict_selected(drawn, dataset=refilled, run_id="c")["rows"] == 2


def test_a_run_that_is_filled_in_reports_no_rows_of_later_runs(
    champion: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = csv_of(tmp_path, {1: "2026-01-01 02:00:00", 2: "2026-01-02 02:00:00"})
    assert run_at(path, "a") == ["1", "2"]
    assert run_at(path, "b", run_after="2026-01-01T00:00:00+00:00") == []
    assert "in the future" not in caplog.text


@pytest.mark.parametrize("rows", ["all", "random", "incremental"])
def test_an_id_that_repeats_is_refused_by_each_choice_of_rows(
    champion: str, tmp_path: Path, output: Path, rows: str
) -> None:
    path = digits_copy(
        tmp_path, lambda frame: pd.concat([frame.head(30), frame.loc[[7]]]).assign(at=range(31))
    )
    given = {"dataset": path, "row_id": "row_id", "run_id": "a"}
    before = tree(output)
    for chunk_rows in (4, 10_000):
        with pytest.raises(ValueError, match="row id 'row_id' of dataset .* is not unique: '7' repeats"):
            drawn = prediction.draw_rows(**given, rows=rows, cursor_column="at", model="digits")
            predict_selected(drawn, dataset=path, run_id="a", chunk_rows=chunk_rows)
    assert tree(output) == before


def test_each_dag_has_a_watermark_of_its_own_and_one_of_an_earlier_release_keeps_its(
    champion: str, tmp_path: Path, output: Path
) -> None:
    runs = [f"{dag_id}.scheduled__2026-01-01T00:00:00+00:00" for dag_id in ("hourly", "daily")]
    assert predict_new(tmp_path, 3, runs[0])["rows"] == 3
    assert predict_new(tmp_path, 4, runs[1])["rows"] == 4  # the other one's rows are new for it
    folder = output / "predictions" / "digits"
    assert {path.name for path in folder.glob("*.json")} == {"progress-hourly.json", "progress-daily.json"}
    (folder / "progress-hourly.json").rename(folder / "progress.json")  # as it was called before
    with pytest.raises(AirflowSkipException, match="nothing new"):
        predict_new(tmp_path, 3, runs[0].replace("-01T", "-02T"))
    assert predict_new(tmp_path, 5, runs[0].replace("-01T", "-03T"))["rows"] == 2
