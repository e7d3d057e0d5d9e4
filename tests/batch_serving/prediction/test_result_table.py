"""Predictions in real databases: each id once, from the newest run, in whatever order runs write."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa
from stores import together

from batch_serving.prediction.result_table import result_table, upsert_predictions
from batch_serving.shared.airflow import database_engine
from batch_serving.shared.errors import InvalidValueError

NAME = "results"


@pytest.fixture
def engine(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """A database without the table."""
    monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", server)
    found = database_engine("feature_store")
    with found.begin() as connection:
        connection.execute(sa.text(f"DROP TABLE IF EXISTS {NAME}"))
    yield found
    found.dispose()


def rows(hour: int, ids: list[str], prediction: str = "yes", share: str = "0.25") -> list[list[str]]:
    """Return the rows of a run's file."""
    run_after = f"2026-01-01T{hour:02d}:00:00.250000+09:00"
    head = [f"dag.manual__{hour}", run_after, f"v{hour}"]
    return [[*head, each, prediction, share, "2026-01-02T00:00:01+00:00"] for each in ids]


def content(engine: sa.Engine, *columns: str) -> list[tuple[Any, ...]]:
    table = result_table(NAME)
    wanted = [table.c[name] for name in columns or ("row_id", "prediction", "model_version")]
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(sa.select(*wanted).order_by(table.c.row_id))]


def test_a_row_has_the_values_of_the_file_and_its_times_are_utc(engine: sa.Engine) -> None:
    assert upsert_predictions([*rows(9, ["1"]), *rows(9, ["2"], share="")], NAME, engine) == 2
    found = content(engine, "row_id", "prediction", "probability", "model_version", "run_id", "run_after")
    run = ("v9", "dag.manual__9", datetime.fromisoformat("2026-01-01 00:00:00.25"))
    assert found == [("1", "yes", 0.25, *run), ("2", "yes", None, *run)]


def test_the_newest_run_wins_in_whatever_order_runs_write(engine: sa.Engine) -> None:
    runs = [rows(9, ["1", "2"], "old"), rows(10, ["2", "3"], "new"), rows(11, ["3"], "newest")]
    for order in itertools.permutations(runs):
        for run in order:
            upsert_predictions(run, NAME, engine)
        assert content(engine) == [("1", "old", "v9"), ("2", "new", "v10"), ("3", "newest", "v11")]
        with engine.begin() as connection:
            connection.execute(sa.delete(result_table(NAME)))


def test_a_run_that_writes_again_replaces_its_own_rows(engine: sa.Engine) -> None:
    for prediction in ("yes", "yes", "no"):
        upsert_predictions(rows(9, ["1"], prediction), NAME, engine)
        assert content(engine) == [("1", prediction, "v9")]


def test_ids_that_differ_in_case_or_accents_or_spaces_are_different(engine: sa.Engine) -> None:
    ids = ["a", "A", "á", "1", "01"]
    upsert_predictions(rows(9, ids), NAME, engine)
    assert sorted(row[0] for row in content(engine)) == sorted(ids)


def test_runs_at_the_same_time_leave_each_id_once(engine: sa.Engine) -> None:
    ids = [str(number) for number in range(3000)]
    if engine.dialect.name == "sqlite":  # it knows one writer at a time
        upsert_predictions([], NAME, engine)
    together([lambda hour=hour: upsert_predictions(rows(hour, ids), NAME, engine) for hour in (9, 10, 11)])
    assert content(engine) == sorted((each, "yes", "v11") for each in ids)


def test_an_error_in_the_middle_leaves_the_table_as_it_was(engine: sa.Engine) -> None:
    upsert_predictions(rows(9, ["1"]), NAME, engine)

    def broken() -> Iterator[list[str]]:
        yield from rows(10, [str(number) for number in range(2500)], "new")
        raise ValueError("the file is corrupt")

    with pytest.raises(ValueError, match="corrupt"):
        upsert_predictions(broken(), NAME, engine)
    assert content(engine) == [("1", "yes", "v9")]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("row_id INT PRIMARY KEY, prediction INT", "has no column run_id, run_after, model_version"),
        (
            "run_id VARCHAR(250), run_after TIMESTAMP, model_version VARCHAR(250), row_id VARCHAR(250), "
            "prediction VARCHAR(250), probability FLOAT, scored_at TIMESTAMP NULL",
            "primary key of the table 'results' is not row_id",
        ),
    ],
)
def test_a_table_that_cannot_have_each_id_once_is_refused(engine: sa.Engine, columns: str, said: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text(f"CREATE TABLE {NAME} ({columns})"))
    with pytest.raises(InvalidValueError, match=said):
        upsert_predictions(rows(9, ["1"]), NAME, engine)


@pytest.mark.parametrize("name", ["", "a b", "a.b", "1a", "a" * 64, 'a"; DROP TABLE x'])
def test_a_name_that_is_not_a_tables_is_refused(name: str) -> None:
    with pytest.raises(InvalidValueError, match="use at most 63 letters"):
        result_table(name)


def test_a_kill_is_followed_by_a_whole_write(engine: sa.Engine) -> None:
    """A connection that is lost before the end leaves nothing of its transaction."""
    upsert_predictions([], NAME, engine)
    connection = engine.connect()
    connection.execute(sa.insert(result_table(NAME)), [_values("1"), _values("2")])
    connection.invalidate()  # closes it as a kill does, without an end of the transaction
    connection.close()
    upsert_predictions(rows(9, ["1", "2"]), NAME, engine)
    assert content(engine) == [("1", "yes", "v9"), ("2", "yes", "v9")]


def _values(row_id: str) -> dict[str, Any]:
    moment = datetime.fromisoformat("2026-01-09")
    texts = dict.fromkeys(("run_id", "model_version", "prediction"), "killed")
    return {**texts, "row_id": row_id, "run_after": moment, "scored_at": moment, "probability": None}
