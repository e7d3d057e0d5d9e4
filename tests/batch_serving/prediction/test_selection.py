"""The choice of rows: random draws, and the JSON that goes through XCom."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from predicting import DATA, digits_copy

from batch_serving.prediction.selection import AllRows, DrawnRows, NewRows, Selection, selection_from_json
from callables import prediction


@pytest.mark.parametrize("rows", [0, -1, 1798])
def test_more_rows_than_there_are_cannot_be_drawn(rows: int) -> None:
    with pytest.raises(
        ValueError, match=f"cannot draw {rows} rows? from dataset 'data/digits.csv', which has 1797"
    ):
        prediction.draw_rows(**DATA, run_id="a", rows=rows)


def test_the_draw_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    shuffled = digits_copy(tmp_path, lambda frame: frame.sample(frac=1, random_state=1))
    drawn = prediction.draw_rows(dataset=shuffled, row_id="row_id", run_id="a")
    assert drawn == prediction.draw_rows(**DATA, run_id="a")
    twice = digits_copy(tmp_path, lambda frame: pd.concat([frame, frame]))
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


@pytest.mark.parametrize(
    "selection", [AllRows(), DrawnRows(("7", "3")), NewRows("id", "progress", "dataset 'x', by id", 9, 60)]
)
def test_a_selection_goes_through_json_unchanged(selection: Selection) -> None:
    assert selection_from_json(json.dumps(selection.to_json())) == selection


def test_the_selection_of_an_earlier_release_is_read_after_an_upgrade() -> None:
    text = '{"rows": "new", "new_by": "id", "progress": "mine", "of": "s, by id", "after": 2, "until": 4}'
    assert selection_from_json(text) == NewRows("id", "mine", "s, by id", 4)


def test_another_selection_is_refused() -> None:
    with pytest.raises(ValueError, match="selection has rows 'some'; pass what draw_rows returned"):
        selection_from_json('{"rows": "some"}')
