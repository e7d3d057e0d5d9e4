"""What a model costs: the time to predict the holdout's rows, and the size of its file."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MEASURED_S = 0.5  # both together, if they take about the same
LONGEST_S = 2.0  # otherwise: on a busy machine it takes a while until each has had a quiet moment
FEWEST_TIMES = 20
ABOUT_THE_SAME = 1.1
MB = 1e6


def size_mb(record: dict[str, Any]) -> float:
    """Return the size of a version's file in megabytes (10⁶ bytes), by its record."""
    return float(record["size_bytes"]) / MB


def predict_ms(models: list[Any], features: pd.DataFrame) -> list[float]:
    """Return how many milliseconds each model needs to predict these rows: the quickest of many times.

    They take turns, so that whatever else the machine does meets all of them.
    """
    quickest = [float("inf")] * len(models)
    started, times = time.monotonic(), 0
    while True:
        taken_s = time.monotonic() - started
        limit_s = MEASURED_S if max(quickest) <= ABOUT_THE_SAME * min(quickest) else LONGEST_S
        if taken_s > LONGEST_S or (times >= FEWEST_TIMES and taken_s > limit_s):
            break
        times += 1
        for place, model in enumerate(models):
            before = time.perf_counter()
            model.predict(features)
            quickest[place] = min(quickest[place], time.perf_counter() - before)
    return [1000 * seconds for seconds in quickest]
