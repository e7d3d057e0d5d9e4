"""Challenger and champion on the same rows, and which rows these are."""

from __future__ import annotations

from pathlib import Path

import pytest
from promoting import champion_version, decide, run_promotion, train
from training_data import write_table

from batch_serving.registry.store import ModelStore
from batch_serving.shared.root import PROJECT_ROOT


def test_with_another_holdout_both_are_scored_on_rows_that_neither_was_trained_on(output: Path) -> None:
    train("a", holdout_seed=1, holdout_share=0.4)
    run_promotion()
    train("b", holdout_seed=2, holdout_share=0.4)
    second = decide()
    # A tree predicts all rows that it was trained on correctly.
    assert 0.5 < second["champion_score"] < 0.95
    assert abs(second["champion_score"] - second["challenger_score"]) < 0.15


def test_holdouts_that_share_no_rows_are_refused(output: Path) -> None:
    train("a", holdout_seed=1, holdout_share=0.02)
    run_promotion()
    train("b", holdout_seed=2, holdout_share=0.02)
    with pytest.raises(ValueError, match="rows; keep holdout_share and holdout_seed"):
        decide()


@pytest.mark.usefixtures("few_draws")
def test_the_verdict_does_not_depend_on_the_order_of_rows(output: Path, tmp_path: Path) -> None:
    """The same versions, and the data file with its rows in another order when they are compared."""
    import pandas as pd

    file = tmp_path / "digits.csv"
    rows = pd.read_csv("data/digits.csv")
    rows.to_csv(file, index=False)
    train("a", dataset=str(file), estimator="sklearn.naive_bayes.GaussianNB")
    run_promotion()
    train("b", dataset=str(file), estimator="sklearn.neighbors.NearestCentroid")
    asked = {"test": "paired_bootstrap"}
    first = decide(**asked)
    rows.sample(frac=1, random_state=1).to_csv(file, index=False)
    assert decide(**asked) == first


def test_a_champion_that_cannot_be_loaded_does_not_block_a_model_of_more_data(
    output: Path, tmp_path: Path
) -> None:
    text = (PROJECT_ROOT / "data" / "digits.csv").read_text(encoding="utf-8")
    file = tmp_path / "digits.csv"
    file.write_text("".join(text.splitlines(keepends=True)[:1500]), encoding="utf-8")
    broken = train("a", dataset=str(file), estimator="sklearn.naive_bayes.GaussianNB")
    run_promotion()
    (ModelStore("digits").folder(broken) / "model.joblib").write_bytes(b"corrupt")
    file.write_text(text, encoding="utf-8")
    fresh = train("b", dataset=str(file), estimator="sklearn.naive_bayes.GaussianNB")
    assert run_promotion()["reason"].startswith("the first model: accuracy")
    assert champion_version() == fresh


def test_a_champion_that_cannot_be_scored_is_named_with_what_to_do(output: Path, tmp_path: Path) -> None:
    text = (PROJECT_ROOT / "data" / "digits.csv").read_text(encoding="utf-8")
    file = tmp_path / "digits.csv"
    file.write_text(text, encoding="utf-8")
    first = train("a", dataset=str(file), estimator="sklearn.naive_bayes.GaussianNB")
    run_promotion()
    file.write_text(text.replace("pixel_3_3", "pixel_3x3", 1), encoding="utf-8")
    train("b", dataset=str(file), estimator="sklearn.naive_bayes.GaussianNB")
    with pytest.raises(
        ValueError, match=f"the champion {first} cannot be scored on these rows: .*pixel_3_3.*by hand"
    ):
        decide()


def test_a_champion_that_cannot_be_loaded_does_not_block_a_better_one(output: Path) -> None:
    broken = train("a", estimator="sklearn.dummy.DummyClassifier")
    run_promotion()
    (ModelStore("digits").folder(broken) / "model.joblib").write_bytes(b"corrupt")
    better = train("b", estimator="sklearn.naive_bayes.GaussianNB")
    assert run_promotion(test="paired_bootstrap")["reason"].endswith(
        "no test was made, because the champion cannot be loaded"
    )
    assert champion_version() == better


def test_without_ids_changed_rows_are_not_scored(output: Path, tmp_path: Path) -> None:
    """A row before the others shifts all line numbers: the champion would score too high on training rows."""
    import pandas as pd

    file = tmp_path / "rows.csv"
    rows = pd.read_csv("data/digits.csv").drop(columns="row_id")
    rows.to_csv(file, index=False)
    train("a", dataset=str(file), row_id=None)
    run_promotion()
    pd.concat([rows.tail(1), rows]).to_csv(file, index=False)
    train("b", dataset=str(file), row_id=None)
    with pytest.raises(ValueError, match="without a `row_id` column it is not known"):
        decide()


def kinds(path: Path, rows: int, rare_from: int) -> dict[str, str]:
    """Settings for a table in which the class c begins with a row."""
    columns = {
        "id": lambda i: f"r{i}",
        "a": lambda i: str(i * 37 % 101 / 4),
        "b": lambda i: str(i * i % 7),
        "kind": lambda i: "c" if i >= rare_from and i % 3 == 0 else "ab"[i * i % 7 % 2],
    }
    return {"dataset": write_table(path, columns, rows), "target": "kind", "row_id": "id"}


@pytest.mark.usefixtures("few_draws")
@pytest.mark.parametrize("test", ["none", "paired_bootstrap", "mcnemar"])
def test_a_champion_that_does_not_know_a_class_is_scored(output: Path, tmp_path: Path, test: str) -> None:
    given = {"estimator": "sklearn.naive_bayes.GaussianNB", "metric": "log_loss", "holdout_share": 0.4}
    train("a", **kinds(tmp_path / "rows.csv", 200, 999), **given)
    policy = {"metric": "log_loss", "direction": "minimize"}
    run_promotion(**policy)
    train("b", **kinds(tmp_path / "rows.csv", 300, 200), **given)
    result = decide(**policy, test=test)
    assert result["champion_score"] > result["challenger_score"] > 0  # probability 0 for a class costs much


def test_rows_that_were_moved_between_the_sides_are_compared_by_each_record(
    output: Path, tmp_path: Path
) -> None:
    given = {"estimator": "sklearn.naive_bayes.GaussianNB", "holdout_share": 0.4}
    rare = kinds(tmp_path / "rows.csv", 200, 190)
    first = train("a", **rare, **given, search_space={"var_smoothing": [1e-9]}, folds=3)
    run_promotion()
    second = train("b", **rare, **given)
    records = [ModelStore("digits").metadata(version)["holdout"] for version in (first, second)]
    assert records[0]["fingerprint"] != records[1]["fingerprint"]
    fewest = min(record["rows"] for record in records)
    assert fewest - 4 <= decide()["holdout"]["rows"] <= fewest


def test_without_ids_an_unchanged_file_is_scored(output: Path, tmp_path: Path) -> None:
    import pandas as pd

    file = tmp_path / "rows.csv"
    pd.read_csv("data/digits.csv").drop(columns="row_id").to_csv(file, index=False)
    train("a", dataset=str(file), row_id=None, holdout_share=0.3)
    run_promotion()
    train("b", dataset=str(file), row_id=None)
    assert (
        0.5 < decide()["champion_score"] < 0.95
    )  # a tree predicts all rows that it was trained on correctly
