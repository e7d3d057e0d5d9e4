"""Checks of the arguments that YAML gives compare."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

from batch_serving.ml.arguments import model_problems
from batch_serving.shared.checked_by import BadValue, Given, bad_values, known_values
from batch_serving.shared.run_context import parse_flag


def of_comparison(given: Given) -> Iterator[BadValue]:
    """Check the policy and the flags of a comparison."""
    from batch_serving.promotion.policy import Policy, policy_problems

    known = known_values(given)
    yield from model_problems(known)
    for name in ("roll_back", "dry_run"):
        yield from bad_values((name,), parse_flag, known.get(name, False), name)
    policy = {field.name: known[field.name] for field in fields(Policy) if known.get(field.name) is not None}
    if "direction" not in given:
        policy["direction"] = "maximize"  # the default
    for problem in policy_problems(policy):
        is_given = problem.path[0] in given
        yield problem if is_given else replace(problem, path=("metric",))
