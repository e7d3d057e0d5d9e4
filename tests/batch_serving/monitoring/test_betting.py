"""Bets against a mean: an alarm when it is below what it must be, and hardly ever without a reason."""

from __future__ import annotations

import numpy as np
import pytest

from batch_serving.monitoring.betting import Bets, MeanDetector

QUARTERS, DAYS, ROWS = 200, 90, 288
PERIODS = 730  # two years between false alarms


def first_alarm(random: np.random.Generator, means: list[float], least: float) -> int | None:
    """The first day with an alarm; the values of each day are drawn with its mean."""
    detector = MeanDetector(least, below=True, periods=PERIODS)
    for day, mean in enumerate(means):
        if detector.add(random.random(ROWS) < mean):
            return day
    return None


def test_over_200_quiet_quarters_no_more_false_alarms_than_promised() -> None:
    """At the limit itself, where they are most frequent: 200 quarters are 18,000 days, so at most 24.7."""
    random = np.random.default_rng(1)
    alarms = [first_alarm(random, [0.95] * DAYS, 0.95) for _ in range(QUARTERS)]
    assert sum(day is not None for day in alarms) <= QUARTERS * DAYS / PERIODS
    quiet = [first_alarm(random, [0.965] * DAYS, 0.95) for _ in range(QUARTERS)]
    assert quiet == [None] * QUARTERS


def test_a_drop_of_three_points_is_noticed_within_three_weeks() -> None:
    random = np.random.default_rng(2)
    means = [0.965] * 45 + [0.935] * 45
    delays = [first_alarm(random, means, 0.955) for _ in range(50)]
    noticed = sorted(day - 45 for day in delays if day is not None)
    assert len(noticed) == 50
    assert noticed[0] >= 0
    assert noticed[25] <= 7
    assert noticed[-1] <= 21


def test_the_order_of_values_within_a_period_does_not_matter() -> None:
    values = np.random.default_rng(3).random(500)
    detectors = [MeanDetector(0.6, below=True, periods=100) for _ in range(2)]
    detectors[0].add(values)
    detectors[1].add(values[::-1])
    assert detectors[0].evidence == pytest.approx(detectors[1].evidence)


def test_on_average_no_bet_gains_if_the_hypothesis_holds() -> None:
    """The mean of what is made of a stake of 1 is 1: exactly, over both values with their probability."""
    for below in (True, False):
        bets = Bets(0.9, below=below)
        gains = [np.exp(bets.log_gains([value])) for value in (1.0, 0.0)]
        assert 0.9 * gains[0] + 0.1 * gains[1] == pytest.approx(np.ones(len(gains[0])))


def test_it_also_notices_that_the_mean_is_above_again() -> None:
    random = np.random.default_rng(4)
    detector = MeanDetector(0.9, below=False, periods=PERIODS)
    assert not any(detector.add(random.random(ROWS) < 0.88) for _ in range(20))
    assert any(detector.add(random.random(ROWS) < 0.96) for _ in range(5))


def test_a_period_without_values_changes_nothing_for_the_worse() -> None:
    detector = MeanDetector(0.9, below=True, periods=PERIODS)
    for _ in range(PERIODS - 1):
        assert not detector.add([])
