"""What may be unintended in rows to train on."""

from __future__ import annotations

import hashlib
import random
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from ordinary_tables import Table, tables
from training_data import SETTINGS, houses, write_csv, write_table

from batch_serving.registry.store import ModelStore
from callables import training


def test_what_may_be_unintended_is_a_warning(
    output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    draw = random.Random(1)
    numbers = [draw.randint(0, 59) for _ in range(60)]

    def write(change: Callable[[int], str] = lambda i: "", head: str = "id,a,b,c,d,e,y") -> str:
        rows = [f"{i},{n},{n},5,{'' if i == 3 else n % 4},,{i * i % 7 % 2}" for i, n in enumerate(numbers)]
        rows = [f"{row}{change(i)}" for i, row in enumerate(rows)]
        return write_csv(tmp_path / "rows.csv", "\n".join([head, *rows]) + "\n")

    given = {"dataset": write(), "target": "y", "row_id": "id", "model": "m"}
    settings = {"estimator": "sklearn.naive_bayes.GaussianNB", "metric": "accuracy", "run_id": "r"}
    found = training.check_dataset(**given)
    assert found["warnings"] == [
        "empty in all rows: 'e'",
        "the same value in all rows: 'c'",
        "columns with the same values: 'b' repeats 'a'",
    ]
    assert "the same value in all rows: 'c'" in caplog.text
    version = training.train_challenger(**given, **settings, run_after="2026-01-01T00:00:00+00:00")["version"]
    ModelStore("m").promote(version, expect=None, run_id="r", reason="")
    low, high = min(numbers), max(numbers)
    write(lambda i: f",{i * i % 50}", "id,a,b,c,d,e,y,new")
    text = (tmp_path / "rows.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines()]
    for number, row in enumerate(rows[1:]):
        row[1] = {7: "900", 9: "9.5", 11: ""}.get(number, row[1])
        row[2] = f"t{number}"
    write_csv(tmp_path / "rows.csv", "\n".join(",".join(row[:3] + row[4:]) for row in rows) + "\n")
    now = training.check_dataset(**given)["warnings"]
    assert f"column 'a' is outside {low} to {high}, the champion's training range, in 1 row: line 9" in now
    assert "column 'a' has fractions in 1 row: line 11; the champion was trained on whole numbers" in now
    assert "column 'a' is empty in 1 row: line 13; the champion was trained on rows without gaps" in now
    assert not any("column 'd' is empty" in text for text in now)  # the champion knows gaps there
    assert "column 'b' is str; the champion was trained on int64" in now
    assert "columns that the champion was trained on are missing: 'c'" in now
    assert "columns that the champion was not trained on: 'new'" in now


def test_codes_that_are_read_as_numbers_are_reported(tmp_path: Path) -> None:
    rows = [f"{i},{i * i % 11},00{i % 2 + 1}" for i in range(20)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["id,a,code", *rows]) + "\n")
    found = training.check_dataset(dataset=location, target="code", row_id="id")["warnings"]
    assert found == [
        "target 'code' has '001', which is read and predicted as the number 1; if it is a code, write it with a "
        "letter"
    ]


def test_the_champion_of_another_model_is_reported_in_one_line(output: Path, tmp_path: Path) -> None:
    version = training.train_challenger(**SETTINGS)["version"]
    ModelStore("digits").promote(version, expect=None, run_id="r", reason="")
    found = training.check_dataset(dataset=houses(tmp_path), target="price", model="digits")["warnings"]
    (line,) = [text for text in found if "champion was trained on" in text]
    assert line.endswith("'pixel_0_4' and 59 more (all of them: is `model` right?)")


TABLES = tables()


def warnings_of(tmp_path: Path, table: Table) -> list[str]:
    location = write_table(tmp_path / "rows.csv", table.columns, len(table.columns["row_id"]))
    kind = "linear_model.Ridge" if table.is_regression else "linear_model.LogisticRegression"
    given = {"dataset": location, "target": "target", "row_id": "row_id", "estimator": f"sklearn.{kind}"}
    found: list[str] = training.check_dataset(**given, folds=3)["warnings"]
    return found


def test_ordinary_tables_give_no_warning(tmp_path: Path) -> None:
    found = {table.name: warnings_of(tmp_path, table) for table in TABLES}
    false = {name: warnings for name, warnings in found.items() if warnings}
    print(f"{sum(map(len, false.values()))} false warnings on {len(TABLES)} tables")
    assert (len(TABLES) >= 50, false) == (True, {})


def scrambled(row: int) -> int:
    return row * 7919 % 999_983


PLANTED: dict[str, tuple[Callable[[int], str], str]] = {
    "customer": (lambda i: f"C{scrambled(i):06d}", "is different in every row (line 2 has 'C000000') and looks like an id"),
    "person": (lambda i: f"Kim {scrambled(i - i % 30 // 29)}", "looks like an id"),
    "row": (lambda i: str(i * 10 + 1000), "grows by 10 from row to row (line 2 has 1000) and looks like a row number"),
    "Unnamed: 0": (str, "grows by 1 from row to row"),
    "customerId": (lambda i: str(10_000 + scrambled(i)), "is different in every row (line 2 has 10000) and looks like an id"),
    "주문번호": (lambda i: str(10_000 + scrambled(i)), "looks like an id"),
    "token": (lambda i: str(uuid.UUID(int=i * 7919**6 % 2**128)), "has UUIDs, which look like ids"),
    "mail": (lambda i: f"user{i}@example.com", "has e-mail addresses"),
    "digest": (lambda i: hashlib.md5(str(i).encode()).hexdigest(), "has hashes"),
    "page": (lambda i: f"https://example.com/{i}", "has web addresses"),
    "comment": (lambda i: f"the order {scrambled(i)} came too late", "has free text"),
    "seen": (lambda i: f"2026-{i % 12 + 1:02d}-{i % 28 + 1:02d}", "has dates or times as texts (line 2 has '2026-01-01')"),
    "at": (lambda i: f"{scrambled(i) % 24}:{scrambled(i) % 60:02d}", "has dates or times as texts (line 2 has '0:00')"),
    "paid": (lambda i: f"{2020 + i % 6}{i % 12 + 1:02d}", "has months as numbers (line 2 has 202001)"),
    "born": (lambda i: f"{1950 + i % 60}{i % 12 + 1:02d}{i % 28 + 1:02d}", "has dates as numbers (line 2 has 19500101)"),
    "serial": (lambda i: str(2**53 + 1 + scrambled(i)), "has whole numbers above 2^53 in"),
    "level": (lambda i: "-999" if i % 9 == 4 else str(scrambled(i) % 40), "has -999 in"),
    "stage": (lambda i: "9999" if i % 9 == 4 else str(scrambled(i) % 41), "(line 6"),
    "depth_m": (lambda i: "999999" if i == 5 else str(scrambled(i) % 40 / 4), "has 999999 in 1 row (line 7), and else"),
    "coded": (lambda i: {4: "-999", 6: "9999999"}.get(i % 9, str(scrambled(i) % 40)), "has -999 and 9999999 in"),
    "one_huge": (lambda i: f"1{'0' * 20}" if i == 5 else str(scrambled(i) % 43), "in 1 row (line 7 has 100000000000000000000)"),
    "stock": (lambda i: f"{scrambled(i) % 90} widgets", "has a number before the same word in every row"),
    "cafe": (lambda i: ["CafÃ©", "Bar", "Pub"][scrambled(i) % 3], "read in a wrong encoding (line 2 has 'CafÃ©', which was 'Café')"),
    "member": (lambda i: str(100 + i * 10 // 9), "counts from 100 to"),
    "constant": (lambda i: "5", "the same value in all rows: 'constant'"),
    "hollow": (lambda i: "", "empty in all rows: 'hollow'"),
}  # fmt: skip
FROM_TARGET: dict[str, tuple[Callable[[Table, int], str], str]] = {
    "copy": (lambda table, i: table.columns["target"][i], "is a copy of the target"),
    "id_again": (lambda table, i: table.columns["row_id"][i], "is a copy of the row id 'row_id'"),
    "twin": (lambda table, i: list(table.columns.values())[1][i], "'twin' repeats"),
    "outcome": (
        lambda table, i: f"{float(table.columns['target'][i]) * 1.5 + 3}" if table.is_regression
        else f"code {sorted({*table.columns['target']}).index(table.columns['target'][i])}",
        "the target",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(tmp_path: Path, name: str) -> None:
    value, message = PLANTED[name]
    shift = list(PLANTED).index(name)
    for table in TABLES[shift % 5 :: 5]:
        if table.name == "small":
            continue  # too few rows to know
        found = warnings_of(tmp_path, table.with_column(name, value))
        assert len(found) == 1, (table.name, found)
        assert message in found[0], table.name
        assert repr(name) in found[0]


@pytest.mark.parametrize("name", FROM_TARGET)
def test_a_feature_that_gives_the_target_or_the_id_away_is_found(tmp_path: Path, name: str) -> None:
    value, message = FROM_TARGET[name]
    for table in TABLES[::4]:
        if table.name != "small":
            planted = table.with_column(name, lambda row, table=table: value(table, row))  # type: ignore[misc]
            (found,) = warnings_of(tmp_path, planted)
            assert message in found, table.name


def test_a_column_that_determines_the_target_is_found(tmp_path: Path) -> None:
    columns = {
        "id": lambda i: f"r{i}",
        "ward": lambda i: f"w{scrambled(i) % 60}",
        "x": lambda i: str(scrambled(i) % 997 / 7),
        "y": lambda i: "ab"[scrambled(i) % 60 * 7 % 11 % 2],
    }
    location = write_table(tmp_path / "rows.csv", columns, 400)
    found = training.check_dataset(dataset=location, target="y", row_id="id")["warnings"]
    assert len(found) == 1
    assert found[0].startswith("column 'ward' determines the target: each of its 60 values has only one")


def test_copied_rows_are_counted(tmp_path: Path) -> None:
    for table in TABLES[::3]:
        if table.name in ("small", "survey_likert", "mushrooms", "energy", "population_by_year"):
            continue  # rows of few different values, which agree by chance
        copied = {name: [*values, *values[4:11]] for name, values in table.columns.items()}
        copied["row_id"] = [str(row) for row in range(len(copied["row_id"]))]
        copied["row_id"] = [f"r{scrambled(int(row))}" for row in copied["row_id"]]
        (found,) = warnings_of(tmp_path, Table(table.name, copied, table.is_regression))
        rows = len(table.columns["row_id"])
        assert found.startswith(
            f"7 rows repeat an earlier one in all columns: line {rows + 2} is line 6, "
        ), table.name


@pytest.mark.parametrize("decimals", [0, 1])
def test_single_coarse_features_are_no_copied_rows(tmp_path: Path, decimals: int) -> None:
    draw = random.Random(3)
    values = [f"{draw.gauss(36.6, 1):.{decimals}f}" for _ in range(300)]
    fahrenheit = [f"{float(value) * 1.8 + 32:.{decimals}f}" for value in values]
    for features in ({"t": values}, {"t": values, "f": fahrenheit}):
        columns = {"id": lambda i: f"r{i}", **features, "y": [draw.choice("ab") for _ in range(300)]}
        location = write_table(tmp_path / "rows.csv", columns, 300)
        assert training.check_dataset(dataset=location, target="y", row_id="id")["warnings"] == []


def test_a_rank_in_the_files_order_looks_like_a_row_number(tmp_path: Path) -> None:
    (table,) = [table for table in TABLES if table.name == "university_ranks"]
    ranked = table.with_column("rank", lambda row: str(row + 1))
    (found,) = warnings_of(tmp_path, ranked)
    assert found.startswith("column 'rank' grows by 1 from row to row")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("day", lambda i: str(i + 1)),
        ("year", lambda i: str(1961 + i)),
        ("taken", lambda i: str(2024 - i)),
        ("depth", lambda i: str(i * i + i)),
        ("flux", lambda i: str(1_000_000_007 + scrambled(i * i) * 7919)),
        ("t", lambda i: f"{i * 0.1:.1f}"),
        ("zip", lambda i: f"0{6000 + i * 13 % 50}"),
        ("x", lambda i: f"{scrambled(i) / 7}"),
        ("city", lambda i: ["São Paulo", "Zürich", "서울", "Åbo"][scrambled(i) % 4]),
        ("kind", lambda i: ["Mon", "Tue", "May", "12A", "3+"][scrambled(i) % 5]),
        ("petal", lambda i: str(i * i % 7 % 2 * 2 + i % 9 / 10)),
        ("loss", lambda i: "-1" if i % 5 == 0 else str(scrambled(i) % 7)),
    ],
)
def test_what_only_looks_like_a_mistake_gives_no_warning(
    tmp_path: Path, name: str, value: Callable[[int], str]
) -> None:
    columns = {
        "id": lambda i: f"r{i}",
        name: value,
        "b": lambda i: str(scrambled(i) % 997 / 7),
        "y": lambda i: "ab"[i * i % 7 % 2],
    }
    location = write_table(tmp_path / "rows.csv", columns, 60)
    assert training.check_dataset(dataset=location, target="y", row_id="id")["warnings"] == []


def test_the_target_of_a_regression_is_looked_at_too(tmp_path: Path) -> None:
    def check(change: str) -> list[str]:
        columns = {
            "id": lambda i: f"r{i}",
            "b": lambda i: str(scrambled(i) % 997 / 7),
            "y": lambda i: change if i == 8 else str(scrambled(i) % 101),
        }
        location = write_table(tmp_path / "rows.csv", columns, 60)
        found: list[str] = training.check_dataset(dataset=location, target="y", row_id="id")["warnings"]
        return found

    assert check("50") == []
    assert check("-9999")[0].startswith("target 'y' has -9999 in 1 row (line 10), and else 0 to")
    assert check("9007199254740993")[0].startswith(
        "target 'y' has whole numbers above 2^53 in 1 row (line 10 has"
    )
