"""Guardrails on cost: the time to predict, and the size of the file."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from promoting import decide, run_promotion, train

from batch_serving.registry.store import ModelStore

FOREST = "sklearn.ensemble.RandomForestClassifier"


def add(run_id: str, trees: int) -> str:
    return train(
        run_id, estimator=FOREST, parameters={"n_estimators": trees, "random_state": 0, "max_depth": 6}
    )


def test_a_model_that_costs_too_much_is_kept_back(output: Path) -> None:
    add("a", 5)
    run_promotion()
    add("b", 100)
    slower = decide(guardrails={"predict_ms": "20 %"})
    assert slower["verdict"] == "keep"
    assert re.fullmatch(r"predict_ms [\d.]+ → [\d.]+: more than the 20 % that it may grow", slower["reason"])
    larger = decide(guardrails={"size_mb": "50%"})
    assert re.fullmatch(r"size_mb [\d.]+ → [\d.]+: more than the 50 % that it may grow", larger["reason"])
    allowed = decide(guardrails={"predict_ms": "9000 %", "size_mb": "9000.5 %"})
    assert allowed["reason"].startswith("better: accuracy")
    record = ModelStore("digits").metadata(allowed["challenger"])
    assert allowed["scores"]["challenger"]["size_mb"] == record["size_bytes"] / 1e6
    assert allowed["scores"]["challenger"]["predict_ms"] > allowed["scores"]["champion"]["predict_ms"] > 0


def test_a_model_that_costs_the_same_is_not_kept_back(output: Path) -> None:
    add("a", 20)
    run_promotion()
    add("b", 20)
    result = decide(guardrails={"predict_ms": "60 %", "size_mb": "1 %"}, on_tie="newest")
    assert result["verdict"] == "promote"


def test_a_champion_that_cannot_be_loaded_has_no_time_to_compare(output: Path) -> None:
    broken = add("a", 5)
    run_promotion()
    (ModelStore("digits").folder(broken) / "model.joblib").write_bytes(b"corrupt")
    add("b", 50)
    assert decide(guardrails={"predict_ms": "20 %"})["verdict"] == "promote"
    assert "size_mb" in decide(guardrails={"size_mb": "20 %"})["reason"]


def test_without_the_rows_of_the_holdout_the_time_is_not_compared(
    output: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "digits.csv"
    shutil.copy("data/digits.csv", file)
    train("a", dataset=str(file), parameters={"max_depth": 2})
    run_promotion()
    train("b", dataset=str(file), parameters={"max_depth": 6})
    file.unlink()
    result = decide(guardrails={"predict_ms": "1 %", "size_mb": "9000 %"})
    assert result["verdict"] == "promote"  # by the scores on record
    assert "the time to predict is not compared: dataset" in caplog.text
