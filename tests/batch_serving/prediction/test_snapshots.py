"""Snapshots: a query as a CSV that training reads, and that never changes."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from stores import together

from batch_serving.prediction import snapshots
from batch_serving.prediction.row_source import RowSource
from batch_serving.shared.errors import InvalidValueError
from callables import training

ROWS = RowSource(None, "SELECT id, name, size FROM things ORDER BY id", "store", "id")


@pytest.fixture
def things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sqlite3.Connection:
    """A table with values that a CSV could get wrong."""
    monkeypatch.setenv("BATCH_OUTPUT", str(tmp_path / "output"))
    found = {"conn_type": "sqlite", "host": str(tmp_path / "store.db")}
    monkeypatch.setenv("AIRFLOW_CONN_STORE", json.dumps(found))
    connection = sqlite3.connect(tmp_path / "store.db", isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE things (id INTEGER, name TEXT, size REAL)")
    texts = ["plain", 'a "quote", a comma', "two\nlines", "한국어", None]
    connection.executemany(
        "INSERT INTO things VALUES (?, ?, ?)", [(i, t, i / 4) for i, t in enumerate(texts)]
    )
    return connection


def test_it_has_all_columns_as_training_reads_them(things: sqlite3.Connection) -> None:
    path = snapshots.snapshot_path("things", "run 1")
    data = snapshots.take(ROWS, path)
    assert path.read_bytes() == data
    expected = (
        'id,name,size\n0,plain,0\n1,"a ""quote"", a comma",0.25\n2,"two\nlines",0.5\n3,한국어,0.75\n4,,1\n'
    )
    assert data.decode() == expected


def test_a_second_try_returns_the_same_rows_whatever_the_table_has_by_then(
    things: sqlite3.Connection,
) -> None:
    given = {"sql": ROWS.sql, "connection": "store", "row_id": "id", "name": "things"}
    first = training.take_snapshot(**given, run_id="run 1")
    things.execute("DELETE FROM things WHERE id > 1")
    assert training.take_snapshot(**given, run_id="run 1") == first
    other = training.take_snapshot(**given, run_id="run 2")
    assert other["dataset"] != first["dataset"]
    assert other["bytes"] < first["bytes"]


def test_tries_at_the_same_time_have_one_file(things: sqlite3.Connection) -> None:
    path, found = snapshots.snapshot_path("things", "run"), list[bytes]()

    def take() -> None:
        things.execute("INSERT INTO things VALUES ((SELECT MAX(id) + 1 FROM things), 'more', 1)")
        found.append(snapshots.take(ROWS, path))

    together([take] * 4)
    assert {*found} == {path.read_bytes()}


@pytest.mark.parametrize(
    ("sql", "row_id", "said"),
    [
        ("SELECT * FROM things WHERE id > 9", "id", "gives no rows to train on"),
        ("SELECT name FROM things", "id", "has no column 'id' for `row_id`; it has name"),
    ],
)
def test_a_query_that_gives_nothing_to_learn_from_is_refused(
    things: sqlite3.Connection, sql: str, row_id: str, said: str
) -> None:
    path = snapshots.snapshot_path("things", "run")
    with pytest.raises(InvalidValueError, match=said):
        snapshots.take(RowSource(None, sql, "store", row_id), path)
    assert not path.exists()


@pytest.mark.parametrize("name", ["", "a/b", "..", "a b"])
def test_a_name_that_is_not_a_folders_is_refused(name: str) -> None:
    with pytest.raises(InvalidValueError, match="use letters, digits"):
        snapshots.snapshot_path(name, "run")
