"""The holdout: the same rows from run to run, and what happens if they change."""

from __future__ import annotations

from pathlib import Path

import pytest
from training_data import SETTINGS, houses, write_csv, write_table

from batch_serving.ml.dataset import Dataset
from batch_serving.ml.dataset_checks import TargetNeeds
from batch_serving.ml.datasets import read_dataset
from batch_serving.ml.holdout import Moved, balanced, split_as, split_holdout
from batch_serving.registry.store import ModelStore
from callables import training


def test_a_gap_in_another_row_leaves_the_holdout_the_same(output: Path, tmp_path: Path) -> None:
    rows = [f"{i},{i % 7},{i % 2}" for i in range(60)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["id,a,kind", *rows]) + "\n")
    given = {**SETTINGS, "dataset": location, "target": "kind", "row_id": "id"}
    version = training.train_challenger(**given)["version"]
    before = Path(training.predict_holdout(model="digits", version=version)["file"]).read_bytes()
    held_out = {line.split(",")[0] for line in before.decode().splitlines()[1:]}
    other = next(i for i in range(60) if str(i) not in held_out)
    rows[other] = f"{other},,{other % 2}"
    write_csv(tmp_path / "rows.csv", "\n".join(["id,a,kind", *rows]) + "\n")
    result = training.predict_holdout(model="digits", version=version)
    assert Path(result["file"]).read_bytes() == before


def test_predict_holdout_refuses_rows_that_have_changed(output: Path, tmp_path: Path) -> None:
    location = houses(tmp_path)
    settings = {**SETTINGS, "dataset": location, "target": "price", "row_id": None, "metric": "r2"}
    settings |= {"estimator": "sklearn.linear_model.LinearRegression", "parameters": {}, "search_space": {}}
    version = training.train_challenger(**{**settings, "other_metrics": []})["version"]
    houses(tmp_path, rows=90)
    with pytest.raises(ValueError, match="have changed since"):
        training.predict_holdout(model="digits", version=version)


NONE = Moved()


def rows_with(tmp_path: Path, rare: set[int], rows: int = 60) -> Dataset:
    """A dataset in which a few rows have a rare class."""
    columns = {
        "id": lambda i: f"r{i}",
        "a": lambda i: str(i * 7 % 23),
        "kind": lambda i: "rare" if i in rare else "ab"[i * i % 7 % 2],
    }
    return read_dataset(write_table(tmp_path / "rows.csv", columns, rows), "kind", "id")


def sides_of(dataset: Dataset, rows: set[int], moved: Moved = NONE) -> tuple[set[int], set[int]]:
    """Return which of the rows are for training, and which are held out."""
    training_rows, holdout = split_holdout(dataset, 0.2, 0, moved)
    numbers = [{int(name[1:]) for name in side["id"]} & rows for side in (training_rows, holdout)]
    return numbers[0], numbers[1]


NEEDS = TargetNeeds("", is_classifier=True, folds=3)


def test_a_rare_class_is_in_the_holdout_and_has_a_row_for_each_fold(tmp_path: Path) -> None:
    everything = rows_with(tmp_path, set())
    by_id = sides_of(everything, set(range(60)))
    for side in by_id:  # all rows of the class on one side, by their ids
        rare = set(sorted(side)[:4])
        dataset = rows_with(tmp_path, rare)
        moved = balanced(dataset, 0.2, 0, NEEDS)
        training_rows, holdout = sides_of(dataset, rare, moved)
        assert (len(training_rows), len(holdout)) == (3, 1)
        others = set(range(60)) - rare
        assert sides_of(dataset, others, moved) == (by_id[0] - rare, by_id[1] - rare)


def test_classes_on_both_sides_move_no_row(tmp_path: Path) -> None:
    dataset = rows_with(tmp_path, set())
    assert balanced(dataset, 0.2, 0, NEEDS) == Moved()
    assert Moved().on_record() == {}
    digits = read_dataset("data/digits.csv", "digit", "row_id")
    assert balanced(digits, 0.2, 7, NEEDS) == Moved()


def test_a_class_with_too_few_rows_is_not_measured(tmp_path: Path) -> None:
    _, held_out = sides_of(rows_with(tmp_path, set()), set(range(60)))
    rare = set(sorted(held_out)[:3])
    dataset = rows_with(tmp_path, rare)
    assert sides_of(dataset, rare, balanced(dataset, 0.2, 0, NEEDS)) == (rare, set())


def test_a_version_knows_its_holdout_when_rows_were_added(output: Path, tmp_path: Path) -> None:
    in_training, _ = sides_of(rows_with(tmp_path, set()), set(range(60)))
    rare = set(sorted(in_training)[:5])
    dataset = rows_with(tmp_path, rare)
    given = {**SETTINGS, "dataset": dataset.location, "target": "kind", "row_id": "id"}
    version = training.train_challenger(**given)["version"]
    record = ModelStore("digits").metadata(version)["holdout"]
    (moved,) = record["moved"]["to_holdout"]
    assert int(moved[1:]) in rare
    assert training.predict_holdout(model="digits", version=version)["rows"] == record["rows"]
    more = rows_with(tmp_path, rare | {*range(60, 200, 9)}, 200)
    training_rows, holdout = split_as(record, more)
    assert moved in set(holdout["id"])
    assert not set(training_rows["id"]) & set(holdout["id"])
