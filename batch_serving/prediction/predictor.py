"""Rows through a loaded model: checked against its training data, predicted, and counted for drift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from batch_serving.ml.columns import out_of_range
from batch_serving.ml.values import numbers_of, texts_of
from batch_serving.prediction.feature_rules import FeatureRule
from batch_serving.prediction.row_source import Wanted
from batch_serving.prediction.run_files import Predictions
from batch_serving.shared.wording import SHOWN, counted

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.prediction.row_source import RowSource
    from batch_serving.registry.store import Loaded

Feature = dict[str, Any]  # what a version's record says of a feature


class Shadow(Protocol):
    """What sees the rows that a Predictor predicts: see ``shadow``."""

    def begin(self, wanted: Wanted) -> Wanted:
        """Return the columns to read; all rows follow."""

    def keep(self, frame: pd.DataFrame) -> None:
        """Take the next rows."""


class Predictor:
    """Checks rows of a source, predicts them with a loaded model, and counts what is unusual."""

    def __init__(
        self,
        loaded: Loaded,
        features: list[Feature],
        source: RowSource,
        shadow: Shadow | None = None,
        *,
        counts: bool = True,
    ) -> None:
        """Take the model, what its record says of its features, and where the rows come from.

        ``shadow`` sees the same rows before they are predicted. Without ``counts``, what is unusual is not
        counted.
        """
        self._model, self._rules = loaded.model, [FeatureRule.of(feature) for feature in features]
        self.version, self.source = loaded.version, source
        self.names = [rule.name for rule in self._rules]
        self.wanted = Wanted(
            tuple(rule.name for rule in self._rules if rule.is_number),
            tuple(rule.name for rule in self._rules if not rule.is_number),
        )
        self._shadow, self._counts = shadow, counts
        if shadow is not None:
            self.wanted = shadow.begin(self.wanted)
        self.out_of_range: dict[str, int] = {}  # rows by feature
        self.never_seen: dict[str, int] = {}
        self.empty: dict[str, int] = {}
        self._unknown_texts: dict[str, str] = {}  # an example of each feature that has some
        self._texts_seen: dict[str, int] = {}  # rows with a text, by feature
        self._bins = {f["name"]: f["distribution"] for f in features if counts and "distribution" in f}
        self._known = {rule.name: rule.known for rule in self._rules}
        self.drift_counts = {name: [0] * len(bins["shares"]) for name, bins in self._bins.items()}

    def predict(self, frame: pd.DataFrame) -> Predictions:
        """Return what the model predicts for rows; ValueError for rows that it cannot use."""
        from batch_serving.ml import drift, estimators

        if self._shadow is not None:
            self._shadow.keep(frame)
        frame = frame.copy(deep=False)
        self._check_names(frame)
        for rule in self._rules:
            self._check_column(frame, rule)
        for name, bins in self._bins.items():
            counts = zip(
                self.drift_counts[name], drift.count(bins, frame[name], self._known[name]), strict=True
            )
            self.drift_counts[name] = [old + new for old, new in counts]
        values, probabilities = estimators.predict(self._model, frame[self.names])
        shares = None if probabilities is None else probabilities.tolist()
        return Predictions(frame[self.source.id_column].tolist(), values.tolist(), shares)

    def _check_names(self, frame: pd.DataFrame) -> None:
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            raise ValueError(
                f"{self.source.name} lacks columns that version {self.version} was trained on: {missing}"
            )

    def _check_column(self, frame: pd.DataFrame, rule: FeatureRule) -> None:
        """Bring a column into the form of training, and count what is unusual in it."""
        name = rule.name
        if not rule.is_number:
            frame[name] = _texts_of(frame[name], rule)
        empty = int(frame[name].isna().sum())
        if empty:
            _add(self.empty, name, empty)
        if rule.is_number:
            self._check_numbers(frame, rule)
        else:
            self._count_never_seen(frame[name], rule)

    def _check_numbers(self, frame: pd.DataFrame, rule: FeatureRule) -> None:
        name = rule.name
        column, wrong = numbers_of(frame[name], accepts_flags=rule.accepts_flags)
        if wrong.any():
            self._refuse(frame, name, frame[name][wrong], rule.needed)
        if column.dtype.kind == "f":
            infinite = column.abs() == float("inf")
            if infinite.any():
                self._refuse(frame, name, frame[name][infinite])
        frame[name] = column
        if self._counts and rule.low is not None and rule.high is not None:
            outside = int(out_of_range(column, rule.low, rule.high).sum())
            if outside:
                _add(self.out_of_range, name, outside)

    def _refuse(
        self, frame: pd.DataFrame, name: str, values: pd.Series, needed: str = "a number"
    ) -> NoReturn:
        ids = frame.loc[values.index, self.source.id_column]
        pairs = list(zip(ids, values, strict=True))[:SHOWN]
        shown = ", ".join(f"row {row} has {str(value)[:30]!r}" for row, value in pairs)
        raise ValueError(f"column {name!r} of {self.source.name} must be {needed}, but {shown}")

    def _count_never_seen(self, column: pd.Series, rule: FeatureRule) -> None:
        """Count texts that were not in the training rows: the model ignores them."""
        if rule.categories is None:
            return
        present = column.notna()
        _add(self._texts_seen, rule.name, int(present.sum()))
        others = column[present & ~column.isin(rule.categories)]
        if len(others):
            _add(self.never_seen, rule.name, len(others))
            self._unknown_texts.setdefault(rule.name, str(others.iloc[0])[:30])

    def check_known(self) -> None:
        """Raise ValueError if no text of a column was in the training rows: all would be predicted alike."""
        for rule in self._rules:
            name = rule.name
            if rule.knows_none(self._texts_seen.get(name, 0), self.never_seen.get(name, 0)):
                shown = ", ".join(map(repr, (rule.categories or ())[:SHOWN]))
                raise ValueError(
                    f"column {name!r} of {self.source.name} has no text that {self.version} knows: "
                    f"{self._unknown_texts[name]!r} for example, but it was trained on {shown}; give the "
                    "values as the training data has them, or train again"
                )

    def warnings(self) -> Iterator[str]:
        """Yield what may be unintended in the rows so far, by feature."""
        gaps = {rule.name for rule in self._rules if rule.had_gaps and rule.name in self._bins}
        unusual = {name: rows for name, rows in self.empty.items() if name not in gaps}
        if unusual:
            yield f"empty, though {self.version} was trained on rows without gaps: {_by_feature(unusual)}"
        if self.out_of_range:
            yield f"outside the training range of {self.version}: {_by_feature(self.out_of_range)}"
        if self.never_seen:
            shown = ", ".join(
                f"{name} in {counted(rows, 'row')} (for example {self._unknown_texts[name]!r})"
                for name, rows in sorted(self.never_seen.items())
            )
            yield f"texts that {self.version} has never seen: {shown}"


def _add(counts: dict[str, int], name: str, rows: int) -> None:
    counts[name] = counts.get(name, 0) + rows


def _by_feature(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} in {counted(rows, 'row')}" for name, rows in sorted(counts.items()))


def _texts_of(column: pd.Series, rule: FeatureRule) -> pd.Series:
    """Return a column's texts; flags in the spelling of training, where they were texts beside gaps."""
    if not rule.spelling:
        return texts_of(column)
    import pandas as pd

    texts = [rule.text(value) for value in column.astype(object).tolist()]
    return pd.Series(texts, index=column.index, name=column.name, dtype=object)
