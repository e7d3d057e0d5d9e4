"""P3: the draw, the file, and what happens without a champion."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from trees import tree

from callables import prediction, promotion, training

DATA = {"dataset": "data/digits.csv", "row_id": "row_id"}
RUN = {"run_id": "scheduled__2026-01-01T15:30:00+00:00", "run_after": "2026-01-01T15:30:00+00:00"}


@pytest.fixture
def champion(output: Path) -> str:
    training.train_challenger(
        **DATA,
        **RUN,
        model="digits",
        target="digit",
        estimator="sklearn.naive_bayes.GaussianNB",
        metric="accuracy",
    )
    comparison = promotion.compare(model="digits", metric="accuracy")
    return promotion.promote(comparison=json.dumps(comparison), run_id="p")["version"]


def predict(**change: Any) -> dict:
    drawn = prediction.draw_rows(**DATA, run_id=RUN["run_id"])
    arguments = {**DATA, **RUN, "model": "digits", "row_ids": json.dumps(drawn["row_ids"]), **change}
    return prediction.predict_rows(**arguments)


def test_draw_rows_draws_five_different_rows_the_same_for_a_run() -> None:
    first = prediction.draw_rows(**DATA, run_id="a")["row_ids"]
    assert len(set(first)) == 5
    assert first == prediction.draw_rows(**DATA, run_id="a")["row_ids"]
    assert first != prediction.draw_rows(**DATA, run_id="b")["row_ids"]


@pytest.mark.parametrize("rows", [0, -1, 1798])
def test_draw_rows_cannot_draw_what_is_not_there(rows: int) -> None:
    with pytest.raises(ValueError, match=f"cannot draw {rows} rows from 'data/digits.csv', which has 1797"):
        prediction.draw_rows(**DATA, run_id="a", rows=rows)


def test_predict_rows_writes_a_file_of_its_run(champion: str) -> None:
    result = predict()
    path = Path(result["file"])
    assert path.parent.name == "date=2026-01-02"  # 15:30 UTC is 00:30 in Seoul
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == prediction.COLUMNS
    assert [row["row_id"] for row in rows] == prediction.draw_rows(**DATA, run_id=RUN["run_id"])["row_ids"]
    assert {row["model_version"] for row in rows} == {champion}
    assert all(row["prediction"] in map(str, range(10)) for row in rows)


def test_a_second_try_changes_no_file(champion: str, output: Path) -> None:
    predict()
    before = tree(output)
    predict()
    assert tree(output) == before


def test_two_runs_never_share_a_file(champion: str) -> None:
    # As file names these two would be the same text without a hash.
    assert predict(run_id="a:b")["file"] != predict(run_id="a+b")["file"]


def test_without_a_champion_the_task_is_skipped_and_says_why(output: Path) -> None:
    with pytest.raises(AirflowSkipException, match="has no champion yet: train_model makes a challenger"):
        predict()
    assert not output.exists()


def test_columns_that_the_model_needs_are_named_when_missing(champion: str, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("row_id,pixel_0_0\n1,0\n", encoding="utf-8")
    with pytest.raises(ValueError, match="lacks columns that digits .* learnt from: \\['pixel_0_1'"):
        predict(dataset=str(other), row_ids='["1"]')
