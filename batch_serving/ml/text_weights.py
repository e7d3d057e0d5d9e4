"""Free texts as the weights of their words (TF-IDF); imports scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.feature_extraction.text import TfidfVectorizer

from batch_serving.ml.values import is_missing, text_of

MOST_WORDS = 20_000  # of all texts, words and pairs of words: the most frequent ones
WORD = r"(?u)\b\w+\b"  # also of one character, as in Korean


class TextWeights(TransformerMixin, BaseEstimator):
    """Turns one column of texts into a sparse matrix: a column for each word and each pair of neighbours.

    A value is the term's frequency in the text, weighted by how few texts have it, and each row has length 1
    (scikit-learn's TfidfVectorizer). A missing text, and one of words that training did not have, is a row of
    zeros.
    """

    def fit(self, frame: Any, _target: Any = None) -> TextWeights:
        """Learn the words of the training rows; ValueError if they have none."""
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.vectorizer_ = TfidfVectorizer(
            token_pattern=WORD, ngram_range=(1, 2), sublinear_tf=True, max_features=MOST_WORDS
        )
        try:
            self.vectorizer_.fit(_texts(frame))
        except ValueError:
            raise ValueError(f"column {frame.columns[0]!r} has no words to learn from") from None
        return self

    def transform(self, frame: Any) -> Any:
        """Return the weights, by row."""
        return self.vectorizer_.transform(_texts(frame))

    def get_feature_names_out(self, _names: Any = None) -> Any:
        """Return the terms, each after the name of the column."""
        name = self.feature_names_in_[0]
        return np.asarray(
            [f"{name}: {term}" for term in self.vectorizer_.get_feature_names_out()], dtype=object
        )


def _texts(frame: Any) -> list[str]:
    """Return the texts of the only column, empty where one is missing."""
    column = frame.iloc[:, 0]
    return ["" if is_missing(value) else text_of(value) for value in column.astype(object).tolist()]
