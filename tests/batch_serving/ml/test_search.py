"""The search: its candidates, its budget, and what a failing candidate affects."""

from __future__ import annotations

import re
import weakref
from pathlib import Path
from typing import Any

import pytest
from training_data import SETTINGS, write_csv

from batch_serving.ml import search
from batch_serving.registry.store import ModelStore
from callables import training


def test_a_candidate_that_fails_affects_no_other_and_all_are_recorded(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    space = {"solver": ["lbfgs", "no-such"], "C": [0.1]}
    version = training.train_challenger(**{**SETTINGS, "search_space": space})["version"]
    record = ModelStore("digits").metadata(version)
    assert record["parameters"]["solver"] == "lbfgs"
    assert sorted("error" in tried for tried in record["candidates"]) == [False, True]
    assert re.search(
        r"candidate \d of 2: accuracy 0\.\d+ in [\d.]+ s: \{'solver': 'lbfgs'",
        caplog.text.replace("'C': 0.1, ", ""),
    )
    with pytest.raises(ValueError, match="1 candidate tried, none succeeded; first: InvalidParameterError"):
        training.train_challenger(**{**SETTINGS, "search_space": {"solver": ["no-such"]}, "n_candidates": 1})


def test_no_candidate_is_started_after_the_time_budget(output: Path) -> None:
    version = training.train_challenger(**SETTINGS, time_budget_s=0)["version"]
    assert len(ModelStore("digits").metadata(version)["candidates"]) == 1


@pytest.mark.parametrize("copy", [True, False])
def test_a_candidate_that_writes_into_its_data_affects_no_other(
    output: Path, tmp_path: Path, copy: bool
) -> None:
    rows = [f"{i},{i % 7},{i * 2.5}" for i in range(100)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["a,b,price", *rows]) + "\n")
    given = {"model": "m", "dataset": location, "target": "price", "metric": "r2", "n_candidates": 3}
    result = training.train_challenger(
        **given,
        estimator="sklearn.linear_model.Ridge",
        parameters={"copy_X": copy},
        search_space={"alpha": [1e6, 1e5, 0.1]},
        run_id="r",
        run_after="2026-01-01T00:00:00+09:00",
    )
    assert result["parameters"]["alpha"] == 0.1
    scores = [one["cv_score"] for one in ModelStore("m").metadata(result["version"])["candidates"]]
    assert all(-1 < score <= 1 for score in scores)


def test_a_seed_from_yaml_makes_runs_try_the_same(output: Path) -> None:
    results = [training.train_challenger(**{**SETTINGS, "run_id": run}, seed=7) for run in ("a", "b")]
    assert results[0]["parameters"] == results[1]["parameters"]


def test_rows_sorted_by_the_target_are_searched_in_random_order(output: Path, tmp_path: Path) -> None:
    lines = [f"{i},{i % 7},{i * 2}" for i in range(200)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["a,b,price", *lines]) + "\n")
    result = training.train_challenger(
        model="m",
        dataset=location,
        target="price",
        estimator="sklearn.tree.DecisionTreeRegressor",
        search_space={"max_depth": [6, 8]},
        n_candidates=2,
        metric="r2",
        run_id="r",
        run_after="2026-01-01T00:00:00+09:00",
    )
    assert ModelStore("m").metadata(result["version"])["cv_score"] > 0.9


def test_large_folds_are_prepared_one_at_a_time_with_the_same_result(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fold is gone before the next one is prepared, and no candidate's score depends on that."""
    alive, most, made = set[int](), 0, 0
    prepare = search.Folds._prepare

    def watched(self: search.Folds, train: Any, validate: Any) -> search.Fold:
        nonlocal most, made
        fold = prepare(self, train, validate)
        made += 1
        alive.add(made)
        most = max(most, len(alive))
        weakref.finalize(fold[0], alive.discard, made)
        return fold

    monkeypatch.setattr(search, "KEPT_BYTES", 0)
    monkeypatch.setattr(search.Folds, "_prepare", watched)
    large = training.train_challenger(**{**SETTINGS, "run_id": "another"}, seed=3)["version"]
    monkeypatch.undo()
    monkeypatch.setenv("BATCH_OUTPUT", str(output))
    same = training.train_challenger(**{**SETTINGS, "run_id": "a third"}, seed=3)["version"]
    assert (most, made) == (1, 1 + 2 * 3)  # one to see how large they are, then three for each candidate
    scores = [
        [one["cv_score"] for one in ModelStore("digits").metadata(version)["candidates"]]
        for version in (large, same)
    ]
    assert scores[0] == scores[1]
