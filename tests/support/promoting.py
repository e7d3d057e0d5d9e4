"""The pipeline promote_model, task by task, and versions to compare."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import count
from typing import Any

from batch_serving.registry.store import ModelStore
from callables import promotion, training

HOUR = count()


def add_version(accuracy: float, **other: float) -> str:
    """Save a version whose record has these metrics; its model is never used."""
    hour = next(HOUR)
    metadata = {
        "run_id": f"run{hour}",
        "inputs": "",
        "metrics": {"accuracy": accuracy, **other},
        "holdout": {"fingerprint": "same"},
    }
    moment = datetime(2026, 1 + hour // 600, 1 + hour % 600 // 24, hour % 24, tzinfo=UTC)
    return ModelStore("digits").save({"hour": hour}, metadata, moment)


def train(run_id: str, **change: Any) -> str:
    """Train a decision tree on the digits, unless changed, and return its version."""
    settings: dict[str, Any] = {
        "model": "digits",
        "dataset": "data/digits.csv",
        "target": "digit",
        "row_id": "row_id",
        "estimator": "sklearn.tree.DecisionTreeClassifier",
        "metric": "accuracy",
        "run_after": "2026-01-01T00:00:00+00:00",
    }
    version: str = training.train_challenger(**{**settings, **change}, run_id=run_id)["version"]
    return version


def decide(**policy: Any) -> dict[str, Any]:
    """Compare the newest version with the champion."""
    return promotion.compare(**{"model": "digits", "metric": "accuracy", **policy})


def run_promotion(**policy: Any) -> dict[str, Any]:
    """Compare and follow the verdict, as the DAG does."""
    result = decide(**policy)
    chosen = promotion.choose(verdict=result["verdict"], better_task="promote", otherwise_task="keep")
    getattr(promotion, chosen)(comparison=json.dumps(result), run_id=f"run{next(HOUR)}")
    return result


def champion_version() -> str:
    """Return the champion's version."""
    pointer = ModelStore("digits").champion()
    assert pointer is not None
    return pointer.version
