"""Text columns of any number of texts: their matrix stays in proportion to the rows."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from batch_serving.ml.estimators import build_pipeline
from batch_serving.ml.one_hot import FEWEST_PER_FEATURE, MOST_DENSE_COLUMNS, most_per_feature
from batch_serving.ml.search import size_of

ROWS = 5_000
SPARSE = [
    "sklearn.linear_model.LogisticRegression",
    "sklearn.ensemble.RandomForestClassifier",
    "sklearn.svm.LinearSVC",
    "sklearn.neighbors.KNeighborsClassifier",
    "sklearn.linear_model.Ridge",
]
DENSE = [
    "sklearn.ensemble.HistGradientBoostingClassifier",
    "sklearn.naive_bayes.GaussianNB",
    "sklearn.discriminant_analysis.LinearDiscriminantAnalysis",
    "sklearn.gaussian_process.GaussianProcessRegressor",
]


def frame_of(texts: int, rows: int = ROWS) -> pd.DataFrame:
    """Return a number and a text column with so many different texts, the low ones more often."""
    draw = np.random.default_rng(0)
    numbers = [*range(texts), *(draw.integers(0, texts, rows - texts) ** 2 // texts)]
    return pd.DataFrame({"x": draw.normal(size=rows), "t": [f"text {number}" for number in numbers]})


@pytest.mark.parametrize("path", SPARSE)
def test_an_estimator_that_takes_sparse_matrices_gets_one_of_many_texts(path: str) -> None:
    frame = frame_of(texts=ROWS)  # all different
    columns = build_pipeline(frame, path, {}, None)[0]
    matrix = columns.fit_transform(frame)
    assert sparse.issparse(matrix)
    assert matrix.shape == (ROWS, ROWS + 1)
    assert size_of(matrix) < ROWS * 40  # 12 bytes a value, and what points at them
    assert columns.transform(frame.head(3)).shape == (3, ROWS + 1)


@pytest.mark.parametrize("path", DENSE)
def test_one_that_takes_none_gets_the_most_frequent_texts_and_a_warning_names_the_column(
    path: str, caplog: pytest.LogCaptureFixture
) -> None:
    frame = frame_of(texts=3_000)
    with caplog.at_level(logging.WARNING):
        columns = build_pipeline(frame, path, {}, None)[0]
    matrix = columns.fit_transform(frame)
    assert isinstance(matrix, np.ndarray)
    assert matrix.shape == (ROWS, MOST_DENSE_COLUMNS + 1)
    assert f"{path.rpartition('.')[2]} takes no sparse matrix" in caplog.text
    assert "'t' (3,000 texts)" in caplog.text
    names = [*columns.get_feature_names_out()]
    assert "t_text 0" in names  # the most frequent one
    assert names[-1] == "t_infrequent_sklearn"
    new = pd.DataFrame({"x": [0.0], "t": ["never seen"]})
    assert columns.transform(new)[0, -1] == 1


@pytest.mark.parametrize("path", [*SPARSE, *DENSE])
def test_few_texts_are_dense_for_all(path: str, caplog: pytest.LogCaptureFixture) -> None:
    frame = frame_of(texts=MOST_DENSE_COLUMNS)
    matrix = build_pipeline(frame, path, {}, None)[0].fit_transform(frame)
    assert isinstance(matrix, np.ndarray)
    assert matrix.shape == (ROWS, MOST_DENSE_COLUMNS + 1)
    assert not caplog.records


def test_sparse_and_dense_give_the_same_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = frame_of(texts=400)
    target = frame["x"] + frame["t"].str.len() > 8
    found = []
    for most in (MOST_DENSE_COLUMNS, 10_000):
        monkeypatch.setattr("batch_serving.ml.one_hot.MOST_DENSE_COLUMNS", most)
        pipeline = build_pipeline(frame, SPARSE[1], {"n_estimators": 20, "random_state": 0}, None)
        matrix = pipeline[0].fit_transform(frame)
        found.append((sparse.issparse(matrix), pipeline.fit(frame, target).predict_proba(frame)))
    assert [is_sparse for is_sparse, _ in found] == [True, False]
    assert np.allclose(found[0][1], found[1][1])


@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=60))
def test_the_columns_of_all_features_are_shared_out(counts: list[int]) -> None:
    most = most_per_feature(counts)
    used = sum(min(count, most) for count in counts)
    assert most >= FEWEST_PER_FEATURE
    assert used <= max(MOST_DENSE_COLUMNS, FEWEST_PER_FEATURE * len(counts))
    if most > FEWEST_PER_FEATURE:  # nothing is left that one column more for each could use
        assert sum(min(count, most + 1) for count in counts) > MOST_DENSE_COLUMNS or used == sum(counts)
