"""Columns with a kind of their own: free texts by their words."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from batch_serving.ml.column_kinds import transformer_of
from batch_serving.ml.estimators import build_pipeline
from batch_serving.ml.settings import TrainingSettings
from batch_serving.registry.store import ModelStore
from batch_serving.shared.errors import InvalidValueError
from callables import training

LINEAR = "sklearn.linear_model.LogisticRegression"
REVIEWS = pd.DataFrame({"size": [1, 2, 3, 4], "review": ["very good", "good!", "bad", "very bad"]})
OPINIONS = pd.Series(["+", "+", "-", "-"])


def test_words_have_the_weights_of_the_formula() -> None:
    """TF-IDF with ln((1+n)/(1+df))+1, and rows of length 1, for one word and pairs of words."""
    made = transformer_of("text").fit(REVIEWS[["review"]])
    names = made.get_feature_names_out().tolist()
    assert names == [f"review: {term}" for term in ("bad", "good", "very", "very bad", "very good")]
    row = made.transform(pd.DataFrame({"review": ["very good"]})).toarray()[0]
    twice, once = np.log(5 / 3) + 1, np.log(5 / 2) + 1
    length = np.sqrt(2 * twice**2 + once**2)
    assert row == pytest.approx([0, twice / length, twice / length, 0, once / length])


@pytest.mark.parametrize("value", [None, float("nan"), "", "NA", "새로운 말"])
def test_a_missing_text_and_new_words_are_zeros(value: Any) -> None:
    made = transformer_of("text").fit(REVIEWS[["review"]])
    assert made.transform(pd.DataFrame({"review": [value]})).nnz == 0


def test_words_of_one_character_count() -> None:
    made = transformer_of("text").fit(pd.DataFrame({"review": ["안 좋다", "좋다"]}))
    assert made.get_feature_names_out().tolist() == ["review: 안", "review: 안 좋다", "review: 좋다"]


def test_a_pipeline_has_them_beside_the_other_columns_and_can_be_stored() -> None:
    model = build_pipeline(REVIEWS, LINEAR, {}, None, {"review": "text"}).fit(REVIEWS, OPINIONS)
    names = model[:-1].get_feature_names_out().tolist()
    assert names[0] == "size"
    assert len(names) == 6
    again = pickle.loads(pickle.dumps(model))
    assert again.predict(REVIEWS).tolist() == model.predict(REVIEWS).tolist() == OPINIONS.tolist()


@pytest.mark.parametrize(
    ("kinds", "estimator", "said"),
    [
        ({"review": "txt"}, LINEAR, "the kind of a column is 'txt'.*text"),
        ({"reviews": "text"}, LINEAR, "there is no feature 'reviews'.*did you mean 'review'"),
        (
            {"review": "text"},
            "sklearn.ensemble.HistGradientBoostingClassifier",
            "takes no sparse matrix, which column_kinds makes of texts",
        ),
    ],
)
def test_what_cannot_be_learnt_is_refused(kinds: dict[str, str], estimator: str, said: str) -> None:
    with pytest.raises(InvalidValueError, match=said):
        build_pipeline(REVIEWS, estimator, {}, None, kinds)


def test_texts_without_a_word_are_refused() -> None:
    with pytest.raises(ValueError, match="column 'review' has no words to learn from"):
        transformer_of("text").fit(pd.DataFrame({"review": ["!", ""]}))


def test_a_training_without_kinds_has_the_hash_of_earlier_releases() -> None:
    settings = TrainingSettings("m", "d.csv", "t", LINEAR, "accuracy", "run", "2026-01-01T00:00:00+00:00")
    assert settings.inputs_hash("0") == "bcd8d5e7f0ea93a6c23a01fe81df92c46c6fcf4a4f7b4e55e83850e8f4e958fa"


def test_their_record_has_the_kind_and_no_list_of_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_OUTPUT", str(tmp_path / "output"))
    texts = ["works very well", "broke very soon"]
    rows = [f"{row},{texts[row % 2]} {row},{'+-'[row % 2]}" for row in range(60)]
    (tmp_path / "reviews.csv").write_text("\n".join(["id,review,opinion", *rows]))
    given = {"dataset": str(tmp_path / "reviews.csv"), "target": "opinion", "row_id": "id"}
    kinds = {"column_kinds": {"review": "text"}}
    assert training.check_dataset(**given, **kinds)["warnings"] == []
    assert training.check_dataset(**given)["warnings"]  # of a column of categories, which it is not
    run = {"run_id": "run", "run_after": "2026-01-01T00:00:00+00:00"}
    made = training.train_challenger(
        model="reviews", **given, estimator=LINEAR, metric="accuracy", **run, **kinds
    )
    assert made["metrics"]["accuracy"] == 1
    metadata = ModelStore("reviews").metadata(made["version"])
    assert metadata["features"] == [{"name": "review", "dtype": "object", "kind": "text"}]
