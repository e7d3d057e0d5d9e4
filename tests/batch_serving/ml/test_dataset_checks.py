"""What is wrong with rows to train on: all of it, before time is spent."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_data import SETTINGS, write_csv

from batch_serving.ml.datasets import read_dataset
from callables import training


def test_every_problem_is_listed(tmp_path: Path) -> None:
    location = write_csv(tmp_path / "rows.csv", "id,a,digit\n1,2,\n1,2,4\n2,2,5\n")
    with pytest.raises(ValueError, match="is empty in 1 row") as error:
        read_dataset(location, "digit", "id")
    assert "is not unique" in str(error.value)


def test_a_repeated_id_is_named_with_both_lines(tmp_path: Path) -> None:
    location = write_csv(tmp_path / "rows.csv", "id,a,y\nr1,2,a\nr2,3,b\n\nr1,2,a\nr3,1,b\n")
    message = "row id 'id' is not unique in 1 row: line 5 has 'r1', as line 2$"
    with pytest.raises(ValueError, match=message):
        read_dataset(location, "y", "id")
    location = write_csv(tmp_path / "rows.csv", "id,a,y\nr1,2,a\nr2,3,b\nr1,2,a\nr2,1,b\n")
    message = "is not unique in 2 rows: line 4, line 5 have 'r1', as line 2; 'r2', as line 3$"
    with pytest.raises(ValueError, match=message):
        read_dataset(location, "y", "id")


def test_a_target_that_is_the_row_id_is_refused() -> None:
    with pytest.raises(ValueError, match="`target` and `row_id` both name column 'digit'"):
        read_dataset("data/digits.csv", "digit", "digit")


def test_each_class_needs_a_row_for_each_fold(tmp_path: Path) -> None:
    rows = [f"{i},{i % 7},{'rare' if i == 4 else i % 2}" for i in range(40)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["id,a,kind", *rows]) + "\n")
    given = {"dataset": location, "target": "kind", "row_id": "id", "folds": 3}
    message = r"each class of target 'kind' needs at least 3 rows, one for each fold: 'rare' has 1 \(line 6\)"
    with pytest.raises(ValueError, match=message):
        training.check_dataset(**given, estimator="sklearn.tree.DecisionTreeClassifier")
    message = "target 'kind' has numbers, except in 1 row: line 6 has 'rare'; sklearn.tree.DecisionTreeRegressor needs"
    with pytest.raises(ValueError, match=message):
        training.check_dataset(**given, estimator="sklearn.tree.DecisionTreeRegressor")


def test_a_class_that_is_too_small_is_refused_before_the_search(output: Path, tmp_path: Path) -> None:
    rows = [f"{i},{i % 7},{'rare' if i in (4, 5) else i % 2}" for i in range(40)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["id,a,kind", *rows]) + "\n")
    given = {**SETTINGS, "dataset": location, "target": "kind", "row_id": "id", "holdout_share": 0.5}
    message = "target 'kind' needs at least 3 rows, one for each fold: 'rare' has 2"
    with pytest.raises(ValueError, match=message):
        training.train_challenger(**given)
