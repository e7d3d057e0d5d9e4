"""Numbers in another notation, and what only looks like it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from training_data import write_table

from callables import training

Values = Sequence[str] | Callable[[int], str]
FULL_WIDTH = {48 + digit: 0xFF10 + digit for digit in range(10)}


def check(tmp_path: Path, columns: dict[str, Values], **given: Any) -> list[str]:
    """Check a table of 60 rows with these columns and an unrelated target."""
    ids = {"id": lambda row: f"r{row}"}
    target: dict[str, Values] = {} if "y" in columns else {"y": lambda row: "abc"[row * row % 11 % 3]}
    location = write_table(tmp_path / "rows.csv", {**ids, **columns, **target}, 60)
    found: list[str] = training.check_dataset(dataset=location, target="y", row_id="id", **given)["warnings"]
    return found


NOTATIONS: dict[str, tuple[Values, str]] = {
    "thousands": (lambda i: f"{1000 + i * 977:,}", "thousands separators in 60 rows, which would be read as texts: line 2 has '1,000'; write 1000"),
    "thousands beside small ones": (lambda i: f"{i * 377:,}", "thousands separators in 57 rows, which would be read as texts: line 5 has '1,131'; write 1131"),
    "one of many": (lambda i: "12,345" if i == 7 else str(i), "thousands separators in 1 row, which would be read as texts: line 9 has '12,345'; write 12345"),
    "Indian thousands": (lambda i: f"{i + 1},23,456", "line 2 has '1,23,456'; write 123456"),
    "dots": (lambda i: f"{i + 1}.234.567", "line 2 has '1.234.567'; write 1234567"),
    "spaces": (lambda i: f"{i + 1} 234", "line 2 has '1 234'; write 1234"),
    "narrow spaces": (lambda i: f"{i + 1}\u202f234", "write 1234"),
    "Swiss": (lambda i: f"{i + 1}'234", "write 1234"),
    "decimal comma": (lambda i: f"{i + 3},14", "numbers with a decimal comma in 60 rows, which would be read as texts: line 2 has '3,14'; write 3.14"),
    "per cent": (lambda i: f"{i + 45}%", "line 2 has '45%'; write 45"),
    "few per cents": (["10%", "20%"], "line 2 has '10%'; write 10"),
    "dollars": (lambda i: f"${i + 12}", "numbers with a currency in 60 rows, which would be read as texts: line 2 has '$12'; write 12"),
    "won": (lambda i: f"₩{i + 1},000", "a currency and thousands separators in 60 rows, which would be read as texts: line 2 has '₩1,000'; write 1000"),
    "won behind": (lambda i: f"{i + 12}원", "line 2 has '12원'; write 12"),
    "ten thousand won": (lambda i: f"{i + 12}만원", "line 2 has '12만원'; write 120000"),
    "euros": (lambda i: f"€ {i + 3}", "line 2 has '€ 3'; write 3"),
    "euros and gaps": (lambda i: f"{i},5 EUR" if i % 9 else "N/A", "line 3 has '1,5 EUR'; write 1.5"),
    "brackets": (lambda i: f"({i + 123})" if i % 2 == 0 else str(i), "line 2 has '(123)'; write -123"),
    "brackets and dollars": (lambda i: f"(${i + 1},000.50)", "write -1000.50"),
    "trailing minus": (lambda i: f"{i + 12}-" if i % 2 == 0 else str(i), "line 2 has '12-'; write -12"),
    "unicode minus": (lambda i: f"\u2212{i}" if i % 2 else str(i), "line 3 has '\u22121'; write -1"),
    "full width": (lambda i: str(i + 12).translate(FULL_WIDTH), "numbers with other digits in 60 rows, which would be read as texts: line 2 has '１２'; write 12"),
    "gigabytes": (["64GB", "8GB", "16GB"], "line 2 has '64GB'; write 64, and the unit into the column's name"),
    "K and M": (lambda i: f"{i + 2}K" if i % 2 == 0 else f"{i}.5M", "line 2 has '2K'; write 2000"),
    "kilograms": (lambda i: f"{i + 3.5}kg", "line 2 has '3.5kg'; write 3.5"),
    "centimetres": (lambda i: f"{i + 12} cm", "line 2 has '12 cm'; write 12"),
    "hexadecimal": (lambda i: hex(i + 255), "line 2 has '0xff'; write 255"),
    "fractions": (["1/2", "3/4", "5/8"], "two numbers in one value in 60 rows, which would be read as texts: line 2 has '1/2'; make two columns of it, or write a fraction as a decimal number such as 0.5"),
    "blood pressure": (lambda i: f"{i + 120}/{i % 20 + 80}", "has two numbers in one value in 60 rows, which would be read as texts: line 2 has '120/80'; make two columns"),
    "quotes": (lambda i: f"'{i + 12}'", """line 2 has "'12'"; write 12"""),
    "apostrophe before": (lambda i: f"'{i + 12}", """line 2 has "'12"; write 12"""),
    "apostrophe behind": (lambda i: f"{i + 12}'", "write 12"),
    "Excel formula": (lambda i: f'="{i + 12}"', "write 12"),
    "durations": (lambda i: f"PT{i + 5}H", "durations in 60 rows, which would be read as texts: line 2 has 'PT5H'; write how many hours"),
    "power of ten": (lambda i: f"{i + 1}.5×10^3", "write 1.5e3"),
    "question marks": (lambda i: str(i * 7 % 41) if i % 3 else "?", "has numbers, except in 20 rows: line 2 has '?'"),
    "a letter for a digit": (lambda i: "1O" if i == 4 else str(i), "has numbers, except in 1 row: line 6 has '1O'"),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTATIONS)
def test_numbers_in_another_notation_are_refused_with_the_number_to_write(tmp_path: Path, name: str) -> None:
    values, message = NOTATIONS[name]
    with pytest.raises(ValueError, match="column 'a' has") as error:
        check(tmp_path, {"a": values})
    assert message in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        ["0", "1", "2", "3+"],
        ["20대", "30대", "40대"],
        ["20-29", "30-39", "40+"],
        ["4G", "5G"],
        ["250ml", "500ml"],
        ["9th", "10th", "HS-grad"],
        ["1-2 Year", "< 1 Year", "> 2 Years"],
        ["A1", "B2", "C3"],
        ["1/2", "2/2"],
        [f"{row}{seat}" for row in range(5) for seat in "ABCDEF"],
        ["1.2.3", "2.0.1"],
        ["yes", "no", "unknown"],
        ["1", "2", "unknown", "unknown"],
    ],
)
def test_categories_with_digits_are_no_numbers(tmp_path: Path, values: list[str]) -> None:
    assert check(tmp_path, {"a": values}) == []


def test_all_columns_are_in_one_message(tmp_path: Path) -> None:
    columns: dict[str, Values] = {
        "a": lambda i: f"{i}%",
        "b": lambda i: f"{i * 3 % 50} km",
        "y": lambda i: "12,345" if i == 8 else str(i * 3.5),
    }
    with pytest.raises(ValueError, match="cannot be used") as error:
        check(tmp_path, columns, estimator="sklearn.linear_model.Ridge")
    lines = str(error.value).splitlines()[1:]
    assert [line.partition(" has ")[0] for line in lines] == ["- target 'y'", "- column 'a'", "- column 'b'"]
    assert "line 10 has '12,345'; write 12345; sklearn.linear_model.Ridge needs numbers" in lines[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda i: f"1{'0' * 20}" if i == 7 else str(i), "whole numbers of more than 64 bits in 1 row: line 9 has '100000000000000000000'"),
        (lambda i: "abc" if i == 9 else str(i), "has numbers, except in 1 row: line 11 has 'abc'"),
        (lambda i: f"{i + 1},000", "thousands separators in 60 rows"),
        (lambda i: f"2026-01-{i % 28 + 1:02d}", "has dates or times as texts: line 2 has '2026-01-01'"),
        (["no", "yes"], "has texts in 60 rows: line 2 has 'no'"),
    ],
)  # fmt: skip
def test_a_regression_names_the_values_of_the_target_that_are_not_numbers(
    tmp_path: Path, values: Values, message: str
) -> None:
    with pytest.raises(ValueError, match="target 'y' has") as error:
        check(tmp_path, {"a": lambda i: str(i * 7 % 11), "y": values}, estimator="sklearn.linear_model.Ridge")
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (lambda i: str(i / 7), "target 'y' has fractions: line 3 has 0.14285714285714285; sklearn.svm.SVC needs classes"),
        (lambda i: f"name {i}", "target 'y' has 60 different values in 60 rows; sklearn.svm.SVC needs classes: use a regressor"),
    ],
)  # fmt: skip
def test_a_classifier_needs_classes(tmp_path: Path, values: Values, message: str) -> None:
    with pytest.raises(ValueError, match="target 'y' has") as error:
        check(tmp_path, {"a": lambda i: str(i * 7 % 11), "y": values}, estimator="sklearn.svm.SVC")
    assert message in str(error.value)


def test_targets_that_become_texts_are_reported_without_an_estimator(tmp_path: Path) -> None:
    columns: dict[str, Values] = {"a": lambda i: str(i * i % 13)}
    (found,) = check(tmp_path, {**columns, "y": lambda i: f"1{'0' * 20}" if i == 7 else str(i % 3)})
    assert found == (
        "target 'y' has whole numbers of more than 64 bits in 1 row: line 9 has '100000000000000000000', so that "
        "all its values are read as texts: correct them"
    )
    (found,) = check(tmp_path, {**columns, "y": lambda i: f"{i % 5},000"})
    assert found.startswith("target 'y' has numbers with thousands separators in 60 rows")


def test_a_huge_whole_number_leaves_a_column_of_numbers(tmp_path: Path) -> None:
    from batch_serving.ml.datasets import read_dataset

    columns = {"id": str, "a": lambda i: f"1{'0' * 20}" if i == 7 else str(i), "y": ["a", "b"]}
    frame = read_dataset(write_table(tmp_path / "rows.csv", columns, 60), "y", "id").frame
    assert frame["a"].max() == 1e20
    columns["a"] = lambda i: f"1{'0' * 400}" if i == 7 else str(i)
    with pytest.raises(ValueError, match="column 'a' is infinite in 1 row: line 9"):
        read_dataset(write_table(tmp_path / "rows.csv", columns, 60), "y", "id")
