"""The page of data checks: what its table of notations says is what the checks do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import page
from training_data import write_table

from callables import training

PAGE = page("docs/data.md")
ROWS = re.findall(r"^\| ([^|`]+) \| ((?:`[^`]+` ?)+) \| ([^|]+) \|$", PAGE.text, re.MULTILINE)
EXAMPLES = [(example, write) for _, cell, write in ROWS for example in re.findall(r"`([^`]+)`", cell)]
CATEGORIES = re.findall(r"`([^`]+)`", PAGE.text.partition("These stay categories: ")[2].partition("\n")[0])


def check(tmp_path: Path, values: list[str]) -> list[str]:
    columns = {
        "id": lambda i: f"r{i}",
        "a": lambda i: values[i * i % 23 % len(values)],
        "b": lambda i: str(i * 7919 % 101),
        "y": lambda i: "ab"[i * i % 7 % 2],
    }
    location = write_table(tmp_path / "rows.csv", columns, 80)
    found: list[str] = training.check_dataset(dataset=location, target="y", row_id="id")["warnings"]
    return found


@pytest.mark.parametrize(("example", "write"), EXAMPLES, ids=[example for example, _ in EXAMPLES])
def test_a_notation_is_refused(tmp_path: Path, example: str, write: str) -> None:
    digits = [re.sub("[1-9]", digit, example, count=1) for digit in "2345678"]
    is_gap = not any(map(str.isdigit, example))
    values = [example, *map(str, range(20))] if is_gap else [example, *digits]
    with pytest.raises(ValueError, match="column 'a' has"):
        check(tmp_path, values)


def test_the_examples_are_found() -> None:
    assert len(EXAMPLES) > 30
    assert len(CATEGORIES) == 8


@pytest.mark.parametrize("example", CATEGORIES)
def test_a_category_is_accepted(tmp_path: Path, example: str) -> None:
    assert (
        check(tmp_path, [example, example.replace("2", "3").replace("4", "3"), "other", "none of these"])
        == []
    )
