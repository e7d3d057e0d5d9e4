"""Settings against settings on the same folds."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from promoting import champion_version, decide, run_promotion, train

from batch_serving.promotion.cross_validation import FOLD_SCORES, corrected_test
from batch_serving.registry.store import ModelStore

TREE = "sklearn.tree.DecisionTreeClassifier"
ASKED = {"test": "cross_validated", "folds": 4, "repeats": 2}


def test_the_correction_is_that_of_nadeau_and_bengio() -> None:
    differences = np.random.default_rng(0).normal(0.01, 0.02, 50)
    mean, p_value = corrected_test(differences, 5)
    variance = (1 / 50 + 0.2 / 0.8) * np.var(differences, ddof=1)
    expected = 1 - scipy.stats.t.cdf(np.mean(differences) / math.sqrt(variance), 49)
    assert (mean, p_value) == (pytest.approx(np.mean(differences)), pytest.approx(expected))


@pytest.mark.parametrize(("value", "p_value"), [(0.1, 0.0), (0.0, 1.0), (-0.1, 1.0)])
def test_differences_that_are_all_alike(value: float, p_value: float) -> None:
    assert corrected_test([value] * 10, 5) == (pytest.approx(value), p_value)


def test_better_settings_are_promoted_and_worse_ones_are_not(output: Path) -> None:
    train("a", parameters={"max_depth": 4})
    run_promotion()
    better = train("b", parameters={"max_depth": 12})
    result = run_promotion(**ASKED)
    assert result["reason"].startswith("better: accuracy 0.")
    assert "on 2 × 4 folds of 1" in result["reason"]
    assert champion_version() == better
    train("c", parameters={"max_depth": 3})
    assert run_promotion(**ASKED)["reason"].startswith("worse: accuracy 0.")


def test_a_gain_on_the_holdout_alone_is_not_enough(output: Path) -> None:
    """The seed is a setting too, and by chance one is better on the holdout: only the folds count."""
    settings = {"max_depth": 8, "max_features": 8}
    scores = {}
    for seed in range(4):
        version = train(f"seed {seed}", parameters={**settings, "random_state": seed})
        scores[seed] = ModelStore("digits").metadata(version)["metrics"]["accuracy"], version
    worst, best = min(scores, key=scores.__getitem__), max(scores, key=scores.__getitem__)
    ModelStore("digits").promote(scores[worst][1], expect=None, run_id="p", reason="")
    train("again", parameters={**settings, "random_state": best})
    assert decide()["verdict"] == "promote"
    assert decide(**ASKED, confidence=0.99)["verdict"] == "keep"


def test_the_same_settings_are_a_tie(output: Path) -> None:
    train("a", parameters={"max_depth": 4})
    run_promotion()
    train("b", parameters={"max_depth": 4})
    result = decide(**ASKED)
    assert result["reason"].startswith("a tie of the settings, and on_tie is keep: accuracy 0.")
    assert decide(**ASKED, on_tie="newest")["verdict"] == "promote"


def test_scores_are_kept_until_the_rows_change(output: Path, tmp_path: Path) -> None:
    file = tmp_path / "digits.csv"
    rows = pd.read_csv("data/digits.csv")
    rows.head(900).to_csv(file, index=False)
    champion = train("a", dataset=str(file), parameters={"max_depth": 4})
    run_promotion()
    train("b", dataset=str(file), parameters={"max_depth": 6})
    kept = Path(str(ModelStore("digits").folder(champion))) / FOLD_SCORES
    decide(**ASKED, dry_run=True)
    assert not kept.exists()
    first = decide(**ASKED)
    before = kept.stat().st_mtime_ns
    assert decide(**ASKED) == first
    assert kept.stat().st_mtime_ns == before
    kept.write_text("{", encoding="utf-8")
    assert decide(**ASKED) == first
    before = kept.read_bytes()
    rows.head(1200).to_csv(file, index=False)
    train("c", dataset=str(file), parameters={"max_depth": 6})
    assert decide(**ASKED)["test"]["rows"] > first["test"]["rows"]
    assert kept.read_bytes() != before


def test_an_error_is_better_when_it_is_smaller(output: Path) -> None:
    given = {"metric": "mean_absolute_error", "estimator": "sklearn.linear_model.Ridge"}
    train("a", **given, parameters={"alpha": 1e6})
    policy = {"metric": "mean_absolute_error", "direction": "minimize"}
    run_promotion(**policy)
    better = train("b", **given, parameters={"alpha": 1.0})
    assert run_promotion(**policy, **ASKED)["reason"].startswith("better: mean_absolute_error 2.")
    assert champion_version() == better


def test_a_champion_that_cannot_be_loaded_has_settings_all_the_same(output: Path) -> None:
    broken = train("a", parameters={"max_depth": 4})
    run_promotion()
    (ModelStore("digits").folder(broken) / "model.joblib").write_bytes(b"corrupt")
    train("b", parameters={"max_depth": 12})
    assert run_promotion(**ASKED)["verdict"] == "promote"
