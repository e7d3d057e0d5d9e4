"""Checks of the arguments that YAML gives join_labels, measure and alarm."""

from __future__ import annotations

from collections.abc import Iterator

from batch_serving.ml.arguments import column_problems, model_problems
from batch_serving.prediction.arguments import query_problems, source_problems, zone_problems
from batch_serving.shared.checked_by import BadValue, Given, bad_values, known_values, named_values


def of_join(given: Given) -> Iterator[BadValue]:
    """Check where labels come from."""
    named, given = named_values(given), known_values(given)
    yield from _common_problems(given)
    yield from source_problems(named)
    columns = ("row_id", "label", "known_at")
    yield from column_problems(given, columns)
    yield from query_problems(given, columns)


def of_measure(given: Given) -> Iterator[BadValue]:
    """Check the metrics, and when a day is mature."""
    from batch_serving.monitoring.measuring import check_metric

    given = known_values(given)
    yield from _common_problems(given)
    yield from _maturity_problems(given)
    if "metric" in given:
        yield from bad_values(("metric",), check_metric, given["metric"])
    others = given.get("other_metrics")
    for number, metric in enumerate(others if isinstance(others, list) else ()):
        yield from bad_values(("other_metrics", number), check_metric, metric)
    yield from _between("confidence", given, 0, 1)


def of_alarm(given: Given) -> Iterator[BadValue]:
    """Check what the metric must be, and how many false alarms are allowed."""
    from batch_serving.monitoring.alarm import check_alarm_metric

    named, given = named_values(given), known_values(given)
    yield from _common_problems(given)
    yield from _maturity_problems(given)
    if "metric" in given:
        yield from bad_values(("metric",), check_alarm_metric, given["metric"])
    if not {"floor", "margin"} & named:
        yield BadValue(("metric",), "neither floor nor margin is given", "add one of them, or both")
    if given.get("metric") == "accuracy":
        yield from _between("floor", given, 0, 1)
    margin, allowed = given.get("margin"), given.get("false_alarms_per_year")
    if isinstance(margin, int | float) and margin < 0:
        yield BadValue(("margin",), f"margin is {margin}", "it must be 0 or more")
    if isinstance(allowed, int | float) and not 0 < allowed <= 365:
        yield BadValue(
            ("false_alarms_per_year",),
            f"false_alarms_per_year is {allowed}",
            "it must be above 0, and 365 at most",
        )


def of_deadline(given: Given) -> Iterator[BadValue]:
    """Check the name of the output."""
    from batch_serving.monitoring.ages import check_output

    if isinstance(output := known_values(given).get("output"), str):
        yield from bad_values(("output",), check_output, output)


def _common_problems(given: Given) -> Iterator[BadValue]:
    yield from model_problems(given)
    yield from zone_problems(given)
    days = given.get("window_days")
    if isinstance(days, int) and days < 1:
        yield BadValue(("window_days",), f"window_days is {days}", "it must be 1 or more")


def _maturity_problems(given: Given) -> Iterator[BadValue]:
    days, share = given.get("maturity_days"), given.get("mature_share")
    if isinstance(days, int | float) and days < 0:
        yield BadValue(("maturity_days",), f"maturity_days is {days}", "it must be 0 or more")
    if isinstance(share, int | float) and not 0 < share <= 1:
        yield BadValue(("mature_share",), f"mature_share is {share}", "it must be above 0, and 1 at most")


def _between(name: str, given: Given, low: float, high: float) -> Iterator[BadValue]:
    value = given.get(name)
    if isinstance(value, int | float) and not low < value < high:
        yield BadValue((name,), f"{name} is {value}", f"it must be between {low} and {high}")
