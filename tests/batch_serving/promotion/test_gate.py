"""The gate: what it never does, whatever the scores; and how often luck alone gets a model through."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier

from batch_serving.promotion.gate import Evidence, Verdict, judge
from batch_serving.promotion.paired_tests import paired_test
from batch_serving.promotion.policy import Policy
from batch_serving.shared.root import PROJECT_ROOT

SCORE = st.floats(0, 1)


SURE = Evidence(True, "sure", {})


def policy(**given: Any) -> Policy:
    return Policy(**{"metric": "accuracy", "direction": "maximize", **given})


@given(
    new=SCORE,
    old=SCORE,
    floor=SCORE,
    f1=SCORE,
    delta=st.floats(0, 0.1),
    tie=st.sampled_from(["keep", "newest"]),
)
def test_what_fails_a_floor_is_never_promoted(
    new: float, old: float, floor: float, f1: float, delta: float, tie: str
) -> None:
    rules = policy(floors={"f1_macro": floor}, min_delta=delta, on_tie=tie)
    scores = {"accuracy": new, "f1_macro": f1}
    for champion in ({}, {"accuracy": old, "f1_macro": old}):
        if judge(rules, scores, champion, lambda: SURE).promote:
            assert f1 >= floor


def test_tests_with_a_gain_of_their_own_decide_whatever_the_holdout_says() -> None:
    worse, better = {"accuracy": 0.9}, {"accuracy": 0.95}
    for test in ("cross_validated", "sequential"):
        rules = policy(test=test, min_delta=0.01, floors={"accuracy": 0.85})
        for new, old in ((worse, better), (better, better), (better, worse)):
            assert judge(rules, new, old, lambda: SURE) == Verdict(True, "sure", SURE)
            unsure = Evidence(False, "not certainly better yet", {})
            assert not judge(rules, new, old, lambda unsure=unsure: unsure).promote
        assert not judge(rules, {"accuracy": 0.8}, worse, lambda: SURE).promote  # below the floor
        assert judge(rules, worse, {}).reason.startswith("the first model")


@pytest.mark.parametrize(("cost", "promoted"), [(12.0, True), (12.1, False), (5.0, True)])
def test_a_cost_may_grow_by_its_guardrail(cost: float, promoted: bool) -> None:
    rules = policy(guardrails={"predict_ms": "20 %"})
    new, old = {"accuracy": 0.95, "predict_ms": cost}, {"accuracy": 0.9, "predict_ms": 10.0}
    assert judge(rules, new, old).promote == promoted


@given(score=SCORE, delta=st.floats(0, 0.1), test=st.sampled_from(["none", "mcnemar", "paired_bootstrap"]))
def test_a_tie_never_changes_the_champion_under_keep(score: float, delta: float, test: str) -> None:
    found = judge(policy(min_delta=delta, test=test), {"accuracy": score}, {"accuracy": score}, lambda: SURE)
    assert not found.promote


@given(new=SCORE, old=SCORE, delta=st.floats(0, 0.1), guard=st.floats(0, 0.1))
def test_what_is_promoted_is_better_by_the_delta_and_keeps_the_guardrail(
    new: float, old: float, delta: float, guard: float
) -> None:
    rules = policy(min_delta=delta, guardrails={"f1_macro": guard})
    if judge(rules, {"accuracy": new, "f1_macro": old}, {"accuracy": old, "f1_macro": new}).promote:
        assert new - old >= delta - 1e-9
        assert new - old <= guard + 1e-9  # f1 went the other way


@given(new=st.floats(0, 9), old=st.floats(0, 9))
def test_errors_are_judged_the_other_way_round(new: float, old: float) -> None:
    name = "mean_absolute_error"
    found = judge(Policy(name, "minimize"), {name: new}, {name: old})
    assert not found.promote or new < old


def test_rounding_alone_is_a_tie_whatever_the_size_of_the_error() -> None:
    name = "mean_squared_error"
    found = judge(Policy(name, "minimize"), {name: 874734945326.2809}, {name: 874734945326.281})
    assert found.reason.startswith("a tie")


@pytest.mark.slow
def test_a_retrain_that_differs_by_its_seed_alone_is_hardly_ever_promoted() -> None:
    """By a paired bootstrap: fewer than one in ten, where ``>`` takes more than a third."""
    text = (PROJECT_ROOT / "dag_configs" / "promote_model.yaml").read_text(encoding="utf-8")
    given = yaml.safe_load(text)["promote_model"]["tasks"]["compare"]["op_kwargs"]
    names = ("metric", "direction", "min_delta", "on_tie", "confidence")
    rules = Policy(**{name: given[name] for name in names}, test="paired_bootstrap")
    digits = pd.read_csv(Path(PROJECT_ROOT) / "data" / "digits.csv")
    features, target = digits.drop(columns=["row_id", "digit"]), digits["digit"]
    held_out = digits["row_id"] % 5 == 0
    forests = [
        RandomForestClassifier(20, random_state=seed).fit(features[~held_out], target[~held_out])
        for seed in range(12)
    ]
    rows = features[held_out], target[held_out]
    scores = [{"accuracy": float(forest.score(*rows))} for forest in forests]
    pairs = random.Random(0).sample(list(itertools.permutations(range(len(forests)), 2)), 40)
    by_luck = sum(scores[new]["accuracy"] > scores[old]["accuracy"] for new, old in pairs)
    promoted = sum(
        judge(
            rules,
            scores[new],
            scores[old],
            lambda new=new, old=old: paired_test(rules, forests[new], forests[old], *rows),
        ).promote
        for new, old in pairs
    )
    assert promoted < len(pairs) / 10
    assert by_luck > len(pairs) / 3


@pytest.mark.parametrize(("milliseconds", "promoted"), [(0.6, True), (0.8, False)])
def test_less_than_half_a_millisecond_is_not_compared(milliseconds: float, promoted: bool) -> None:
    new, old = {"accuracy": 0.9, "predict_ms": milliseconds}, {"accuracy": 0.8, "predict_ms": 0.2}
    assert judge(policy(guardrails={"predict_ms": "50 %"}), new, old).promote is promoted
