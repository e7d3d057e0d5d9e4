"""The same value means the same in a CSV and in each database, whatever the size of a chunk."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from databases import database
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from predicting import ALL, predict_selected, rows_of, train_champion
from tables import COLUMNS, IDS, fill, sqlite_connection, write_csv
from thorough import tries

from callables import prediction

pytestmark = [pytest.mark.slow, pytest.mark.needs("postgres"), pytest.mark.needs("mariadb")]

EXAMPLES = tries(8, 20)
FEATURES = [column.name for column in COLUMNS[1:]]
TEXTS = (
    "a",
    "b",
    "NA",
    "",
    "NULL",
    " padded ",
    'with "quotes", commas',
    "two\nlines",
    "한글",
    "007",
    "1e5",
    "true",
)
TIMES = st.datetimes(datetime.fromisoformat("1970-01-02"), datetime.fromisoformat("2037-01-01"))


def seen_at(hour: int) -> datetime:
    """A time of training."""
    return datetime.fromisoformat(f"2026-01-01 {hour:02d}:30:00")


def day(number: int) -> date:
    """A day of training."""
    return date(2026, 1, 1 + number)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "small": st.integers(-(2**15), 2**15 - 1),
    "big": st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([2**53 + 1, 0, -(2**63), 2**63 - 1])),
    "amount": st.decimals(-999_999_999, 999_999_999, places=3),
    "measure": st.floats(-1e30, 1e30, allow_nan=False),
    "flag": st.booleans(),
    "kind": st.sampled_from(TEXTS),
    "code": st.sampled_from(["x", "yy", "zzzzzz", "0", "é"]),
    "seen_at": st.integers(0, 23).map(seen_at) | TIMES,
    "day": st.integers(0, 8).map(day) | st.dates(date(1900, 1, 1), date(2200, 1, 1)),
    "clock": st.integers(0, 23).map(lambda hour: time(hour, 15)) | st.just(time(23, 59, 59)),
}
ID_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "BIGINT": st.integers(-(2**63), 2**63 - 1),
    "NUMERIC": st.integers(-(10**29), 10**29).map(Decimal),
    "TEXT": st.text(
        st.characters(codec="utf-8", exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1
    )
    .map(lambda text: text[:50])
    .filter(lambda text: text == text.strip() and "\r" not in text),
    "TIME": TIMES,
    "UUID": st.uuids().map(str),
}


@pytest.fixture(scope="module")
def connections(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The values of connections to the three databases."""
    folder = tmp_path_factory.mktemp("servers")
    with database("postgres", folder / "postgres") as one, database("mysql", folder / "mysql") as other:
        yield {"pg": one.connection, "maria": other.connection, "lite": sqlite_connection(folder)}


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, list[list[Any]]]:
    """A type for the id, and rows with gaps in any column."""
    kind = draw(st.sampled_from(sorted(IDS)))
    ids = draw(st.lists(ID_VALUES[kind], min_size=1, max_size=12, unique=True))
    rows = []
    for place, row_id in enumerate(ids):
        values = [draw(st.none() | VALUES[name]) for name in FEATURES]
        rows.append([row_id, place, *values])
    return kind, rows


def training_rows() -> list[list[Any]]:
    """Rows in which each column has something to say, with all texts but two and with gaps."""
    rows = []
    for number in range(160):
        is_yes = number % 2
        rows.append(
            [
                f"t{number}",
                number,
                number if number % 7 else None,
                2**62 // (number + 1),
                Decimal(number * 37 % 101) / 8,
                (number * 31 % 97) * 1e20 if number % 11 else -1e-5,
                bool(is_yes) if number % 5 else None,
                TEXTS[number % 10],
                ["x", "yy", "zzzzzz"][number % 3],
                seen_at(number % 24),
                day(number % 9),
                time(number % 24, 15),
                is_yes if number % 13 else 1 - is_yes,
            ]
        )
    return rows


@pytest.fixture
def model(output: Path, tmp_path: Path, connections: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A champion trained on a CSV; and the connections."""
    path = tmp_path / "training.csv"
    write_csv(path, ["id", *(column.name for column in COLUMNS), "y"], training_rows())
    train_champion(
        dataset=str(path),
        row_id="id",
        target="y",
        estimator="sklearn.tree.DecisionTreeClassifier",
        parameters={"random_state": 1, "min_samples_leaf": 4},
    )
    for name, value in connections.items():
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", value)


def outcome(
    source: dict[str, Any], selection: dict[str, Any], run: str, chunk_rows: int
) -> list[tuple[str, ...]]:
    """What is predicted for each row, in order; or that nothing is, as no text of a column is known."""
    try:
        result = predict_selected(selection, **{"dataset": None, **source}, run_id=run, chunk_rows=chunk_rows)
    except ValueError as error:
        column, _, rest = str(error).partition(" of ")
        return [(column, rest.partition("has no text that")[2])]
    return [(row["row_id"], row["prediction"], row["probability"]) for row in rows_of(result)]


def test_the_same_rows_give_the_same_ids_order_and_predictions(
    model: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    count = {"tables": 0, "rows": 0, "predicted": 0, "comparisons": 0}

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(tables())
    def check(table: tuple[str, list[list[Any]]]) -> None:
        kind, rows = table
        columns = (IDS[kind], *COLUMNS)
        path = tmp_path / "rows.csv"
        write_csv(path, [column.name for column in columns], rows)
        for name in ("pg", "maria", "lite"):
            fill(name, "rows_to_predict", columns, rows)
        sql = "SELECT * FROM rows_to_predict ORDER BY place"
        sources: list[dict[str, Any]] = [{"sql": sql, "connection": name} for name in ("pg", "maria", "lite")]
        sources = [{**source, "row_id": "id"} for source in [{"dataset": str(path)}, *sources]]
        drawn = [prediction.draw_rows(**source, run_id="draw", rows=min(3, len(rows))) for source in sources]
        assert drawn == drawn[:1] * 4
        everything = outcome(sources[0], ALL, uuid.uuid4().hex, 10_000)
        some = outcome(sources[0], drawn[0], uuid.uuid4().hex, 2)
        if len(everything[0]) == len(some[0]) == 3:
            by_id = {row[0]: row for row in everything}
            assert some == [by_id[row] for row in drawn[0]["row_ids"]]
        for source in sources:
            for chunk_rows in (1, 3, 10_000):
                assert outcome(source, ALL, uuid.uuid4().hex, chunk_rows) == everything
                count["comparisons"] += 1
            assert outcome(source, drawn[0], uuid.uuid4().hex, 2) == some
        count["tables"] += 1
        count["predicted"] += len(everything[0]) == 3
        count["rows"] += len(rows)

    check()
    with capsys.disabled():
        print(f"\n  {', '.join(f'{name} {number}' for name, number in count.items())}: all equal")
