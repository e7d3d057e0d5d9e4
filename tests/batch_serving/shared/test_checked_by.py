"""Checks that a function brings along: what they report, and when an unknown argument keeps them silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from batch_serving.shared.checked_by import BadValue, Given, bad_values, checked_by, known_values, renamed
from batch_serving.shared.errors import InvalidValueError
from callables import monitoring, prediction, promotion, training


def check(given: Given) -> Iterator[BadValue]:
    """A size must be positive, and a unit needs a scale."""
    known = known_values(given)
    if known.get("size", 1) < 1:
        yield BadValue(("size",), "size is too small", "use 1")
    if "unit" in given and "scale" not in given:
        yield BadValue(("unit",), "unit needs `scale`", "add `scale`")


@checked_by(check)
@renamed(arguments={"ratio": "scale"}, values={"unit": {"metre": "m"}})
def measure(*, size: int = 1, unit: str = "m", scale: float = 1.0) -> None:
    """A task function."""


def problems(function: Callable[..., Any], **given: Any) -> list[tuple[str | int, ...]]:
    return [problem.path for problem in function.check_values(given)]  # type: ignore[attr-defined]


def test_a_function_has_its_check_and_its_old_names_as_attributes() -> None:
    assert measure.renamed_arguments == {"ratio": "scale"}  # type: ignore[attr-defined]
    assert measure.renamed_values == {"unit": {"metre": "m"}}  # type: ignore[attr-defined]
    assert problems(measure, size=0, unit="m") == [("size",), ("unit",)]
    assert problems(measure, size=..., unit="m", scale=...) == []


@pytest.mark.parametrize("name", ["ratio", "scal", "something_else"])
def test_a_value_that_is_wrong_only_because_of_an_unknown_argument_is_not_reported(name: str) -> None:
    """An old name, a typo, and a name that could be meant for any argument."""
    assert problems(measure, size=0, unit="m", **{name: 2}) == [("size",)]


def test_an_unknown_argument_that_resembles_another_one_hides_nothing() -> None:
    assert problems(measure, unit="m", siz=1) == [("unit",)]


def test_what_a_call_refuses_becomes_a_problem_with_its_hint() -> None:
    def refuse() -> None:
        raise InvalidValueError("size is 0", "it must be 1 or more")

    def fail() -> None:
        raise ValueError("two\nlines")

    assert list(bad_values(("a",), refuse)) == [BadValue(("a",), "size is 0", "it must be 1 or more")]
    assert list(bad_values(("a",), fail)) == [BadValue(("a",), "two")]
    assert list(bad_values(("a",), lambda: None)) == []


RUN = {"run_id": ..., "run_after": ...}
CASES: list[tuple[Callable[..., Any], dict[str, Any], list[tuple[str | int, ...]]]] = [
    # Old names.
    (prediction.draw_rows, {"dataset": ..., "rows": "incremental", "new_by": "id", "model": "m"}, []),
    (prediction.draw_rows, {"dataset": ..., "rows": "new", "new_by": "id", "progress": "a/b"}, []),
    (prediction.draw_rows, {"dataset": ..., "rows": "incremental", "new_by": "id"}, [("rows",)]),
    # Typos.
    (prediction.draw_rows, {"datset": "data/digits.csv", "run_id": ...}, []),
    (prediction.predict_rows, {"datset": "data/digits.csv", "model": "m", "selection": ..., **RUN}, []),
    (promotion.compare, {"model": "m", "metric": "max_error", "directoin": "minimize"}, []),
    (promotion.compare, {"model": "m", "metric": "max_error", "dry_rn": True}, [("metric",)]),
    (
        training.train_challenger,
        {
            "estimator": "sklearn.linear_model.SGDClassifier",
            "paramters": {"loss": "log_loss"},
            "metric": "neg_log_loss",
            "seconds": 3,
        },
        [],
    ),
    # Mistakes of their own.
    (
        training.train_challenger,
        {"candidates": 3, "folds": 1, "holdout_share": 2},
        [("folds",), ("holdout_share",)],
    ),
    (
        monitoring.maintain_predictions,
        {"model": "../m", "timezone": "Asia/Soul"},
        [("model",), ("timezone",)],
    ),
]


@pytest.mark.parametrize(("function", "given", "expected"), CASES)
def test_the_task_functions_report_only_their_own_mistakes(
    function: Callable[..., Any], given: dict[str, Any], expected: list[tuple[str | int, ...]]
) -> None:
    assert problems(function, **given) == expected


def test_the_old_names_of_the_task_functions_are_on_record() -> None:
    assert training.train_challenger.renamed_arguments == {  # type: ignore[attr-defined]
        "candidates": "n_candidates",
        "seconds": "time_budget_s",
    }
    assert prediction.draw_rows.renamed_arguments == {  # type: ignore[attr-defined]
        "count": "sample_size",
        "new_by": "cursor_column",
        "progress": "watermark",
    }
    assert prediction.draw_rows.renamed_values == {"rows": {"new": "incremental"}}  # type: ignore[attr-defined]
