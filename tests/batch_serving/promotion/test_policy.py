"""Policies that are not valid."""

from __future__ import annotations

from typing import Any

import pytest

from batch_serving.promotion.policy import Policy, policy_problems


def policy(**given: Any) -> Policy:
    return Policy(**{"metric": "accuracy", "direction": "maximize", **given})


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"test": "mcnemmar"}, "test is 'mcnemmar'; it must be one of none, mcnemar, paired_bootstrap"),
        ({"confidence": 95}, "confidence is 95; it must be at least 0.5 and less than 1, such as 0.95"),
        ({"floors": {"accuracy": float("nan")}}, "floors.accuracy is nan; it must be a number"),
        ({"min_delta": "0.1"}, "min_delta is '0.1'; it must be a number"),
        ({"floors": {1: 0.9}}, "floors has 1 as a metric; use a name such as accuracy"),
        ({"floors": ["accuracy"]}, "floors is ['accuracy']; it must be {metric: number, …}"),
        ({"min_delta": -0.1}, "min_delta is -0.1; it must be 0 or more"),
        ({"guardrails": {"f1_macro": -1}}, "guardrails.f1_macro is -1; it must be 0 or more"),
        ({"floors": {"acuracy": 0.9}}, "did you mean 'accuracy'?"),
        (
            {"guardrails": {"predict_ms": 20}},
            "the guardrail of a cost is 20; write by how much it may grow, as in 20 %",
        ),
        (
            {"guardrails": {"size_mb": "much"}},
            "the guardrail of a cost is 'much'; write by how much it may grow",
        ),
        ({"guardrails": {"size_mb": "-5 %"}}, "the guardrail of a cost is '-5 %'"),
        (
            {"guardrails": {"predictms": "20 %"}},
            "metric 'predictms' is not known; did you mean 'predict_ms'?",
        ),
        ({"floors": {"predict_ms": 20}}, "predict_ms is a cost; it can be a guardrail, not a floor"),
        ({"guardrails": {"accuracy": "5 %"}}, "guardrails.accuracy is '5 %'; it must be a number"),
        ({"folds": 1}, "folds is 1; it must be a whole number, 2 or more"),
        ({"repeats": 2.5}, "repeats is 2.5; it must be a whole number, 1 or more"),
        ({"false_promotions_per_year": 0}, "false_promotions_per_year is 0; it must be 0.01 or more"),
        ({"contender_days": "7"}, "contender_days is '7'; it must be a number"),
        (
            {"test": "sequential", "metric": "f1_macro"},
            "metric 'f1_macro' is not a mean over rows, which sequential tests; use one of accuracy, mean_abs",
        ),
    ],
)
def test_an_invalid_policy_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        policy(**wrong)
    assert message in str(error.value)


def test_every_problem_of_a_policy_is_found() -> None:
    fields = {"metric": "max_error", "direction": "maximize", "confidence": 2, "min_delta": -1, "test": "t"}
    problems = list(policy_problems({**fields, "floors": {"acuracy": 0.9}}))
    paths = [("direction",), ("test",), ("floors", "acuracy"), ("min_delta",), ("confidence",)]
    assert [problem.path for problem in problems] == paths


@pytest.mark.parametrize("limits", ["guardrails", "floors"])
def test_a_misspelt_cost_is_one_problem(limits: str) -> None:
    fields = {"metric": "accuracy", "direction": "maximize", limits: {"siez_mb": "100 %"}}
    assert [problem.path for problem in policy_problems(fields)] == [(limits, "siez_mb")]
