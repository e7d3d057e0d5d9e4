"""Which values of a cursor column have an order, and which are refused."""

from __future__ import annotations

import json
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import pytest
from predicting import digits_copy, predict_selected

from batch_serving.prediction.cursor import mark_from_json, mark_of, mark_to_json
from callables import prediction


def test_ids_that_are_whole_numbers_are_compared_as_numbers(champion: str, tmp_path: Path) -> None:
    """As texts, 10 would come before 9."""

    def up_to(until: int, run_id: str) -> int:
        path = digits_copy(tmp_path, lambda frame: frame.head(until))
        given = {"dataset": path, "row_id": "row_id", "run_id": run_id}
        drawn = prediction.draw_rows(**given, rows="incremental", cursor_column="row_id", model="digits")
        return predict_selected(drawn, dataset=path, run_id=run_id)["rows"]

    assert [up_to(until, f"run {until}") for until in (9, 12, 120)] == [9, 3, 108]


def test_ids_with_a_fraction_are_numbers_too(champion: str, tmp_path: Path) -> None:
    """pandas writes them so if a column of ids had a gap."""

    def up_to(until: int) -> dict:
        path = digits_copy(
            tmp_path, lambda frame: frame.assign(row_id=[f"{i}.0" for i in range(len(frame))]).head(until)
        )
        given = {
            "dataset": path,
            "row_id": "row_id",
            "rows": "incremental",
            "cursor_column": "row_id",
            "model": "digits",
        }
        return predict_selected(
            prediction.draw_rows(**given, run_id=f"to {until}"), dataset=path, run_id=f"to {until}"
        )

    assert [up_to(until)["rows"] for until in (9, 12, 120)] == [9, 3, 108]


@pytest.mark.parametrize("value", ["2026-01-01 9:00", "2026-1-01", "2026-01-1", "1.2.2026", "31/12/2026"])
def test_times_whose_texts_are_in_another_order_are_refused(
    champion: str, tmp_path: Path, value: str
) -> None:
    path = digits_copy(tmp_path, lambda frame: frame.assign(at=value))
    given = {
        "dataset": path,
        "row_id": "row_id",
        "rows": "incremental",
        "cursor_column": "at",
        "model": "digits",
    }
    with pytest.raises(ValueError, match=f"has '{value}': the texts of such times have another order"):
        prediction.draw_rows(**given, run_id="a")


def test_times_whose_texts_sort_and_ids_of_letters_are_accepted(champion: str, tmp_path: Path) -> None:
    for name, value, mark in (
        ("a", "2026-01-01 09:00", "2026-01-01T09:00:00"),
        ("b", "2026-01-01T09:00:00.5+09:00", "2026-01-01T00:00:00.500000+00:00"),
        ("c", "01JD4Z7K", "01JD4Z7K"),
        ("d", "2026-01-01", "2026-01-01T00:00:00"),
    ):
        path = digits_copy(tmp_path, lambda frame, value=value: frame.assign(at=value))
        given = {
            "dataset": path,
            "row_id": "row_id",
            "rows": "incremental",
            "cursor_column": "at",
            "model": "digits",
        }
        assert prediction.draw_rows(**given, run_id="a", watermark=name)["until"] == mark


def test_numbers_and_texts_have_no_common_order(champion: str, tmp_path: Path) -> None:
    numbers = digits_copy(tmp_path, lambda frame: frame.assign(number=range(len(frame))).head(3))
    given: dict[str, Any] = {
        "row_id": "row_id",
        "rows": "incremental",
        "cursor_column": "number",
        "model": "digits",
    }
    predict_selected(prediction.draw_rows(**given, dataset=numbers, run_id="a"), dataset=numbers, run_id="a")
    path = digits_copy(tmp_path, lambda frame: frame.assign(number=[f"n{row}" for row in range(len(frame))]))
    with pytest.raises(
        ValueError,
        match="cursor column 'number' has numbers and texts, such as 'n0' and 2, which have no common order",
    ):
        prediction.draw_rows(**given, dataset=path, run_id="b")


@pytest.mark.parametrize(
    "values",
    [
        [b"\x00\xff", b"\x01\x00", b"\x10\xe5"],  # 0100 and 10e5 could be numbers
        [timedelta(hours=9), timedelta(hours=99), timedelta(hours=100, microseconds=1)],
        [timedelta(hours=-100), timedelta(hours=-99)],
        [time(9), time(10)],
        [2**63 - 2, 2**63 - 1, 2**63],
        ["019a-7", "019b-7", "NAME"],
    ],
)
def test_marks_keep_their_order_and_kind_in_the_watermark_s_file(values: list[Any]) -> None:
    marks = [mark_of(value, "at") for value in values]
    assert marks == sorted(marks)
    stored = json.loads(json.dumps([mark_to_json(mark) for mark in marks]))
    again = [mark_from_json(value) for value in stored]
    assert again == marks
    assert [isinstance(mark, str) for mark in again] == [isinstance(mark, str) for mark in marks]
