"""The metrics of a day's predictions, with intervals, and when a day counts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from scipy.stats import binomtest

from batch_serving.monitoring.measuring import (
    Maturity,
    calibration_error,
    check_metric,
    value_of,
    wilson,
)
from batch_serving.shared.errors import InvalidValueError

SEOUL = ZoneInfo("Asia/Seoul")
DAY = date(2026, 1, 5)
MIDNIGHT = datetime(2026, 1, 6, tzinfo=SEOUL)


@pytest.mark.parametrize(("right", "rows"), [(0, 5), (5, 5), (90, 100), (1357, 1440)])
def test_the_interval_of_a_share_is_wilsons(right: int, rows: int) -> None:
    expected = binomtest(right, rows).proportion_ci(0.95, method="wilson")
    assert wilson(right, rows, 0.95) == pytest.approx((expected.low, expected.high))


def test_metrics_have_the_values_and_signs_that_training_gives_them() -> None:
    actual, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 2.0])
    assert value_of("mean_absolute_error", actual, predicted) == pytest.approx(1.0)
    assert value_of("neg_mean_absolute_error", actual, predicted) == pytest.approx(-1.0)
    assert value_of("f1_macro", np.array(["a", "b"]), np.array(["a", "a"])) == pytest.approx(1 / 3)


def test_probabilities_that_are_right_as_often_as_they_say_have_no_calibration_error() -> None:
    right = np.array([True, True, True, False] * 25)
    assert calibration_error(right, [0.75] * 100) == pytest.approx(0)
    assert calibration_error(right, [0.95] * 100) == pytest.approx(0.2)
    assert calibration_error(np.array([True, False]), [1.0, 0.0]) == pytest.approx(0)


@pytest.mark.parametrize(
    ("after", "share", "mature"),
    [
        (timedelta(hours=-1), 1.0, False),  # the day is not over
        (timedelta(0), 1.0, True),
        (timedelta(hours=47), 0.9, False),
        (timedelta(hours=47), 0.95, True),
        (timedelta(hours=48), 0.1, True),
    ],
)
def test_a_day_is_mature_after_a_while_or_with_enough_labels(
    after: timedelta, share: float, mature: bool
) -> None:
    maturity = Maturity(2, 0.95, SEOUL)
    assert maturity.is_mature(DAY, share, (MIDNIGHT + after).astimezone(UTC)) is mature


@pytest.mark.parametrize("metric", ["roc_auc_ovr", "neg_log_loss", "accurate"])
def test_a_metric_that_predictions_do_not_give_is_refused(metric: str) -> None:
    with pytest.raises(InvalidValueError):
        check_metric(metric)
