"""What a model costs: the time to predict the holdout's rows, and the size of its file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MEASURED_S = 0.5  # both together
FEWEST_TIMES = 5
MB = 1e6


def size_mb(record: dict[str, Any]) -> float:
    """Return the size of a version's file in megabytes (10⁶ bytes), by its record."""
    return float(record["size_bytes"]) / MB


def predict_ms(models: list[Any], features: pd.DataFrame) -> list[float]:
    """Return how many milliseconds each model needs to predict these rows: the quickest of several times.

    They take turns, so that whatever else the machine does meets all of them.
    """
    quickest = [float("inf")] * len(models)
    started, times = time.monotonic(), 0
    while times < FEWEST_TIMES or time.monotonic() - started < MEASURED_S:
        times += 1
        for place, model in enumerate(models):
            before = time.perf_counter()
            model.predict(features)
            quickest[place] = min(quickest[place], time.perf_counter() - before)
    return [1000 * seconds for seconds in quickest]
