"""Scores on rows that lack a class of the model, or have one that it does not know."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from training_data import SETTINGS, write_table

from batch_serving.ml.scoring import measure, scorer_for
from callables import training

BY_CLASSES = ["log_loss", "d2_log_loss_score", "neg_brier_score", "d2_brier_score", "top_k_accuracy"]


def rows_of(classes: str, number: int = 60) -> tuple[pd.DataFrame, pd.Series]:
    draw = np.random.default_rng(1)
    target = pd.Series(draw.choice([*classes], number), name="kind")
    return pd.DataFrame({"a": draw.normal(size=number) + (target == "a")}), target


def model_of(classes: str) -> Any:
    return LogisticRegression().fit(*rows_of(classes))


@pytest.mark.parametrize("metric", BY_CLASSES)
@pytest.mark.parametrize(
    ("known", "present"), [("abc", "ab"), ("abc", "abc"), ("abc", "bcd"), ("abd", "abcd")]
)
def test_classes_that_differ_are_scored(metric: str, known: str, present: str) -> None:
    value = measure(model_of(known), *rows_of(present), [metric])[metric]
    assert math.isfinite(value)


def test_a_class_that_the_model_does_not_know_has_the_probability_0() -> None:
    model = model_of("abd")
    features, target = rows_of("abcd")
    known = target != "c"
    right = measure(model, features[known], target[known], ["log_loss"])["log_loss"]
    value = measure(model, features, target, ["log_loss"])["log_loss"]
    assert value > right + 30 * (~known).mean()


def test_the_value_is_that_of_scikit_learn_if_all_classes_are_there() -> None:
    from sklearn.metrics import get_scorer

    model = model_of("abc")
    features, target = rows_of("abc", 200)
    for metric in ("neg_log_loss", "roc_auc_ovr", "accuracy", "f1_macro", "top_k_accuracy"):
        assert scorer_for(metric, model, target)(features, target) == get_scorer(metric)(
            model, features, target
        )


def rare(tmp_path: Path, rows: int) -> dict[str, Any]:
    """Settings for a table whose class c has so many rows."""
    columns = {
        "id": lambda i: f"r{i}",
        "a": lambda i: str(i * 37 % 101 / 4),
        "kind": lambda i: "c" if i < rows else "ab"[i * i % 7 % 2],
    }
    location = write_table(tmp_path / "rows.csv", columns, 200)
    return {**SETTINGS, "dataset": location, "target": "kind", "row_id": "id", "n_candidates": 1}


def test_a_rare_class_is_measured_by_all_metrics(output: Path, tmp_path: Path) -> None:
    metrics = ["log_loss", "roc_auc_ovr", "top_k_accuracy", "balanced_accuracy"]
    given = {**rare(tmp_path, 4), "metric": "log_loss", "other_metrics": metrics[1:]}
    result = training.train_challenger(**given)
    assert {*result["metrics"]} == {*metrics}


def test_a_class_without_a_row_for_the_holdout_is_measured_where_it_can_be(
    output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    result = training.train_challenger(**{**rare(tmp_path, 3), "metric": "log_loss"})
    assert result["metrics"]["log_loss"] > 0
    assert "the holdout has no row of class 'c': its errors are not measured" in caplog.text


def test_a_metric_that_needs_the_class_is_refused_before_the_search(
    output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    message = (
        "metric 'roc_auc_ovr' cannot be measured on the holdout: class 'c' of target 'kind' has no row there; "
        "add rows of it, use fewer folds, or use a metric such as accuracy"
    )
    given = {**rare(tmp_path, 3), "other_metrics": ["roc_auc_ovr"]}
    with pytest.raises(ValueError, match=message):
        training.train_challenger(**given)
    assert "candidate" not in caplog.text
    assert training.train_challenger(**given, folds=2)["metrics"]["roc_auc_ovr"] >= 0  # as the hint says


def test_a_metric_that_needs_two_rows_is_refused_before_the_search(output: Path, tmp_path: Path) -> None:
    columns = {"id": lambda i: f"r{i}", "a": lambda i: str(i * 3 % 17), "y": lambda i: str(i * 1.5)}
    location = write_table(tmp_path / "rows.csv", columns, 40)
    given = {**SETTINGS, "dataset": location, "target": "y", "row_id": "id", "holdout_share": 0.025}
    given |= {
        "estimator": "sklearn.linear_model.Ridge",
        "parameters": {},
        "metric": "r2",
        "other_metrics": [],
    }
    seed = next(seed for seed in range(99) if held_out(location, seed) == 1)
    message = "metric 'r2' cannot be measured on the holdout: it has 1 row; add rows, or give a greater holdout_share"
    with pytest.raises(ValueError, match=message):
        training.train_challenger(**{**given, "search_space": {}, "holdout_seed": seed})
    message = (
        "rows outside the holdout are not enough for 30 folds of 2 rows or more; add rows, or use fewer folds"
    )
    with pytest.raises(ValueError, match=message):
        training.train_challenger(
            **{**given, "search_space": {"alpha": [1]}, "folds": 30, "holdout_share": 0.2}
        )


def held_out(location: str, seed: int) -> int:
    from batch_serving.ml.datasets import read_dataset
    from batch_serving.ml.holdout import split_holdout

    try:
        return len(split_holdout(read_dataset(location, "y", "id"), 0.025, seed)[1])
    except ValueError:
        return 0
