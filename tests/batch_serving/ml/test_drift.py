"""The population stability index."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batch_serving.ml import drift


def test_psi_of_the_training_rows_is_zero_and_grows_with_the_shift() -> None:
    draw = np.random.default_rng(0)
    column = pd.Series(draw.normal(size=5000))
    bins = drift.describe(column)
    values = [drift.psi(bins["shares"], drift.count(bins, column + shift)) for shift in (0, 0.1, 0.6, 2)]
    assert values[0] < 1e-6
    assert values == sorted(values)
    assert values[1] < 0.1 < drift.ALARM_AT < values[2]
    texts = pd.Series(["a", "b", None, "b"] * 100)
    by_text = drift.describe(texts)
    assert by_text == {
        "values": ["b", "a"],
        "never_seen": True,
        "new_by_chance": 0.0075,
        "shares": [0.5, 0.25, 0.0, 0.0, 0.25],
        "rows": 400,
    }
    assert drift.count(by_text, pd.Series(["c", "b", None]), {"a", "b"}) == [1, 0, 0, 1, 1]
    constant = drift.describe(pd.Series([3, 3, 3]))
    assert drift.psi(constant["shares"], drift.count(constant, pd.Series([3, 3]))) == 0


def alarms(training: list[object], day: list[object]) -> tuple[bool, float]:
    """Whether a day has an alarm, and its PSI."""
    column = pd.Series(training)
    bins = drift.describe(column)
    known = () if column.dtype.kind in "iufb" else {*column.dropna()}
    counts = drift.count(bins, pd.Series(day, dtype=column.dtype), known)
    value = drift.psi(bins["shares"], counts)
    return drift.is_alarm(value, counts, bins), value


@pytest.mark.parametrize(
    ("training", "low", "high"),
    [
        ([1] * 950 + [0] * 50, [0] * 300, [0] * 15 + [1] * 285),
        ([0] * 950 + [1] * 50, [1] * 300, [1] * 15 + [0] * 285),
        ([True] * 95 + [False] * 5, [False] * 300, [False] * 15 + [True] * 285),
        ([5] * 920 + [1, 2, 3, 4] * 20, [1] * 300, [5] * 276 + [1, 2, 3, 4] * 6),
        ([0.0] * 900 + [n / 7 for n in range(100)], [0.5] * 300, [0.0] * 270 + [n / 2.1 for n in range(30)]),
        (["a"] * 95 + ["b"] * 5, ["b"] * 300, ["a"] * 285 + ["b"] * 15),
        (["a"] * 95 + ["b"] * 5, ["new"] * 300, ["a"] * 285 + ["b"] * 15),
        ([1.0] * 90 + [None] * 10, [None] * 300, [1.0] * 270 + [None] * 30),
        ([1.0] * 90 + [2.0] * 10, [None] * 300, [1.0] * 270 + [2.0] * 30),
    ],
)
def test_a_few_values_are_compared_one_by_one(
    training: list[object], low: list[object], high: list[object]
) -> None:
    """The first day is the opposite of training, the second is like it."""
    assert alarms(training, low)[0]
    assert not alarms(training, high)[0]


def test_a_constant_that_falls_drifts_as_much_as_one_that_rises() -> None:
    falls, rises = (alarms([3.0] * 500, [value] * 300) for value in (2.0, 4.0))
    assert falls == rises
    assert falls[0]


def test_a_small_training_file_gives_no_alarm_by_chance() -> None:
    draw = np.random.default_rng(3)
    days = [alarms([*draw.normal(size=60)], [*draw.normal(size=288)]) for _ in range(200)]
    assert sum(value > drift.ALARM_AT for _, value in days) > 20, "the threshold alone would alarm"
    assert sum(is_alarm for is_alarm, _ in days) <= 1


Draw = Callable[[np.random.Generator, int], Any]


@pytest.mark.parametrize(
    ("training_rows", "draw"),
    [
        (1500, lambda draw, rows: np.char.add("t", draw.integers(0, 200, rows).astype(str))),
        (1500, lambda draw, rows: np.char.add("t", draw.zipf(1.5, rows).clip(max=500).astype(str))),
        (1500, lambda draw, rows: draw.normal(0, 3, rows).round()),
        (60, lambda draw, rows: np.char.add("t", draw.zipf(2, rows).clip(max=500).astype(str))),
        (200, lambda draw, rows: np.where(draw.random(rows) < 0.95, 0.0, draw.gamma(2, size=rows))),
        (200, lambda draw, rows: draw.integers(0, 24, rows)),
    ],
    ids=["equal texts", "long tail", "whole numbers", "few training rows", "mostly zero", "hours"],
)
@pytest.mark.parametrize("rows", [5, 20, 288])
def test_on_quiet_days_there_is_no_alarm(training_rows: int, draw: Draw, rows: int) -> None:
    """The most frequent values of training, and the few that it has of a tail, are so partly by chance."""
    random = np.random.default_rng(1)
    training = [*draw(random, training_rows)]
    days = [alarms(training, [*draw(random, rows)])[0] for _ in range(100)]
    assert sum(days) == 0


@pytest.mark.parametrize("rows", [5, 20])
@pytest.mark.parametrize(
    ("training", "day"),
    [
        ([1] * 950 + [0] * 50, 0),
        ([0] * 950 + [1] * 50, 1),
        ([5] * 920 + [1, 2, 3, 4] * 20, 1),
        ([3.0] * 500, 4.0),
        (["a"] * 700 + ["b"] * 300, "new"),
        ([n / 7 for n in range(500)], None),
    ],
)
def test_few_rows_that_are_all_different_from_training_are_an_alarm(
    training: list[object], day: object, rows: int
) -> None:
    assert alarms(training, [day] * rows)[0]


def test_a_day_that_is_summarised_again_has_the_same_result() -> None:
    column = pd.Series([0] * 60 + [1] * 40)
    bins = drift.describe(column)
    # About one in 10,000: the draws decide.
    counts = [19, 41, 0, 0]
    value = drift.psi(bins["shares"], counts)
    assert len({drift.is_alarm(value, counts, bins) for _ in range(5)}) == 1


def test_bins_of_an_earlier_release_are_still_counted() -> None:
    assert drift.count({"edges": [1.0, 2.0]}, pd.Series([0.5, 1.0, 1.5, 9.0, None])) == [2, 1, 1, 1]
    assert drift.count({"values": ["a"]}, pd.Series(["a", "x", None])) == [1, 1, 1]
    assert drift.is_alarm(0.3, [100, 200], {"edges": [1.0], "shares": [0.5, 0.5]})
