"""Rows of real databases: every type as it is stored, SQL as it is written, and no row read in vain."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from databases import database
from predicting import ALL, predict_selected, rows_of, train_champion
from tables import sqlite_connection

from batch_serving.prediction.sql_rows import query
from batch_serving.shared.airflow import database_engine
from callables import prediction

pytestmark = [pytest.mark.slow, pytest.mark.needs("postgres"), pytest.mark.needs("mariadb")]

BOTH = pytest.mark.parametrize("kind", ["pg", "maria"])
ALL_THREE = pytest.mark.parametrize("kind", ["pg", "maria", "lite"])


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The values of connections to the three databases."""
    folder = tmp_path_factory.mktemp("servers")
    with database("postgres", folder / "postgres") as one, database("mysql", folder / "mysql") as other:
        yield {"pg": one.connection, "maria": other.connection, "lite": sqlite_connection(folder)}


@pytest.fixture(autouse=True)
def connections(servers: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The three connections."""
    for name, value in servers.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)


def execute(kind: str, *statements: str) -> None:
    """Run statements in a database."""
    engine = database_engine(kind)
    with engine.begin() as connection:
        for statement in statements:
            connection.execution_options(no_parameters=True).exec_driver_sql(statement)
    engine.dispose()


def fetched(kind: str, sql: str, rows: int = 100) -> list[dict[str, Any]]:
    """The rows of a query."""
    with query(kind, sql, rows) as (names, parts):
        return [dict(zip(names, row, strict=True)) for part in parts for row in part]


@pytest.fixture
def small_model(output: Path, tmp_path: Path) -> None:
    """A champion of the model digits that learnt y from true, false and gaps, and from the texts a and b."""
    path = tmp_path / "train.csv"
    rows = [
        f"{number},{'' if number % 10 == 7 else ('true', 'false')[number % 2]},{'ab'[number % 3 == 0]},"
        f"{number % 2}"
        for number in range(120)
    ]
    path.write_text("\n".join(["id,flag,kind,y", *rows]) + "\n", encoding="utf-8")
    train_champion(
        dataset=str(path), row_id="id", target="y", estimator="sklearn.tree.DecisionTreeClassifier"
    )


def predicted(kind: str, sql: str, run_id: str = "a", **change: Any) -> list[tuple[str, str]]:
    """The ids and predictions of all rows of a query."""
    source = {"dataset": None, "sql": sql, "connection": kind, "row_id": "id"}
    result = predict_selected(ALL, **source, run_id=run_id, **change)
    return [(row["row_id"], row["prediction"]) for row in rows_of(result)]


@BOTH
def test_large_numbers_stay_exact_as_ids_and_as_a_cursor(small_model: None, kind: str) -> None:
    big = 305184080440417543
    execute(
        kind,
        "DROP TABLE IF EXISTS big",
        "CREATE TABLE big (id DECIMAL(20), mark DECIMAL(20), flag BOOLEAN, kind VARCHAR(5))",
        f"INSERT INTO big VALUES ({big}, {2**53}, true, 'a'), (7, 1, false, 'a')",
    )
    assert predicted(kind, "SELECT * FROM big ORDER BY mark") == [("7", "1"), (str(big), "0")]
    source = {"sql": "SELECT * FROM big", "connection": kind, "row_id": "id"}
    drawn = prediction.draw_rows(**source, run_id="d", rows=2)
    assert sorted(drawn["row_ids"]) == [str(big), "7"]
    given = {**source, "rows": "incremental", "cursor_column": "mark", "model": "digits"}

    def new(run_id: str) -> list[str]:
        found = prediction.draw_rows(**given, run_id=run_id)
        return [
            row["row_id"] for row in rows_of(predict_selected(found, dataset=None, **source, run_id=run_id))
        ]

    assert sorted(new("x")) == [str(big), "7"]
    execute(kind, f"INSERT INTO big VALUES ({big + 1}, {2**53 + 1}, true, 'a')")
    assert new("y") == [str(big + 1)]
    execute(kind, f"INSERT INTO big VALUES ({big + 2}, {10**19}, true, 'a')")
    assert new("z") == [str(big + 2)]


@BOTH
def test_the_text_of_a_time_does_not_depend_on_other_rows(small_model: None, kind: str) -> None:
    execute(
        kind,
        "DROP TABLE IF EXISTS times",
        f"CREATE TABLE times (id {'TIMESTAMP' if kind == 'pg' else 'DATETIME'}, flag BOOLEAN, kind CHAR(3))",
        "INSERT INTO times VALUES ('2000-01-02', true, 'a'), ('2000-01-03 04:05:06', null, 'b')",
    )
    for chunk_rows in (1, 2):
        found = predicted(kind, "SELECT * FROM times ORDER BY id", f"run {chunk_rows}", chunk_rows=chunk_rows)
        assert [row for row, _ in found] == ["2000-01-02 00:00:00", "2000-01-03 04:05:06"]
    source = {"sql": "SELECT * FROM times", "connection": kind, "row_id": "id"}
    drawn = prediction.draw_rows(**source, run_id="d", rows=1)
    assert predict_selected(drawn, dataset=None, **source, run_id="d")["rows"] == 1
    gone = {"rows": "random", "row_ids": ["2000-01-02"]}
    with pytest.raises(ValueError, match="has 0 of the 1 drawn rows, 2000-01-02; clear draw_rows"):
        predict_selected(gone, dataset=None, **source, run_id="e")


@ALL_THREE
def test_true_and_false_are_read_as_in_training(small_model: None, kind: str) -> None:
    execute(
        kind,
        "DROP TABLE IF EXISTS flags",
        "CREATE TABLE flags (id INT, flag BOOLEAN, kind VARCHAR(3))",
        "INSERT INTO flags VALUES (1, true, 'a'), (2, false, 'a'), (3, null, 'b')",
    )
    for chunk_rows in (1, 10):
        found = predicted(kind, "SELECT * FROM flags ORDER BY id", f"run {chunk_rows}", chunk_rows=chunk_rows)
        assert found[:2] == [("1", "0"), ("2", "1")]


def test_bits_and_padded_texts_are_read_as_in_training(small_model: None) -> None:
    execute(
        "maria",
        "DROP TABLE IF EXISTS bits",
        "CREATE TABLE bits (id INT, flag BIT(1), kind CHAR(5))",
        "INSERT INTO bits VALUES (1, b'1', 'a'), (2, b'0', 'a'), (3, null, 'b')",
    )
    execute(
        "pg",
        "DROP TABLE IF EXISTS bits",
        "CREATE TABLE bits (id INT, flag VARCHAR(5), kind CHAR(5))",
        "INSERT INTO bits VALUES (1, 't', 'a'), (2, 'FALSE', 'a'), (3, null, 'b')",
    )
    for kind in ("maria", "pg"):
        found = predicted(kind, "SELECT * FROM bits ORDER BY id", kind)
        assert found[:2] == [("1", "0"), ("2", "1")]


@ALL_THREE
def test_a_column_of_which_nothing_is_known_fails(small_model: None, kind: str, output: Path) -> None:
    sql = "SELECT 1 AS id, 1 AS flag, 'A' AS kind UNION SELECT 2, 0, 'B'"
    with pytest.raises(
        ValueError, match="column 'kind' of .* has no text that .* knows: '[AB]' for example, but .* 'a', 'b'"
    ):
        predicted(kind, sql)
    assert not (output / "predictions").exists() or not list((output / "predictions").rglob("*.csv"))
    assert len(predicted(kind, "SELECT 1 AS id, 1 AS flag, 'new' AS kind")) == 1, "one row may be new"


@pytest.mark.parametrize(
    ("kind", "sql", "value"),
    [
        ("pg", """SELECT 1 AS id WHERE '{"active":true}'::jsonb @> '{"active":true}'""", 1),
        ("pg", "SELECT ':new'::text AS id -- :a %s", ":new"),
        ("pg", "SELECT '100%'::varchar || '%(x)s' AS id;", "100%%(x)s"),
        ("maria", "SELECT ':new' AS id", ":new"),
        ("maria", "SELECT id FROM (SELECT 'a' AS id) q WHERE id LIKE '%a%' # 100% :x", "a"),
        ("maria", "SELECT @x := 5 AS id", 5),
        ("lite", "SELECT ':new' || '?' || '%s' AS id", ":new?%s"),
        ("lite", "WITH q AS (SELECT 7 % 4 AS id) SELECT * FROM q", 3),
    ],
)
def test_sql_runs_as_it_is_written(kind: str, sql: str, value: object) -> None:
    assert fetched(kind, sql) == [{"id": value}]


@BOTH
def test_an_error_in_the_first_row_does_not_wait_for_the_rest(small_model: None, kind: str) -> None:
    numbers = (
        "SELECT seq AS id FROM seq_1_to_3000000"
        if kind == "maria"
        else "SELECT generate_series(1, 3000000) AS id"
    )
    sql = f"SELECT id, 'no' AS flag, 'a' AS kind FROM ({numbers}) q"
    begin = time.monotonic()
    with pytest.raises(ValueError, match="'flag' .* must be a number, true or false, but row 1 has 'no'"):
        predicted(kind, sql, chunk_rows=1000)
    everything = time.monotonic()
    assert len(fetched(kind, f"SELECT count(*) AS number FROM ({numbers}) q")) == 1
    assert everything - begin < 3, "reading all rows takes three times as long"


def test_times_that_python_cannot_have_disturb_only_who_needs_them(small_model: None) -> None:
    execute(
        "pg",
        "DROP TABLE IF EXISTS odd",
        "CREATE TABLE odd (id INT, flag BOOLEAN, kind TEXT, at TIMESTAMP, on_day DATE, zoned TIMESTAMPTZ)",
        "INSERT INTO odd VALUES (1, true, 'a', 'infinity', '0044-01-01 BC', '-infinity'),"
        " (2, false, 'a', '12000-01-01', 'infinity', '2026-01-01 09:00+09')",
    )
    assert predicted("pg", "SELECT * FROM odd ORDER BY id") == [("1", "0"), ("2", "1")]
    rows = fetched("pg", "SELECT * FROM odd ORDER BY id")
    assert [rows[0]["at"], rows[0]["on_day"], rows[1]["at"]] == [
        "infinity",
        "0044-01-01 BC",
        "12000-01-01 00:00:00",
    ]
    with pytest.raises(ValueError, match="column 'flag' .* must be a number, but row 1 has 'infinity'"):
        predicted("pg", "SELECT id, at AS flag, kind FROM odd WHERE id = 1", "b")
    given = {"sql": "SELECT * FROM odd", "connection": "pg", "row_id": "id", "model": "digits"}
    with pytest.raises(AirflowSkipException):
        prediction.draw_rows(
            **{**given, "sql": "SELECT * FROM odd WHERE id = 1"},
            run_id="c",
            rows="incremental",
            cursor_column="at",
        )


@BOTH
def test_a_cursor_of_times_finds_late_rows_in_a_database(small_model: None, kind: str) -> None:
    at = "TIMESTAMPTZ" if kind == "pg" else "DATETIME(6)"
    execute(
        kind,
        "DROP TABLE IF EXISTS late",
        f"CREATE TABLE late (id INT, flag BOOLEAN, kind TEXT, at {at})",
        "INSERT INTO late VALUES (1, true, 'a', '2026-01-01 02:30:00'), (2, true, 'a', NULL)",
    )
    source = {"sql": "SELECT * FROM late", "connection": kind, "row_id": "id"}
    given = {**source, "rows": "incremental", "cursor_column": "at", "model": "digits"}

    def new(run_id: str) -> list[str]:
        drawn = prediction.draw_rows(**given, run_id=run_id)
        return [
            row["row_id"] for row in rows_of(predict_selected(drawn, dataset=None, **source, run_id=run_id))
        ]

    assert new("a") == ["1"]
    execute(
        kind,
        "INSERT INTO late VALUES (3, true, 'a', '2026-01-01 02:30:00'), (4, true, 'a', '2026-01-01 02:29:59.5'),"
        " (5, true, 'a', '2099-01-01')",
        "UPDATE late SET at = '2026-01-01 02:31:00' WHERE id = 2",
    )
    assert sorted(new("b")) == ["2", "3", "4"]
    with pytest.raises(AirflowSkipException):
        new("c")
    assert sorted(new("b")) == ["2", "3", "4"]


def test_types_of_postgresql_have_one_text_each() -> None:
    from batch_serving.ml.values import text_of

    row = fetched(
        "pg",
        "SELECT 7.00::numeric(10,2) AS n, 1e20::numeric AS big, 0.1::real AS r, 7::double precision AS d, "
        "true AS b, '\\x00ff'::bytea AS raw, '{\"b\": 1, \"a\": [1, 2]}'::jsonb AS j, interval '26 hours' AS i, "
        "time '09:00' AS t, date '2026-01-02' AS day, timestamptz '2026-01-01 09:00+09' AS z, "
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid AS u, array[1, 2] AS l, '10.0.0.1'::inet AS ip",
    )[0]
    assert {name: text_of(value) for name, value in row.items()} == {
        "n": "7.00",
        "big": "100000000000000000000",
        "r": "0.1",
        "d": "7",
        "b": "true",
        "raw": "00ff",
        "j": '{"a": [1, 2], "b": 1}',
        "i": "26:00:00",
        "t": "09:00:00",
        "day": "2026-01-02",
        "z": "2026-01-01 00:00:00+00:00",
        "u": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "l": "[1, 2]",
        "ip": "10.0.0.1",
    }
    assert isinstance(row["z"], datetime)
