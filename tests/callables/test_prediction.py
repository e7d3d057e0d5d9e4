"""P3: the draw, the file, and what happens without a champion."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from airflow.sdk.exceptions import AirflowSkipException
from pytest_httpserver import HTTPServer
from servers import Slack
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from trees import tree

from callables import (
    _day_drift,
    _drift,
    _estimators,
    _new_rows,
    _prediction_files,
    prediction,
    promotion,
    training,
)
from callables._files import PROJECT_ROOT
from callables._model_store import ModelStore

DATA = {"dataset": "data/digits.csv", "row_id": "row_id"}
RUN = {"run_id": "scheduled__2026-01-01T15:30:00+00:00", "run_after": "2026-01-01T15:30:00+00:00"}


@pytest.fixture
def champion(output: Path) -> str:
    training.train_challenger(
        **DATA,
        **RUN,
        model="digits",
        target="digit",
        estimator="sklearn.naive_bayes.GaussianNB",
        metric="accuracy",
    )
    comparison = promotion.compare(model="digits", metric="accuracy")
    return promotion.promote(comparison=json.dumps(comparison), run_id="p")["version"]


def predict(**change: Any) -> dict:
    drawn = prediction.draw_rows(**DATA, run_id=RUN["run_id"])
    arguments = {**DATA, **RUN, "model": "digits", "selection": json.dumps(drawn), **change}
    return prediction.predict_rows(**arguments)


def test_draw_rows_draws_five_different_rows_the_same_for_a_run() -> None:
    first = prediction.draw_rows(**DATA, run_id="a")["row_ids"]
    assert len(set(first)) == 5
    assert first == prediction.draw_rows(**DATA, run_id="a")["row_ids"]
    assert first != prediction.draw_rows(**DATA, run_id="b")["row_ids"]


@pytest.mark.parametrize("rows", [0, -1, 1798])
def test_draw_rows_cannot_draw_what_is_not_there(rows: int) -> None:
    with pytest.raises(
        ValueError, match=f"cannot draw {rows} rows from dataset 'data/digits.csv', which has 1797"
    ):
        prediction.draw_rows(**DATA, run_id="a", rows=rows)


def test_predict_rows_writes_a_file_of_its_run(champion: str) -> None:
    result = predict()
    path = Path(result["file"])
    assert path.parent.name == "date=2026-01-02"  # 15:30 UTC is 00:30 in Seoul
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == prediction.COLUMNS
    assert [row["row_id"] for row in rows] == prediction.draw_rows(**DATA, run_id=RUN["run_id"])["row_ids"]
    assert {row["model_version"] for row in rows} == {champion}
    assert all(row["prediction"] in map(str, range(10)) for row in rows)


def test_the_card_shows_the_latest_predictions_once_a_day_and_after_a_promotion(
    champion: str, output: Path
) -> None:
    training.predict_holdout(model="digits", version=champion)
    card = output / "models" / "digits" / "versions" / champion / "card.html"
    assert "Predictions of rows held out" in card.read_text(encoding="utf-8")
    pointer = ModelStore("digits").champion()
    assert pointer is not None
    just_before = datetime.fromisoformat(pointer["promoted_at"]).timestamp() - 1
    for run_id, made in (("after a promotion", just_before), ("on another day", just_before - 86400)):
        os.utime(card, (made, made))
        predict(run_id=run_id)
        assert card.stat().st_mtime > made + 0.5
        text = card.read_text(encoding="utf-8")
        assert "The latest predictions" in text
        predict(run_id=f"{run_id}, once more")
        assert card.read_text(encoding="utf-8") == text


def test_a_second_try_changes_no_file(champion: str, output: Path) -> None:
    predict()
    before = tree(output)
    predict()
    assert tree(output) == before


def test_two_runs_never_share_a_file(champion: str) -> None:
    # As file names these two would be the same text without a hash.
    assert predict(run_id="a:b")["file"] != predict(run_id="a+b")["file"]


def test_without_a_champion_the_task_is_skipped_and_says_why(output: Path) -> None:
    with pytest.raises(AirflowSkipException, match="has no champion yet: train_model makes a challenger"):
        predict()
    assert not output.exists()


def test_columns_that_the_model_needs_are_named_when_missing(champion: str, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("row_id,pixel_0_0\n1,0\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks columns that version .* learnt from: \\['pixel_0_1'"):
        predict(dataset=str(other), selection='{"rows": "all"}')


def digits(tmp_path: Path, change: Any = lambda frame: frame) -> str:
    """A copy of the digits, changed."""
    path = tmp_path / "rows.csv"
    change(pd.read_csv(PROJECT_ROOT / "data" / "digits.csv", dtype={"row_id": str})).to_csv(path, index=False)
    return str(path)


def rows_of(result: dict) -> list[dict[str, str]]:
    with Path(result["file"]).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def chosen(selection: dict, **change: Any) -> dict:
    return prediction.predict_rows(
        **{**DATA, **RUN, "model": "digits", "selection": json.dumps(selection), **change}
    )


def test_the_draw_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    shuffled = digits(tmp_path, lambda frame: frame.sample(frac=1, random_state=1))
    drawn = prediction.draw_rows(dataset=shuffled, row_id="row_id", run_id="a")
    assert drawn == prediction.draw_rows(**DATA, run_id="a")
    twice = digits(tmp_path, lambda frame: pd.concat([frame, frame]))
    with pytest.raises(ValueError, match="row id 'row_id' of dataset .* is not unique"):
        prediction.draw_rows(dataset=twice, row_id="row_id", run_id="a", rows=7)


def test_each_row_is_drawn_about_as_often_as_any_other(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,a\n" + "".join(f"{i},0\n" for i in range(20)), encoding="utf-8")
    counts = dict.fromkeys(map(str, range(20)), 0)
    for run in range(400):
        for row in prediction.draw_rows(dataset=str(path), row_id="id", run_id=f"{run}")["row_ids"]:
            counts[row] += 1
    assert min(counts.values()) > 60
    assert max(counts.values()) < 140  # 100 on average, with a deviation of 9


@pytest.mark.parametrize("chunk_rows", [100, 10_000])
def test_all_rows_are_predicted_in_chunks_as_at_once(champion: str, chunk_rows: int) -> None:
    assert prediction.draw_rows(**DATA, run_id="a", rows="all") == {"rows": "all"}
    result = chosen({"rows": "all"}, chunk_rows=chunk_rows)
    rows = rows_of(result)
    assert (result["rows"], result["model_version"]) == (1797, champion)
    frame = pd.read_csv(PROJECT_ROOT / "data" / "digits.csv")
    model = ModelStore("digits").load(champion)
    expected = model.predict(frame.drop(columns=["row_id", "digit"]))
    assert [int(row["prediction"]) for row in rows] == list(expected)
    assert [row["row_id"] for row in rows] == [str(row) for row in frame["row_id"]]


def test_columns_are_taken_by_name_in_whatever_order(champion: str, tmp_path: Path) -> None:
    other = digits(tmp_path, lambda frame: frame[sorted(frame.columns, reverse=True)])
    assert [row["prediction"] for row in rows_of(chosen({"rows": "all"}, dataset=other, run_id="x"))] == [
        row["prediction"] for row in rows_of(chosen({"rows": "all"}))
    ]


def test_a_text_where_the_model_learnt_from_numbers_fails_and_names_the_row(
    champion: str, tmp_path: Path, output: Path
) -> None:
    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame["pixel_3_3"] = frame["pixel_3_3"].astype(str)
        frame.loc[17, "pixel_3_3"] = "1O"
        return frame

    before = tree(output)
    with pytest.raises(
        ValueError, match="column 'pixel_3_3' of dataset .* must be a number, but row 17 has '1O'"
    ):
        chosen({"rows": "all"}, dataset=digits(tmp_path, spoil))
    assert tree(output) == before


def test_values_beyond_what_was_learnt_are_counted(
    champion: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = digits(tmp_path, lambda frame: frame.assign(pixel_3_3=frame["pixel_3_3"] * 1000))
    result = chosen({"rows": "all"}, dataset=other)
    assert 1500 < result["out_of_range"]["pixel_3_3"] < 1797
    assert f"beyond the range that {champion} learnt from: pixel_3_3 in" in caplog.text
    assert "pixel_3_3" not in chosen({"rows": "all"})["out_of_range"]


def test_cells_that_are_empty_where_none_were_are_told(
    champion: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(digits(tmp_path))
    lines = path.read_text(encoding="utf-8").splitlines()
    cut = lines[3].rpartition(",")[0].rpartition(",")[0]
    lines[3] = f"{cut},,"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    chosen({"rows": "all"}, dataset=str(path))
    assert f"empty, though {champion} learnt from rows without a gap: pixel_7_7 in 1 rows" in caplog.text


@pytest.mark.parametrize("spelling", ["True False", "true false", "TRUE FALSE"])
def test_true_and_false_beside_gaps_mean_the_same_however_they_are_written(
    output: Path, tmp_path: Path, spelling: str
) -> None:
    yes, no = spelling.split()
    rows = [f"{i},{'' if i % 20 == 7 else (no, yes)[i % 3 == 0]},a,{int(i % 3 == 0)}" for i in range(200)]
    source = small(tmp_path, rows)
    settings = {"target": "y", "estimator": "sklearn.tree.DecisionTreeClassifier", "metric": "accuracy"}
    version = training.train_challenger(**source, **settings, **RUN, model="digits")["version"]
    ModelStore("digits").promote(version, expect=None, run_id="p", reason="")
    found = chosen({"rows": "all"}, **source)
    right = [row for row in rows_of(found) if int(row["prediction"]) == (int(row["row_id"]) % 3 == 0)]
    assert (len(right) >= 190, found["never_seen"]) == (True, {})


def small(tmp_path: Path, rows: list[str], name: str = "train.csv") -> dict[str, Any]:
    """A CSV of id, flag, kind and y, as the source of a task."""
    path = tmp_path / name
    path.write_text("\n".join(["id,flag,kind,y", *rows]) + "\n", encoding="utf-8")
    return {"dataset": str(path), "row_id": "id"}


@pytest.fixture
def small_champion(output: Path, tmp_path: Path) -> dict[str, Any]:
    """A champion that learnt from True, False and gaps, and from the texts a and b; its rows."""
    rows = [f"{i},{'' if i % 20 == 7 else i % 3 == 0},{'ab'[i % 2]},{int(i % 3 == 0)}" for i in range(200)]
    source = small(tmp_path, rows)
    settings = {"target": "y", "estimator": "sklearn.tree.DecisionTreeClassifier", "metric": "accuracy"}
    version = training.train_challenger(**source, **settings, **RUN, model="digits")["version"]
    ModelStore("digits").promote(version, expect=None, run_id="p", reason="")
    return source


def test_texts_that_training_never_saw_are_told(
    small_champion: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = small(tmp_path, ["1,True,a,1", "2,,ZZZ,1", "3,False, b,0", "4,yes,b,0"], "new.csv")
    found = chosen({"rows": "all"}, **source)
    assert found["never_seen"] == {"kind": 2, "flag": 1}
    assert "has never seen: flag in 1 rows ('yes', say), kind in 2 rows ('ZZZ', say)" in caplog.text


def test_an_empty_text_of_a_database_is_an_empty_cell_of_a_file(
    small_champion: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "rows.db") as database:
        database.execute("create table rows as select 1 id, '' flag, 'a' kind union select 2, null, 'a'")
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/rows.db"}))
    source = {"dataset": None, "sql": "select * from rows", "connection": "db", "row_id": "id"}
    by_sql = rows_of(chosen({"rows": "all"}, **source, run_id="sql"))
    by_file = rows_of(
        chosen({"rows": "all"}, **small(tmp_path, ["1,,a,1", "2,,a,1"], "new.csv"), run_id="csv")
    )
    assert [row["prediction"] for row in by_sql] == [row["prediction"] for row in by_file]
    assert {row["probability"] for row in by_sql} == {row["probability"] for row in by_file}


@pytest.mark.parametrize(("value", "shown"), [("inf", "inf"), ("1e999", "inf")])
def test_a_number_without_an_end_is_refused_with_its_row(
    champion: str, tmp_path: Path, value: str, shown: str
) -> None:
    path = digits(tmp_path, lambda frame: frame.assign(pixel_3_3=["1", value] * 898 + ["1"]))
    with pytest.raises(
        ValueError, match=f"'pixel_3_3' of dataset .* must be a number, but row 1 has '{shown}'"
    ):
        chosen({"rows": "all"}, dataset=path)


def test_a_file_in_another_encoding_or_with_an_open_quote_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    for content in ("이름,x\n".encode("cp949"), b'id,x\n1,"' + b"x" * 200_000):
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"dataset .*rows.csv' is not a CSV in UTF-8 with a header line: "
        ):
            prediction.draw_rows(dataset=str(path), run_id="a", rows=1)


def test_a_column_may_be_called_row_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("row_number,x\n7,1\n8,2\n", encoding="utf-8")
    assert sorted(prediction.draw_rows(dataset=str(path), run_id="a", rows=2)["row_ids"]) == ["0", "1"]


def test_a_time_zone_that_is_none_is_told(champion: str) -> None:
    with pytest.raises(ValueError, match="timezone is 'Asia/Soul'; it must be a name such as Asia/Seoul"):
        predict(timezone="Asia/Soul")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nid,x1\na,5\n", "has no header line: its first line is blank"),
        ("id,x1,x2\na,5,5,\nb,-5,-5,\n", "has 3 columns, but line 2 has 4 fields"),
        ("id,x1,x2\na,5,5\nb,-5\n", "has 3 columns, but line 3 has 2 fields"),
        ('id,x1,x2\na,"5",5\n\n"b,c",-5\n', "has 3 columns, but line 4 has 2 fields"),
        ("id,x1,x1\na,5,5\n", "has two columns named 'x1'"),
    ],
)
def test_lines_that_are_too_short_or_too_long_are_told_and_no_column_shifts(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        prediction.draw_rows(dataset=str(path), row_id="id", run_id="a", rows=1)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("quoted", [False, True])
def test_a_line_that_is_too_short_is_named_however_far_down_it_stands(
    tmp_path: Path, end: str, quoted: bool
) -> None:
    path = tmp_path / "rows.csv"
    lines = [f"{n},{n % 7},1" for n in range(150_000)]  # in several blocks
    lines[140_000] = ""  # a blank line is none
    path.write_text("\n".join(["id,x1,x2", *lines, "z,5"]) + end, encoding="utf-8", newline="")
    if quoted:
        path.write_text(path.read_text(encoding="utf-8").replace("\n7,0,1", '\n"7",0,1'), encoding="utf-8")
    with pytest.raises(ValueError, match="has 3 columns, but line 150002 has 2 fields"):
        prediction.draw_rows(dataset=str(path), row_id="id", run_id="a", rows=1)


def test_a_run_may_have_any_name(champion: str, output: Path) -> None:
    """Also those of the files that a closed day has."""
    predict(**at(1))
    for name in ("day", "all-runs", "day=2026-01-01", "all=runs"):
        predict(**{**at(1, 5), "run_id": name})
    predict(**at(0))
    folder = output / "predictions" / "digits" / f"date={datetime.fromisoformat(at(1)['run_after']).date()}"
    (closed,) = folder.iterdir()
    assert len(closed.read_text().splitlines()) == 1 + 5 * 5


def test_a_prediction_may_have_whatever_a_text_can(output: Path) -> None:
    told = _prediction_files.Told("r", "2026-01-01T00:00:00+09:00", "v", "now")
    path = _prediction_files.path_of("m", date(2026, 1, 1), "r")
    texts = ["a,b", 'c"d', "e\rf", "g\nh", "i\r\nj", ""]
    file = _prediction_files.RunFile(path)
    file.add(told, [str(place) for place in range(len(texts))], texts, None)
    file.publish()
    assert [row[4] for row in _prediction_files.rows_in(path)] == texts


HEAD = ",".join(_prediction_files.COLUMNS) + "\n"


@pytest.mark.parametrize("content", ["", "x\n", HEAD + "a,b\n", HEAD + "\n", HEAD + "\udcff\n"])
def test_a_runs_spoilt_file_is_written_anew(
    champion: str, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(predict()["file"])
    before = [row.rpartition(",")[0] for row in path.read_text(encoding="utf-8").splitlines()]
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    predict()
    assert [row.rpartition(",")[0] for row in path.read_text(encoding="utf-8").splitlines()] == before
    assert f"{path} is spoilt" in caplog.text


def test_a_closed_day_that_is_cut_is_not_rewritten_as_if_it_were_whole(
    champion: str, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    predict(**at(1))
    predict(**at(0))
    (closed,) = (output / "predictions" / "digits").glob("date=*/day=*.csv")
    cut = closed.read_bytes()[:-30]
    closed.write_bytes(cut)
    late = Path(predict(**at(1, 5))["file"])
    assert "is spoilt: line 6" in caplog.text
    assert closed.read_bytes() == cut
    assert len(late.read_text(encoding="utf-8").splitlines()) == 6


def test_what_is_spoilt_or_strange_beside_the_predictions_fails_no_run(
    champion: str, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = output / "predictions" / "digits"
    (folder / "date=2026-02-30").mkdir(parents=True)
    predict(**at(1))
    predict(**at(0))
    (counts,) = folder.glob("drift/date=*/all=runs.json")
    counts.write_bytes(counts.read_bytes()[:-5])
    assert predict(**at(1, 5))["rows"] == 5
    assert "all=runs.json is spoilt" in caplog.text


def test_the_drift_of_a_day_comes_though_a_kill_came_between_its_files(champion: str, output: Path) -> None:
    predict(**at(1))
    predict(**at(0))
    (summary,) = (output / "predictions" / "digits" / "drift").glob("*.csv")
    counts = output / "predictions" / "digits" / "drift" / f"date={summary.stem}"
    whole = summary.read_bytes()
    summary.unlink()
    # As the kill leaves it: counted, and the run's own file still there.
    _day_drift.write_atomic(counts / "all=runs.json", (counts / "all=runs.json").read_bytes())
    run = {"run_id": at(1)["run_id"], "version": champion, "counts": {}}
    (counts / "left.json").write_text(json.dumps(run), encoding="utf-8")
    predict(**at(0, 5))
    assert summary.read_bytes() == whole
    assert [path.name for path in counts.iterdir()] == ["all=runs.json"]


@pytest.mark.parametrize("content", [b"a\nb\n", b"\xff\xfe\x00", b""])
def test_a_spoilt_file_of_another_day_fails_no_run(champion: str, output: Path, content: bytes) -> None:
    predict(**at(1))
    day = datetime.fromisoformat(at(1)["run_after"]).date()
    folder = output / "predictions" / "digits" / f"date={day}"
    (folder / "x.csv").write_bytes(content)
    counts = output / "predictions" / "digits" / "drift" / f"date={day}" / "x.json"
    counts.write_bytes(content)
    assert predict(**at(0))["rows"] == 5
    assert (folder / f"day={day}.csv").exists()
    assert (output / "predictions" / "digits" / "drift" / f"{day}.csv").exists()


def test_the_drift_that_a_kill_left_undone_is_done_by_the_next_run(
    champion: str, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict(**at(1))
    with monkeypatch.context() as patch:
        patch.setattr(_day_drift, "summarise", lambda *_, **__: 1 / 0)
        predict(**at(0))
    day = datetime.fromisoformat(at(1)["run_after"]).date()
    assert not (output / "predictions" / "digits" / "drift" / f"{day}.csv").exists()
    predict(**at(0, 5))
    assert (output / "predictions" / "digits" / "drift" / f"{day}.csv").exists()


def test_a_slip_in_a_row_that_was_not_chosen_fails_no_other(champion: str, tmp_path: Path) -> None:
    def spoil(frame: pd.DataFrame) -> pd.DataFrame:
        frame["pixel_3_3"] = frame["pixel_3_3"].astype(str)
        frame.loc[17, "pixel_3_3"] = "1O"
        return frame

    path = digits(tmp_path, spoil)
    assert chosen({"rows": "random", "row_ids": ["1", "2"]}, dataset=path)["rows"] == 2
    with pytest.raises(ValueError, match="must be a number, but row 17 has '1O'"):
        chosen({"rows": "random", "row_ids": ["1", "17"]}, dataset=path)


def test_a_spoilt_note_of_progress_says_what_to_do(champion: str, tmp_path: Path, output: Path) -> None:
    new(tmp_path, 3, "a")
    (output / "predictions" / "digits" / "progress.json").write_text("{}", encoding="utf-8")
    with pytest.raises(ValueError, match="progress.json is spoilt: .* write {"):
        new(tmp_path, 5, "b")


def new(tmp_path: Path, until: int, run_id: str) -> dict:
    """A run on the rows up to a number, of which those that no run has had are new."""
    path = digits(tmp_path, lambda frame: frame.assign(number=range(len(frame))).head(until))
    given = {"dataset": path, "row_id": "row_id", "run_id": run_id}
    drawn = prediction.draw_rows(**given, rows="new", new_by="number", model="digits")
    return chosen(drawn, dataset=path, run_id=run_id)


def test_new_rows_are_predicted_once_and_a_cleared_run_has_its_own_again(
    champion: str, tmp_path: Path, output: Path
) -> None:
    assert [row["row_id"] for row in rows_of(new(tmp_path, 3, "a"))] == ["0", "1", "2"]
    second = new(tmp_path, 5, "b")
    assert [row["row_id"] for row in rows_of(second)] == ["3", "4"]
    before = tree(output)
    assert new(tmp_path, 9, "a")["rows"] == 3
    assert new(tmp_path, 9, "b") == second
    assert tree(output) == before
    with pytest.raises(AirflowSkipException, match="nothing new in dataset .*: no number is greater than 4"):
        new(tmp_path, 5, "c")
    assert new(tmp_path, 9, "c")["rows"] == 4
    assert json.loads((output / "predictions" / "digits" / "progress.json").read_text())["until"] == 8


def test_a_run_of_new_rows_that_failed_leaves_them_to_the_next(champion: str, tmp_path: Path) -> None:
    path = digits(tmp_path, lambda frame: frame.assign(number=range(len(frame))).head(4))
    given = {"dataset": path, "row_id": "row_id", "new_by": "number", "model": "digits", "rows": "new"}
    lost = prediction.draw_rows(**given, run_id="a")
    assert new(tmp_path, 6, "b")["rows"] == 6
    with pytest.raises(ValueError, match="another run has predicted up to 5 meanwhile; clear draw_rows"):
        chosen(lost, dataset=path, run_id="a")


def test_a_run_too_long_ago_to_be_remembered_keeps_what_it_predicted(
    champion: str, tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_new_rows, "RUNS_REMEMBERED", 1)
    new(tmp_path, 3, "a")
    new(tmp_path, 5, "b")
    before = tree(output)
    with pytest.raises(ValueError, match="this run has predicted other rows before; these stay"):
        new(tmp_path, 9, "a")
    assert tree(output) == before


def test_new_rows_are_told_by_whole_numbers_of_any_size(champion: str, tmp_path: Path) -> None:
    def up_to(until: int, run_id: str, start: int = 2**64 - 3) -> list[str]:
        def change(frame: pd.DataFrame) -> pd.DataFrame:
            return frame.assign(number=[start + row for row in range(len(frame))]).head(until)

        path = digits(tmp_path, change)
        given = {"dataset": path, "row_id": "row_id", "run_id": run_id}
        drawn = prediction.draw_rows(**given, rows="new", new_by="number", model="digits")
        return [row["row_id"] for row in rows_of(chosen(drawn, dataset=path, run_id=run_id))]

    assert up_to(2, "a") == ["0", "1"]
    assert up_to(5, "b") == ["2", "3", "4"]
    assert up_to(7, "c") == ["5", "6"]


@pytest.mark.parametrize(
    "damage", [b'{"until": 999, "runs": []}', b'{"until": [1], "runs": []}', b'{"runs": null']
)
def test_a_note_of_progress_that_somebody_or_something_changed_is_told(
    champion: str, tmp_path: Path, output: Path, damage: bytes
) -> None:
    new(tmp_path, 3, "a")
    path = output / "predictions" / "digits" / "progress.json"
    changed = path.read_bytes().replace(b'"until": 2', b'"until": 9') if b"999" in damage else damage
    path.write_bytes(changed)
    with pytest.raises(ValueError, match=r"progress.json is spoilt: .* write \{"):
        new(tmp_path, 5, "b")


def test_two_sources_need_two_notes_of_progress(champion: str, tmp_path: Path) -> None:
    new(tmp_path, 3, "a")
    other = tmp_path / "other"
    other.mkdir()
    path = digits(other, lambda frame: frame.assign(number=range(len(frame))).head(2))
    given = {"dataset": path, "row_id": "row_id", "rows": "new", "new_by": "number", "model": "digits"}
    with pytest.raises(
        ValueError, match=r"progress.json is about dataset .*rows.csv', by number, and this task"
    ):
        prediction.draw_rows(**given, run_id="b")
    drawn = prediction.draw_rows(**given, run_id="b", progress="others")
    assert chosen(drawn, dataset=path, run_id="b")["rows"] == 2


def test_ids_that_are_whole_numbers_tell_what_is_new(champion: str, tmp_path: Path) -> None:
    """As texts, 10 would come before 9."""

    def up_to(until: int, run_id: str) -> int:
        path = digits(tmp_path, lambda frame: frame.head(until))
        given = {"dataset": path, "row_id": "row_id", "run_id": run_id}
        drawn = prediction.draw_rows(**given, rows="new", new_by="row_id", model="digits")
        return chosen(drawn, dataset=path, run_id=run_id)["rows"]

    assert [up_to(until, f"run {until}") for until in (9, 12, 120)] == [9, 3, 108]


def test_ids_with_a_fraction_are_numbers_too(champion: str, tmp_path: Path) -> None:
    """pandas writes them so where a column of ids had a gap."""

    def up_to(until: int) -> dict:
        path = digits(
            tmp_path, lambda frame: frame.assign(row_id=[f"{i}.0" for i in range(len(frame))]).head(until)
        )
        given = {"dataset": path, "row_id": "row_id", "rows": "new", "new_by": "row_id", "model": "digits"}
        return chosen(prediction.draw_rows(**given, run_id=f"to {until}"), dataset=path, run_id=f"to {until}")

    assert [up_to(until)["rows"] for until in (9, 12, 120)] == [9, 3, 108]


@pytest.mark.parametrize("value", ["2026-01-01 9:00", "2026-1-01", "2026-01-1", "1.2.2026", "31/12/2026"])
def test_times_whose_texts_are_in_another_order_are_refused(
    champion: str, tmp_path: Path, value: str
) -> None:
    path = digits(tmp_path, lambda frame: frame.assign(at=value))
    given = {"dataset": path, "row_id": "row_id", "rows": "new", "new_by": "at", "model": "digits"}
    with pytest.raises(ValueError, match=f"has '{value}': as texts such times are in another order"):
        prediction.draw_rows(**given, run_id="a")


def test_times_whose_texts_sort_and_ids_of_letters_are_taken(champion: str, tmp_path: Path) -> None:
    for name, value in (
        ("a", "2026-01-01 09:00"),
        ("b", "2026-01-01T09:00:00.5+09:00"),
        ("c", "01JD4Z7K"),
        ("d", "2026-01-01"),
    ):
        path = digits(tmp_path, lambda frame, value=value: frame.assign(at=value))
        given = {"dataset": path, "row_id": "row_id", "rows": "new", "new_by": "at", "model": "digits"}
        assert prediction.draw_rows(**given, run_id="a", progress=name)["until"] == value


def test_two_queries_through_one_connection_need_two_notes(
    champion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    frame = pd.read_csv(PROJECT_ROOT / "data" / "digits.csv")
    with sqlite3.connect(tmp_path / "rows.db") as database:
        for name, rows in (("one", 9), ("other", 4)):
            frame.head(rows).to_sql(name, database, index=False)
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/rows.db"}))
    given = {"connection": "db", "row_id": "row_id", "rows": "new", "new_by": "row_id", "model": "digits"}

    def run(sql: str, run_id: str) -> int:
        drawn = prediction.draw_rows(**given, sql=sql, run_id=run_id)
        source = {"dataset": None, "sql": sql, "connection": "db"}
        return chosen(drawn, **source, run_id=run_id)["rows"]

    assert run("select * from one where row_id < 5", "a") == 5
    assert run("select * from one  where row_id < 900", "b") == 4
    with pytest.raises(
        ValueError, match="is about 'select . from one where row_id < .' through 'db'"
    ) as error:
        run("select * from other", "c")
    # The other remedy: these are the same rows.
    note = str(error.value).partition("write ")[2].partition(" into that file")[0]
    (ModelStore("digits").root.parent.parent / "predictions" / "digits" / "progress.json").write_text(note)
    with pytest.raises(AirflowSkipException, match="nothing new"):
        run("select * from other", "c")


@pytest.mark.parametrize(
    "counts", [{"pixel_0_0": "many"}, {"pixel_0_0": [1]}, ["pixel_0_0"], {"pixel_0_0": 5}, None]
)
def test_counts_that_are_none_stop_no_summary(champion: str, output: Path, counts: Any) -> None:
    predict(**at(1))
    day = datetime.fromisoformat(at(1)["run_after"]).date()
    folder = output / "predictions" / "digits" / "drift"
    strange = {"run_id": "x", "version": champion, "counts": counts}
    (folder / f"date={day}" / "x.json").write_text(json.dumps(strange), encoding="utf-8")
    predict(**at(0))
    assert (folder / f"{day}.csv").exists()
    assert [path.name for path in (folder / f"date={day}").iterdir()] == ["all=runs.json"]


def test_numbers_and_texts_have_no_order_by_which_rows_could_be_new(champion: str, tmp_path: Path) -> None:
    new(tmp_path, 3, "a")
    path = digits(tmp_path, lambda frame: frame.assign(number=[f"n{row}" for row in range(len(frame))]))
    with pytest.raises(ValueError, match="'number', .* has numbers and texts, 'n0' and 2 say: they have no"):
        prediction.draw_rows(
            dataset=path, row_id="row_id", run_id="b", rows="new", new_by="number", model="digits"
        )


def test_other_rows_in_the_place_of_a_runs_own_are_told(
    champion: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = Path(predict()["file"])
    predict()
    assert "had other rows" not in caplog.text
    chosen({"rows": "random", "row_ids": ["1", "2"]}, run_id=RUN["run_id"])
    assert f"{path.name} had other rows, which these replace; if another task wrote them" in caplog.text


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rows": "new"}, "name the column that grows in `new_by`, and the `model`"),
        ({"rows": "nwe"}, "rows is 'nwe'; it must be random, new, all or a number"),
        ({"rows": "new", "new_by": "none", "model": "m"}, "has no column 'none' for `new_by`"),
        ({"dataset": None}, "name one source of rows: either dataset, or sql and connection"),
        ({"sql": "select 1"}, "name one source of rows"),
        ({"dataset": None, "sql": "select 1"}, "sql needs the id of an Airflow connection"),
        ({"row_id": "nope"}, "has no column 'nope' for `row_id`"),
    ],
)
def test_a_choice_that_cannot_be_meant_is_told(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        prediction.draw_rows(**{**DATA, "run_id": "a", **given})
    assert message in str(error.value)


def test_rows_come_from_a_database_as_from_a_file(
    champion: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sqlite3

    frame = pd.read_csv(PROJECT_ROOT / "data" / "digits.csv")
    with sqlite3.connect(tmp_path / "features.db") as database:
        frame.to_sql("features", database, index=False)
    monkeypatch.setenv(
        "AIRFLOW_CONN_FEATURES", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/features.db"})
    )
    source = {"sql": "select * from features", "connection": "features", "row_id": "row_id"}
    drawn = prediction.draw_rows(**source, run_id="a")
    assert drawn == prediction.draw_rows(**DATA, run_id="a")
    told = {**RUN, "model": "digits", "selection": json.dumps(drawn)}
    by_sql = rows_of(prediction.predict_rows(**source, **told))
    by_file = rows_of(prediction.predict_rows(**DATA, **{**told, "run_id": "other"}))
    assert [row["prediction"] for row in by_sql] == [row["prediction"] for row in by_file]
    everything = prediction.predict_rows(
        **source, **{**told, "selection": '{"rows": "all"}', "run_id": "all"}
    )
    assert everything["rows"] == 1797


def test_a_database_gives_the_same_answers_as_a_file(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where it has whole numbers, or gaps, for what was learnt as text."""
    import sqlite3

    kinds = ["1", "2", "A"]
    rows = [f"{i},{kinds[i % 3]},{i % 7},{i % 3}" for i in range(90)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["id,kind,a,y", *rows]) + "\n", encoding="utf-8")
    version = training.train_challenger(
        **{"dataset": str(path), "row_id": "id", "target": "y", "model": "kinds", "metric": "accuracy"},
        **{"estimator": "sklearn.tree.DecisionTreeClassifier", **RUN},
    )["version"]
    ModelStore("kinds").promote(version, expect=None, run_id="r", reason="")
    with sqlite3.connect(tmp_path / "rows.db") as database:
        database.execute("create table numbers (id integer, kind integer, a integer)")
        database.executemany(
            "insert into numbers values (?, ?, ?)", [(1, 2, 3), (2, 1, 3), (3, None, 3), (4, 2, 1)]
        )
        database.execute("create table no_id as select null id, 1 kind, 1 a")
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/rows.db"}))

    def by_sql(sql: str, **change: Any) -> list[str]:
        given = {
            "sql": sql,
            "connection": "db",
            "row_id": "id",
            "model": "kinds",
            "selection": '{"rows": "all"}',
        }
        return [row["prediction"] for row in rows_of(prediction.predict_rows(**{**given, **RUN, **change}))]

    assert by_sql("select * from numbers")[:2] == ["1", "0"]
    assert by_sql("select * from numbers", run_id="x", chunk_rows=1) == by_sql("select * from numbers")
    with pytest.raises(ValueError, match="row id 'id' of the query through 'db' is empty in 1 rows"):
        by_sql("select * from no_id")
    with pytest.raises(ValueError, match="has two columns named 'a'"):
        by_sql("select *, a from numbers")


