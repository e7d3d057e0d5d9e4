"""Trials: how often a contender that is not better is promoted, and what a budget spends."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch_serving.promotion.budget import LARGEST, allowance_of, saved_by
from batch_serving.promotion.evidence import Gains
from batch_serving.promotion.sequential import TrialProgress
from batch_serving.registry.contender import Trial

START = datetime(2026, 1, 1, tzinfo=UTC)
LOOKS, ROWS = 60, 60


def progress(
    values: list[float], *, allowance: float = 0.05, days: float = 1, **change: float
) -> TrialProgress:
    trial = Trial("new", "old", START, allowance, **change)
    gains = np.array(values, dtype=float)
    return TrialProgress(trial, Gains(gains, trial.largest * gains, days), START + timedelta(days=days))


@pytest.mark.parametrize("discordant", [0.02, 0.2])
def test_a_contender_that_is_no_better_is_promoted_no_more_often_than_allowed(discordant: float) -> None:
    """Looked at each hour, 60 times, in 300 trials: 15 wrong promotions are allowed on average."""
    random, wrong = np.random.default_rng(1), 0
    for _ in range(300):
        gains = random.choice([-1, 0, 1], LOOKS * ROWS, p=[discordant / 2, 1 - discordant, discordant / 2])
        looks = (progress(gains[: look * ROWS]).is_better for look in range(1, LOOKS + 1))
        wrong += any(looks)
    assert wrong <= 300 * 0.05


def test_a_contender_that_is_better_by_a_point_is_promoted_within_two_days() -> None:
    random, hours = np.random.default_rng(2), []
    for _ in range(50):
        gains = random.choice([-1, 0, 1], 48 * ROWS, p=[0.005, 0.98, 0.015])
        hours.append(next((h for h in range(1, 49) if progress(gains[: h * ROWS]).is_better), math.inf))
    assert sorted(hours)[25] <= 30
    assert sum(math.isinf(hour) for hour in hours) <= 10


def test_the_rows_still_needed_are_about_what_it_takes() -> None:
    random, ratios = np.random.default_rng(3), []
    for _ in range(50):
        gains = random.choice([-1, 0, 1], 20_000, p=[0.005, 0.98, 0.015])
        total = next(rows for rows in range(100, 20_000, 20) if progress(gains[:rows]).is_better)
        half = progress(gains[: total // 2])
        ratios.append(min(9.0, half.rows_needed / (total - total // 2)))
    assert 0.3 < float(np.median(ratios)) < 3


def test_a_small_gain_is_not_promoted_below_min_delta() -> None:
    gains = [1] * 300 + [-1] * 100 + [0] * 100_000
    assert progress(gains).is_better
    small = progress(gains, min_delta=0.01)
    assert not small.is_better
    assert small.evidence().sentence.startswith(
        "better by less than min_delta 0.01 so far: of 100400 labelled rows"
    )


def test_an_error_counts_in_its_own_unit() -> None:
    found = progress([0.1] * 300, largest=50.0, min_delta=4)
    assert found.is_better
    assert found.evidence().numbers["gain"] == 5


def test_a_few_errors_that_are_very_large_are_not_cut_in_the_mean() -> None:
    values = np.array([0.25] * 1490 + [-1.0] * 10)
    differences = np.where(values > 0, 0.5, -999.0)  # of which 2 count at most
    found = TrialProgress(Trial("new", "old", START, 0.05, largest=2.0), Gains(values, differences, 1), START)
    assert found.is_proven
    assert not found.is_better
    assert found.evidence().numbers["gain"] < -6
    assert found.evidence().sentence.startswith("not certainly better yet")


@pytest.mark.parametrize(
    ("values", "days", "given_up"),
    [
        ([0.0] * 199, 1, False),  # too early
        ([0.0] * 200, 1, True),  # nothing speaks for it
        ([-1.0] * 50 + [0.0] * 200, 1, True),
        ([0.0] * 200, 0, True),
        ([1.0] * 9 + [0.0] * 300, 0, False),
        ([1.0] * 9 + [0.0] * 300, 1, False),
        ([1.0] * 9 + [0.0] * 300, 7, True),  # as long as it may
        ([1.0] + [0.0] * 300, 6, True),  # it would take too long
    ],
)
def test_when_a_contender_is_given_up(values: list[float], days: float, given_up: bool) -> None:
    assert progress(values, days=days).is_given_up == given_up


@given(
    a_year=st.floats(0.01, 100),
    hours=st.lists(st.floats(0, 2000), min_size=1, max_size=60),
)
def test_a_year_spends_no_more_than_its_budget(a_year: float, hours: list[float]) -> None:
    now, saved, saved_at, spent = START, 0.0, None, []
    for later in hours:
        now += timedelta(hours=later)
        saved, saved_at = saved_by(now, saved, saved_at, a_year), now
        allowance = allowance_of(saved)
        assert 0 <= allowance <= min(LARGEST, saved)
        saved -= allowance
        spent.append((now, allowance))
    for begin, _ in spent:
        within = [part for moment, part in spent if begin <= moment <= begin + timedelta(days=365)]
        assert sum(within) <= a_year * (1 + 1e-9)


def test_a_clock_that_goes_back_saves_nothing() -> None:
    assert saved_by(START - timedelta(days=9), 0.01, START, 1) == 0.01
