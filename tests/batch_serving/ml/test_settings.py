"""The settings of a training, and the hash by which a second try finds its version."""

from __future__ import annotations

import pytest
from training_data import SETTINGS

from batch_serving.ml.settings import TrainingSettings
from batch_serving.shared.files import sha256
from batch_serving.shared.root import PROJECT_ROOT

# What the release before the arguments were renamed has in the records of its versions.
HASHES = [
    ({}, "c9e5f46b2f29f1460b42a7956fa3583dbf5660a7febf5c16758af80035373d41"),
    (
        {
            "estimator": "sklearn.naive_bayes.GaussianNB",
            "parameters": {"var_smoothing": 1e-9},
            "scaler": None,
            "search_space": None,
            "n_candidates": 8,
            "other_metrics": None,
            "time_budget_s": 300,
        },
        "72deb95af5610880f3216ea953591180f9d07c10869682819869b43c4aecaa65",
    ),
]


@pytest.mark.parametrize(("change", "expected"), HASHES)
def test_the_hash_of_the_inputs_stays_that_of_earlier_releases(
    change: dict[str, object], expected: str
) -> None:
    digest = sha256((PROJECT_ROOT / "data" / "digits.csv").read_bytes())
    assert TrainingSettings(**{**SETTINGS, **change}).inputs_hash(digest) == expected


def test_the_seed_is_the_given_one_or_that_of_the_run() -> None:
    settings = TrainingSettings(**SETTINGS)
    assert settings.search_seed == TrainingSettings(**SETTINGS).search_seed
    assert settings.search_seed != TrainingSettings(**{**SETTINGS, "run_id": "another"}).search_seed
    assert TrainingSettings(**SETTINGS, seed=7).search_seed == 7
