"""Paired tests of two models on the same rows."""

from __future__ import annotations

import random
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from batch_serving.ml.estimators import find_scorer
from batch_serving.promotion.paired_tests import Answers, paired_test
from batch_serving.promotion.policy import Policy


def cancer() -> tuple[pd.DataFrame, pd.Series, pd.Series]:
    """Features and target of scikit-learn's breast cancer data, and which rows are held out."""
    data = load_breast_cancer(as_frame=True)
    held_out = pd.Series(range(len(data.target))) % 5 == 0
    return data.data, data.target, held_out


@pytest.fixture(scope="module")
def good_and_bad() -> tuple[Any, Any, pd.DataFrame, pd.Series]:
    """Two classifiers, one clearly better, and the rows to score both on."""
    features, target, held_out = cancer()
    good = make_pipeline(StandardScaler(), LogisticRegression()).fit(features[~held_out], target[~held_out])
    bad = DecisionTreeClassifier(max_depth=1, random_state=0).fit(features[~held_out], target[~held_out])
    return good, bad, features[held_out], target[held_out]


@pytest.mark.parametrize(
    ("test", "metric"),
    [("mcnemar", "accuracy"), ("paired_bootstrap", "accuracy"), ("paired_bootstrap", "neg_log_loss")],
)
@pytest.mark.usefixtures("few_draws")
def test_a_clear_gain_is_sure_and_its_opposite_is_not(
    good_and_bad: tuple[Any, Any, pd.DataFrame, pd.Series], test: str, metric: str
) -> None:
    good, bad, features, target = good_and_bad
    rules = Policy(metric, "maximize", test=test)
    assert paired_test(rules, good, bad, features, target).sure
    assert not paired_test(rules, bad, good, features, target).sure


@pytest.mark.usefixtures("few_draws")
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
    with pytest.raises(ValueError, match="is for classification; use 'paired_bootstrap'"):
        paired_test(Policy("r2", "maximize", test="mcnemar"), good, bad, *rows)


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_same_scores_come_from_the_answers_as_from_the_model(seed: int) -> None:
    features, target, held_out = cancer()
    model = RandomForestClassifier(5, random_state=seed).fit(features[~held_out], target[~held_out])
    rows = random.Random(seed).choices(range(int(held_out.sum())), k=80)
    answers = Answers(model, features[held_out])
    for metric in ("accuracy", "f1_macro", "roc_auc", "neg_brier_score"):
        scorer = find_scorer(metric)[0]
        direct = scorer(model, features[held_out].iloc[rows], target[held_out].iloc[rows])
        assert scorer(answers, rows, target[held_out].to_numpy()[rows]) == pytest.approx(direct)


def test_too_few_rows_for_the_metric_are_refused() -> None:
    features, target, held_out = cancer()
    model = DecisionTreeClassifier(random_state=0).fit(features[~held_out], target[~held_out])
    one_class = target[held_out][target[held_out] == 1]
    with pytest.raises(ValueError, match="roc_auc can be measured on only 0 of 1000 draws"):
        rules = Policy("roc_auc", "maximize", test="paired_bootstrap")
        paired_test(rules, model, model, features.loc[one_class.index], one_class)
