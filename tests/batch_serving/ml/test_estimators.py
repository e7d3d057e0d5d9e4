"""Predictions and probabilities by one call, as by two."""

from __future__ import annotations

import pytest
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from batch_serving.ml import estimators


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=50),
        GaussianNB(),
        DecisionTreeClassifier(),
        RandomForestClassifier(10),
        HistGradientBoostingClassifier(max_iter=3),
        KNeighborsClassifier(4),
        SVC(),
        SGDClassifier(loss="log_loss", max_iter=5),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_predictions_are_those_of_the_model_itself(model: BaseEstimator) -> None:
    features, target = load_digits(return_X_y=True, as_frame=True)
    model.fit(features[:300], target[:300])  # type: ignore[attr-defined]
    predictions, _ = estimators.predict(model, features)
    assert list(predictions) == list(model.predict(features))  # type: ignore[attr-defined]
