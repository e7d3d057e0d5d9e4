"""A trained challenger and its record."""

from __future__ import annotations

from pathlib import Path

from training_data import SETTINGS, write_csv

from callables import training


def test_a_column_that_is_empty_in_a_whole_fold_has_no_weight(output: Path, tmp_path: Path) -> None:
    rows = [f"{i},{i % 2},{'x' if i == 0 else ''},,{i % 2}" for i in range(80)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["id,a,once,never,kind", *rows]) + "\n")
    given = {**SETTINGS, "dataset": location, "target": "kind", "row_id": "id"}
    assert training.train_challenger(**given)["metrics"]["accuracy"] == 1


def test_an_infinite_parameter_is_recorded_as_text(output: Path) -> None:
    given = {**SETTINGS, "estimator": "sklearn.linear_model.LogisticRegression", "search_space": None}
    made = training.train_challenger(**{**given, "parameters": {"max_iter": 200, "C": float("inf")}})
    assert made["parameters"] == {"max_iter": 200, "C": "inf"}
