"""Rows from a CSV and from a database."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from predicting import ALL, DATA, predict_selected, rows_of, train_champion

from batch_serving.prediction.row_source import RowSource, Wanted
from batch_serving.shared.root import PROJECT_ROOT
from callables import prediction


def test_a_file_in_another_encoding_or_with_an_open_quote_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    for content, message in (
        ("이름,x\n".encode("cp949"), "is not in UTF-8; it seems to be CP949"),
        (b'id,x\n1,"' + b"x" * 200_000, "is not a CSV in UTF-8 with a header line: "),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"dataset .*rows.csv' {message}"):
            prediction.draw_rows(dataset=str(path), run_id="a", rows=1)


def test_an_encoding_is_named_wherever_in_the_file_it_begins(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(b"id,x\n" + b"1,2\n" * 300_000 + "2,서울\n".encode("cp949") * 9)
    with pytest.raises(
        ValueError, match="it seems to be CP949 .*, from line 300002 on; save it as CSV UTF-8"
    ):
        list(RowSource(str(path), None, None, None).chunks(Wanted(texts=("x",))))


def test_a_column_may_be_called_row_number(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("row_number,x\n7,1\n8,2\n", encoding="utf-8")
    assert sorted(prediction.draw_rows(dataset=str(path), run_id="a", rows=2)["row_ids"]) == ["0", "1"]


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
    by_sql = rows_of(predict_selected(drawn, dataset=None, **source))
    by_file = rows_of(predict_selected(drawn, run_id="other"))
    assert [row["prediction"] for row in by_sql] == [row["prediction"] for row in by_file]
    everything = predict_selected(ALL, dataset=None, **source, run_id="all")
    assert everything["rows"] == 1797


def test_a_database_gives_the_same_predictions_as_a_file(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if it has whole numbers, or gaps, where training had texts."""
    import sqlite3

    kinds = ["1", "2", "A"]
    rows = [f"{i},{kinds[i % 3]},{i % 7},{i % 3}" for i in range(90)]
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(["id,kind,a,y", *rows]) + "\n", encoding="utf-8")
    train_champion(
        dataset=str(path),
        row_id="id",
        target="y",
        model="kinds",
        estimator="sklearn.tree.DecisionTreeClassifier",
    )
    with sqlite3.connect(tmp_path / "rows.db") as database:
        database.execute("create table numbers (id integer, kind integer, a integer)")
        database.executemany(
            "insert into numbers values (?, ?, ?)", [(1, 2, 3), (2, 1, 3), (3, None, 3), (4, 2, 1)]
        )
        database.execute("create table no_id as select null id, 1 kind, 1 a")
    monkeypatch.setenv("AIRFLOW_CONN_DB", json.dumps({"conn_type": "sqlite", "host": f"{tmp_path}/rows.db"}))

    def by_sql(sql: str, **change: Any) -> list[str]:
        source = {"dataset": None, "sql": sql, "connection": "db", "row_id": "id"}
        result = predict_selected(ALL, **{**source, "model": "kinds", **change})
        return [row["prediction"] for row in rows_of(result)]

    assert by_sql("select * from numbers")[:2] == ["1", "0"]
    assert by_sql("select * from numbers", run_id="x", chunk_rows=1) == by_sql("select * from numbers")
    with pytest.raises(ValueError, match="row id 'id' of the query through 'db' is empty in 1 row"):
        by_sql("select * from no_id")
    with pytest.raises(ValueError, match="has two columns named 'a'"):
        by_sql("select *, a from numbers")
