"""The gate: what it never does, whatever the scores; and how often luck alone gets a model through."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from callables._files import PROJECT_ROOT
from callables._gate import Evidence, Policy, judge
from callables._paired_tests import Answers, paired_test

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


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"test": "mcnemmar"}, "test is 'mcnemmar'; it must be one of none, mcnemar, paired_bootstrap"),
        ({"confidence": 95}, "confidence is 95; it must be from 0.5 to below 1, such as 0.95"),
        ({"floors": {"accuracy": float("nan")}}, "floors.accuracy is nan; it must be a number"),
        ({"min_delta": "0.1"}, "min_delta is '0.1'; it must be a number"),
        ({"floors": {1: 0.9}}, "floors has 1 for a metric; it must be a name, such as accuracy"),
        ({"floors": ["accuracy"]}, "floors is ['accuracy']; it must be {metric: number, …}"),
        ({"min_delta": -0.1}, "min_delta is -0.1; it must be 0 or more"),
        ({"guardrails": {"f1_macro": -1}}, "guardrails.f1_macro is -1; it must be 0 or more"),
        ({"floors": {"acuracy": 0.9}}, "did you mean 'accuracy'?"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        policy(**wrong)
    assert message in str(error.value)


def test_rounding_alone_is_a_tie_whatever_the_size_of_the_error() -> None:
    name = "mean_squared_error"
    found = judge(Policy(name, "minimize"), {name: 874734945326.2809}, {name: 874734945326.281})
    assert found.reason.startswith("a tie")


def cancer() -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Features and target of scikit-learn's breast cancer data, and which rows are held out."""
    data = load_breast_cancer(as_frame=True)
    held_out = pd.Series(range(len(data.target))) % 5 == 0
    return data.data, data.target, held_out


@pytest.fixture(scope="module")
def good_and_bad() -> tuple[Any, Any, pd.DataFrame, pd.Series]:
    """Two classifiers, one clearly better, and the rows that both are to be scored on."""
    features, target, held_out = cancer()
    good = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[~held_out], target[~held_out])
    bad = DecisionTreeClassifier(max_depth=1, random_state=0).fit(features[~held_out], target[~held_out])
    return good, bad, features[held_out], target[held_out]


@pytest.mark.parametrize(
    ("test", "metric"),
    [("mcnemar", "accuracy"), ("paired_bootstrap", "accuracy"), ("paired_bootstrap", "neg_log_loss")],
)
def test_a_clear_gain_is_sure_and_its_opposite_is_not(
    good_and_bad: tuple[Any, Any, pd.DataFrame, pd.Series], test: str, metric: str
) -> None:
    good, bad, features, target = good_and_bad
    rules = Policy(metric, "maximize", test=test)
    assert paired_test(rules, good, bad, features, target).sure
    assert not paired_test(rules, bad, good, features, target).sure


def test_regression_has_its_bootstrap_and_no_mcnemar() -> None:
    data = load_diabetes(as_frame=True)
    held_out = pd.Series(range(len(data.target))) % 4 == 0
    fit = (data.data[~held_out], data.target[~held_out])
    good, bad = LinearRegression().fit(*fit), DecisionTreeRegressor(random_state=0).fit(*fit)
    rows = (data.data[held_out], data.target[held_out])
    rules = Policy("root_mean_squared_error", "minimize", test="paired_bootstrap")
    found = paired_test(rules, good, bad, *rows)
    assert found.sure
    assert found.numbers["low"] > 0
    assert "is above 0" in found.sentence
    with pytest.raises(ValueError, match="is for classification; take 'paired_bootstrap'"):
        paired_test(Policy("r2", "maximize", test="mcnemar"), good, bad, *rows)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_same_scores_come_from_the_answers_as_from_the_model(seed: int) -> None:
    features, target, held_out = cancer()
    model = RandomForestClassifier(5, random_state=seed).fit(features[~held_out], target[~held_out])
    rows = random.Random(seed).choices(range(int(held_out.sum())), k=80)
    from callables._estimators import find_scorer

    answers = Answers(model, features[held_out])
    for metric in ("accuracy", "f1_macro", "roc_auc", "neg_brier_score"):
        scorer = find_scorer(metric)[0]
        direct = scorer(model, features[held_out].iloc[rows], target[held_out].iloc[rows])
        assert scorer(answers, rows, target[held_out].to_numpy()[rows]) == pytest.approx(direct)


def test_rows_too_few_for_the_metric_are_told() -> None:
    features, target, held_out = cancer()
    model = DecisionTreeClassifier(random_state=0).fit(features[~held_out], target[~held_out])
    one_class = target[held_out][target[held_out] == 1]
    with pytest.raises(ValueError, match="roc_auc can be measured on only 0 of 1000 draws"):
        rules = Policy("roc_auc", "maximize", test="paired_bootstrap")
        paired_test(rules, model, model, features.loc[one_class.index], one_class)


@pytest.mark.slow
def test_a_retrain_that_differs_by_its_seed_alone_is_hardly_ever_promoted() -> None:
    """Under the policy in promote_model.yaml: fewer than one in ten, where ``>`` takes more than a third."""
    text = (PROJECT_ROOT / "dag_configs" / "promote_model.yaml").read_text(encoding="utf-8")
    given = yaml.safe_load(text)["promote_model"]["tasks"]["compare"]["op_kwargs"]
    names = ("metric", "direction", "min_delta", "on_tie", "test", "confidence")
    rules = Policy(**{name: given[name] for name in names})
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
