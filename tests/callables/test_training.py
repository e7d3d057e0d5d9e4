"""P1 on real files: the training, its versions, and what a second try does."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from training_data import SETTINGS, houses, write_csv
from trees import tree

from batch_serving.registry.store import ModelStore
from callables import training


def test_check_dataset_describes_digits() -> None:
    found = training.check_dataset(dataset="data/digits.csv", target="digit", row_id="row_id")
    assert (found["rows"], found["features"], found["target_values"]) == (1797, 64, 10)


def test_train_challenger_saves_a_version_with_a_record_of_how_it_was_made(output: Path) -> None:
    result = training.train_challenger(**SETTINGS)
    assert result["metrics"]["accuracy"] > 0.9
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{8}", result["version"])
    json.dumps(result)
    metadata = ModelStore("digits").metadata(result["version"])
    assert metadata["run_id"] == SETTINGS["run_id"]
    assert [feature["name"] for feature in metadata["features"]][:2] == ["pixel_0_0", "pixel_0_1"]
    assert metadata["holdout"]["rows"] + metadata["dataset"]["rows_trained"] == 1797
    assert 0.1 <= metadata["parameters"]["C"] <= 10
    assert {"scikit-learn", "numpy", "python"} <= set(metadata["libraries"])


def test_a_second_try_of_the_same_run_changes_no_file(output: Path) -> None:
    first = training.train_challenger(**SETTINGS)
    training.predict_holdout(model="digits", version=first["version"])
    before = tree(output)
    assert training.train_challenger(**SETTINGS) == first
    training.predict_holdout(model="digits", version=first["version"])
    assert tree(output) == before


def test_the_same_run_with_an_edited_yaml_makes_another_version(output: Path) -> None:
    first = training.train_challenger(**SETTINGS)
    second = training.train_challenger(**{**SETTINGS, "holdout_seed": 8})
    assert second["version"] != first["version"]
    assert len(ModelStore("digits").versions()) == 2


def test_each_run_tries_other_settings_on_the_same_holdout(output: Path) -> None:
    first = training.train_challenger(**SETTINGS)
    second = training.train_challenger(**{**SETTINGS, "run_id": "another"})
    assert first["parameters"]["C"] != second["parameters"]["C"]
    store = ModelStore("digits")
    holdouts = {store.metadata(version)["holdout"]["fingerprint"] for version in store.versions()}
    assert len(holdouts) == 1


def test_predict_holdout_writes_one_line_per_held_out_row(output: Path) -> None:
    version = training.train_challenger(**SETTINGS)["version"]
    result = training.predict_holdout(model="digits", version=version)
    with Path(result["file"]).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["rows"] == ModelStore("digits").metadata(version)["holdout"]["rows"]
    right = sum(row["actual"] == row["prediction"] for row in rows)
    assert right / len(rows) == pytest.approx(ModelStore("digits").metadata(version)["metrics"]["accuracy"])
    assert all(0 < float(row["probability"]) <= 1 for row in rows)


def test_another_csv_target_and_a_regression_need_other_settings_only(output: Path, tmp_path: Path) -> None:
    result = training.train_challenger(
        model="houses",
        dataset=houses(tmp_path),
        target="price",
        estimator="sklearn.ensemble.RandomForestRegressor",
        parameters={"n_estimators": 5},
        metric="root_mean_squared_error",
        other_metrics=["r2"],
        run_id="r",
        run_after="2026-01-01T00:00:00+09:00",
    )
    assert result["metrics"]["root_mean_squared_error"] > 0
    assert result["metrics"]["r2"] > 0.5
    written = training.predict_holdout(model="houses", version=result["version"])
    lines = Path(written["file"]).read_text(encoding="utf-8").splitlines()
    assert lines[0] == "row_id,actual,prediction,probability"
    assert all(line.endswith(",") for line in lines[1:])  # a regression gives no probability


def test_a_target_may_be_called_none_and_rows_need_no_id(output: Path, tmp_path: Path) -> None:
    lines = [f"{'None' if i % 2 else 'Some'},{i % 2 + i / 1000},t{i}" for i in range(100)]
    location = write_csv(tmp_path / "rows.csv", "\n".join(["kind,row_number,text", *lines]) + "\n")
    estimator = "sklearn.ensemble.HistGradientBoostingClassifier"
    settings = {
        "model": "m",
        "dataset": location,
        "target": "kind",
        "estimator": estimator,
        "metric": "accuracy",
    }
    result = training.train_challenger(**settings, run_id="r", run_after="2026-01-01T00:00:00+09:00")
    assert result["metrics"]["accuracy"] > 0.9
    rows = Path(training.predict_holdout(model="m", version=result["version"])["file"]).read_text(
        encoding="utf-8"
    )
    assert "None,None" in rows


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimator": "os.system"}, "estimator 'os.system' is not allowed"),
        ({"estimator": "sklearn.linear_model.LogisticRegresion"}, "did you mean 'LogisticRegression'?"),
        ({"estimator": "sklearn.metrics.accuracy_score"}, "is not a scikit-learn estimator class"),
        ({"parameters": {"max_itr": 5}}, "has no parameter 'max_itr'; did you mean 'max_iter'?"),
        ({"search_space": {"c": [1]}}, "has no parameter 'c'"),
        ({"search_space": {"C": {"distribution": "normal", "low": 1, "high": 2}}}, "search_space.C is"),
        (
            {"search_space": {"C": {"distribution": "loguniform", "low": "1e-2", "high": 1}}},
            "search_space.C.low is '1e-2', which is not a number; write 0.01 or 1.0e-2",
        ),
        (
            {"search_space": {"C": {"distribution": "loguniform", "low": 0, "high": 1}}},
            "search_space.C.low is 0; loguniform needs more than 0",
        ),
        ({"parameters": {1: 5}}, "has no parameter 1"),
        (
            {"estimator": "sklearn.ensemble.VotingClassifier", "parameters": {}},
            "cannot be made from `parameters`",
        ),
        ({"estimator": "sklearn.cluster.KMeans", "parameters": {}}, "learns no target"),
        ({"estimator": "sklearn.preprocessing.StandardScaler", "parameters": {}}, "has no score"),
        ({"other_metrics": ["f1_makro"]}, "did you mean 'f1_macro'?"),
        ({"metric": "acuracy"}, "metric 'acuracy' is not known; did you mean 'accuracy'?"),
        ({"other_metrics": ["f1"]}, "'f1' does not suit target 'digit': Target is multiclass"),
        ({"metric": "f1"}, "average='binary'; use f1_macro, f1_micro, f1_weighted"),
        (
            {"metric": "r2", "estimator": "sklearn.linear_model.Ridge", "parameters": {}},
            "'f1_macro' is for classes",
        ),
        (
            {"metric": "neg_log_loss", "estimator": "sklearn.svm.LinearSVC", "parameters": {}},
            "needs predict_proba, which this LinearSVC does not have",
        ),
        ({"n_candidates": 0}, "n_candidates is 0; it must be 1 or more"),
        ({"folds": 1}, "folds is 1; it must be 2 or more"),
        ({"holdout_share": 1.5}, "holdout_share is 1.5"),
        ({"run_after": "2026-01-01"}, "is not ISO 8601 with an offset"),
        ({"model": "../digits"}, "is not a plain name"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_value_and_nothing_is_written(
    output: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=".") as error:
        training.train_challenger(**{**SETTINGS, **change})
    assert message in str(error.value)
    assert not list(output.rglob("model.joblib"))


def test_a_card_that_cannot_be_made_costs_no_model(
    output: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("batch_serving.cards.card._facts", lambda _: 1 / 0)
    version = training.train_challenger(**{**SETTINGS, "search_space": None})["version"]
    assert training.predict_holdout(model="digits", version=version)["rows"] > 300
    assert "the model card could not be made" in caplog.text
    assert not (ModelStore("digits").folder(version) / "card.html").exists()


def test_a_backfill_of_a_run_finds_the_version_that_it_made(output: Path) -> None:
    first = training.train_challenger(**SETTINGS)
    before = tree(output)
    filled = training.train_challenger(**{**SETTINGS, "run_id": "backfill__2026-01-01T09:00:00+09:00"})
    assert filled == first
    assert tree(output) == before