def test_a_broken_champion_falls_back_and_slack_is_told_once(
    champion: str, httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    slack = Slack(httpserver)
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_WEBHOOK", slack.connection)
    store = ModelStore("digits")
    metadata = store.metadata(champion)
    second = store.save(store.load(champion), {**metadata, "run_id": "b"}, datetime.now(tz=ZoneInfo("UTC")))
    store.promote(second, expect=champion, run_id="b", reason="")
    (store.folder(second) / "model.joblib").write_bytes(b"spoilt")
    for run in range(3):
        assert predict(run_id=f"run {run}")["model_version"] == champion
    assert len(slack.messages) == 1
    assert slack.messages[0].startswith(f":warning: *digits*: {second} cannot be used")
    assert f"`{champion}` predicts instead" in slack.messages[0]


SEOUL = ZoneInfo("Asia/Seoul")


def at(days_ago: int, minute: int = 0) -> dict[str, str]:
    """A run some days ago."""
    moment = datetime.now(SEOUL).replace(hour=12, minute=minute, second=0, microsecond=0) - timedelta(
        days_ago
    )
    return {"run_id": f"scheduled__{moment.isoformat()}", "run_after": moment.isoformat()}


def test_days_that_are_over_become_one_file_each(champion: str, output: Path) -> None:
    for minute in range(0, 20, 5):
        predict(**at(1, minute))
    day = output / "predictions" / "digits" / f"date={datetime.fromisoformat(at(1)['run_after']).date()}"
    before = sorted(row for path in day.glob("*.csv") for row in path.read_text().splitlines()[1:])
    assert len(list(day.iterdir())) == 4
    today = predict(**at(0))
    assert [path.name for path in day.iterdir()] == [f"day={day.name.removeprefix('date=')}.csv"]
    assert sorted(next(day.iterdir()).read_text().splitlines()[1:]) == before
    assert rows_of(today)[0]["run_id"] == at(0)["run_id"]
    # Cleared later: the same rows are there already.
    everything = tree(output)
    again = predict(**at(1, 5))
    assert Path(again["file"]).name.startswith("day=")
    assert tree(output) == everything


def test_a_day_long_ago_is_closed_when_the_pause_is_over(champion: str, output: Path) -> None:
    predict(**at(40))
    predict(**at(0))
    folder = output / "predictions" / "digits" / f"date={datetime.fromisoformat(at(40)['run_after']).date()}"
    assert [path.name for path in folder.iterdir()] == [f"{folder.name.replace('date', 'day')}.csv"]


def test_a_cleared_run_of_a_closed_day_replaces_its_own_rows(champion: str, output: Path) -> None:
    for minute in (0, 5, 10):
        predict(**at(1, minute))
    predict(**at(0))
    store = ModelStore("digits")
    second = store.save(
        store.load(champion), {**store.metadata(champion), "run_id": "b"}, datetime.now(tz=SEOUL)
    )
    store.promote(second, expect=champion, run_id="b", reason="")
    rows = rows_of(predict(**at(1, 5)))
    versions = {row["run_id"]: row["model_version"] for row in rows}
    assert len(rows) == 15
    assert versions == {
        at(1, 0)["run_id"]: champion,
        at(1, 5)["run_id"]: second,
        at(1, 10)["run_id"]: champion,
    }
    assert [row["run_after"] for row in rows] == sorted(row["run_after"] for row in rows)


def test_the_drift_of_a_day_has_its_rows_and_alarms_only_when_they_are_many(
    champion: str, tmp_path: Path, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shifted = digits(tmp_path, lambda frame: frame.assign(pixel_3_3=16))
    chosen({"rows": "all"}, dataset=shifted, **at(2))
    predict(**at(1))
    predict(**at(0))
    folder = output / "predictions" / "digits" / "drift"

    def summary(days_ago: int) -> dict[str, dict[str, str]]:
        name = f"{datetime.fromisoformat(at(days_ago)['run_after']).date()}.csv"
        return {row["feature"]: row for row in csv.DictReader((folder / name).read_text().splitlines())}

    many, few = summary(2), summary(1)
    assert (many["pixel_3_3"]["rows"], many["pixel_3_3"]["alarm"]) == ("1797", "yes")
    assert float(many["pixel_3_3"]["psi"]) > 1
    assert {row["alarm"] for name, row in many.items() if name != "pixel_3_3"} == {"no"}
    assert {row["rows"] for row in few.values()} == {"5"}
    assert {row["alarm"] for row in few.values()} == {"no"}
    assert max(float(row["psi"]) for row in few.values()) > _drift.ALARM_AT  # as five rows always are
    assert "have moved from those that were learnt from: ['pixel_3_3 (PSI" in caplog.text
    assert [path.name for path in sorted(folder.glob("*/*"))] == [
        "all=runs.json",
        "all=runs.json",
        Path(predict(**at(0))["file"]).stem + ".json",
    ]


def test_psi_of_the_training_rows_themselves_is_nothing_and_grows_with_the_shift() -> None:
    draw = np.random.default_rng(0)
    column = pd.Series(draw.normal(size=5000))
    bins = _drift.describe(column)
    values = [_drift.psi(bins["shares"], _drift.count(bins, column + shift)) for shift in (0, 0.1, 0.6, 2)]
    assert values[0] < 1e-6
    assert values == sorted(values)
    assert values[1] < 0.1 < _drift.ALARM_AT < values[2]
    texts = pd.Series(["a", "b", None, "b"] * 100)
    by_text = _drift.describe(texts)
    assert by_text == {"values": ["b", "a"], "shares": [0.5, 0.25, 0.0, 0.25]}
    assert _drift.count(by_text, pd.Series(["c", "b", None])) == [1, 0, 1, 1]
    constant = _drift.describe(pd.Series([3, 3, 3]))
    assert _drift.psi(constant["shares"], _drift.count(constant, pd.Series([3, 3]))) == 0


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=50),
        GaussianNB(),
        DecisionTreeClassifier(),
        RandomForestClassifier(10),
        HistGradientBoostingClassifier(max_iter=3),
        KNeighborsClassifier(4),
        SVC(),
        SGDClassifier(loss="log_loss", max_iter=5),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_predictions_are_those_of_the_model_itself(model: BaseEstimator) -> None:
    features, target = load_digits(return_X_y=True, as_frame=True)
    model.fit(features[:300], target[:300])  # type: ignore[attr-defined]
    predictions, _ = _estimators.predict(model, features)
    assert list(predictions) == list(model.predict(features))  # type: ignore[attr-defined]


@pytest.mark.slow
def test_memory_stays_the_same_however_many_rows_there_are(champion: str, tmp_path: Path) -> None:
    """The peak of a process of its own that predicts 10,000 and 150,000 rows."""
    frame = pd.read_csv(PROJECT_ROOT / "data" / "digits.csv")
    peaks = {}
    for rows in (10_000, 150_000):
        path = tmp_path / f"{rows}.csv"
        pd.concat([frame] * (rows // len(frame) + 1)).head(rows).assign(row_id=range(rows)).to_csv(
            path, index=False
        )
        code = (
            "from pathlib import Path; from callables import prediction\n"
            f"prediction.predict_rows(model='digits', dataset={str(path)!r}, row_id='row_id', run_id='m{rows}',"
            " run_after='2026-01-01T00:00:00+09:00', selection='{\"rows\": \"all\"}')\n"
            "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
        )
        found = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PROJECT_ROOT,
            env={**os.environ},
            capture_output=True,
            text=True,
            check=True,
        )
        peaks[rows] = int(found.stdout.split()[-1])
    assert peaks[150_000] < 1.15 * peaks[10_000]
