"""Rows through a loaded model: checked against what it learnt from, predicted, and counted."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NoReturn

from callables._dataset_checks import NO_VALUE, RANGE_SLACK, ROWS_SHOWN, is_number

if TYPE_CHECKING:
    import pandas as pd

    from callables._model_store import Loaded
    from callables._row_source import RowSource


class Predictor:
    """A loaded model with what its record says of its features: checks rows, predicts, and counts."""

    def __init__(self, loaded: Loaded, features: list[dict[str, Any]], source: RowSource) -> None:
        self._loaded, self._features, self._source = loaded, features, source
        self.names = [feature["name"] for feature in features]
        self.texts = [feature["name"] for feature in features if not is_number(feature["dtype"])]
        self.out_of_range: dict[str, int] = {}
        self.never_seen: dict[str, int] = {}
        self._unknown: dict[str, str] = {}  # one text of each column that has some
        self.empty: dict[str, int] = {}
        bins = {f["name"]: f["distribution"] for f in features if "distribution" in f}
        self._bins = bins
        self.counts = {name: [0] * len(one["shares"]) for name, one in bins.items()}

    def predict(self, frame: pd.DataFrame) -> tuple[list[str], list, list | None]:
        """Return the ids, the predictions and, where the model gives them, the probabilities of rows."""
        from callables import _drift, _estimators

        frame = frame.copy(deep=False)
        self._check(frame)
        for name, bins in self._bins.items():
            fresh = _drift.count(bins, frame[name])
            self.counts[name] = [old + new for old, new in zip(self.counts[name], fresh, strict=True)]
        predictions, probabilities = _estimators.predict(self._loaded.model, frame[self.names])
        shares = None if probabilities is None else probabilities.tolist()
        return frame[self._source.id_column].tolist(), predictions.tolist(), shares

    def _check(self, frame: pd.DataFrame) -> None:
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            raise ValueError(
                f"{self._source.name} lacks columns that version {self._loaded.version} learnt from: "
                f"{missing}"
            )
        for feature in self._features:
            name = feature["name"]
            column = frame[name]
            if not is_number(feature["dtype"]):
                frame[name] = column = _as_texts(column)
            if empty := int(column.isna().sum()):
                self.empty[name] = self.empty.get(name, 0) + empty
            if not is_number(feature["dtype"]):
                self._count_never_seen(column, feature)
                continue
            if column.dtype.kind not in "iufb" and not column.isna().all():
                # Another row of the file may be the one with the text.
                frame[name] = column = self._as_numbers(frame, name)
            if column.dtype.kind == "f" and (endless := column.abs() == float("inf")).any():
                self._refuse(frame, name, column[endless])
            low, high = feature.get("min"), feature.get("max")
            if low is None or high is None:
                continue
            slack = RANGE_SLACK * (high - low)
            outside = int(((column < low - slack) | (column > high + slack)).sum())
            if outside:
                self.out_of_range[name] = self.out_of_range.get(name, 0) + outside

    def _as_numbers(self, frame: pd.DataFrame, name: str) -> pd.Series:
        import pandas as pd

        column = frame[name]
        if column.dtype.kind in "mM":  # a time is none, though pandas would count its nanoseconds
            self._refuse(frame, name, column.dropna())
        numbers = pd.to_numeric(column, errors="coerce")
        texts = column[numbers.isna() & column.notna()]
        if len(texts):
            self._refuse(frame, name, texts)
        return numbers

    def _refuse(self, frame: pd.DataFrame, name: str, values: pd.Series) -> NoReturn:
        ids = frame.loc[values.index, self._source.id_column]
        shown = ", ".join(
            f"row {i} has {str(v)[:30]!r}" for i, v in list(zip(ids, values, strict=True))[:ROWS_SHOWN]
        )
        raise ValueError(f"column {name!r} of {self._source.name} must be a number, but {shown}")

    def _count_never_seen(self, column: pd.Series, feature: dict[str, Any]) -> None:
        """Count texts that no row in training had: the model takes them for nothing at all."""
        if (known := feature.get("categories")) is None:
            return
        others = column[column.notna() & ~column.isin(known)]
        if len(others):
            name = feature["name"]
            self.never_seen[name] = self.never_seen.get(name, 0) + len(others)
            self._unknown.setdefault(name, str(others.iloc[0])[:30])

    def warnings(self) -> Iterator[str]:
        """Yield what is worth a look: features whose values lie beyond what was learnt from."""
        # The last share is that of empty cells: where there were none to learn from, they are news.
        learnt = {name: bins["shares"][-1] for name, bins in self._bins.items()}
        if news := {name: count for name, count in self.empty.items() if not learnt.get(name)}:
            shown = ", ".join(f"{name} in {count} rows" for name, count in sorted(news.items()))
            yield f"empty, though {self._loaded.version} learnt from rows without a gap: {shown}"
        if self.out_of_range:
            shown = ", ".join(f"{name} in {count} rows" for name, count in sorted(self.out_of_range.items()))
            yield f"beyond the range that {self._loaded.version} learnt from: {shown}"
        if self.never_seen:
            shown = ", ".join(
                f"{name} in {count} rows ({self._unknown[name]!r}, say)"
                for name, count in sorted(self.never_seen.items())
            )
            yield f"texts that {self._loaded.version} has never seen: {shown}"


def _as_texts(column: pd.Series) -> pd.Series:
    """Return a column as the texts that a CSV would have: a database may give numbers, and None for a gap."""
    if column.dtype.kind == "f" and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")  # whole numbers beside a gap
    texts = column.astype(object).map(str, na_action="ignore")
    return texts.where(column.notna() & ~texts.isin(NO_VALUE))
