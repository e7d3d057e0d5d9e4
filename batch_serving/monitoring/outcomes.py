"""Predictions and labels as values that can be compared: classes as texts, numbers as numbers."""

from __future__ import annotations

import csv
import io
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from batch_serving.ml.estimators import is_classifier
from batch_serving.ml.values import number_of
from batch_serving.registry.versions import HOLDOUT_PREDICTIONS, ModelStoreError
from batch_serving.shared.reading import read_whole

if TYPE_CHECKING:
    import numpy as np

    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

Row = dict[str, str]


@dataclass
class Outcomes:
    """The labelled predictions of one version: what it predicted, what was true, and how sure it was."""

    predicted: list[str] = field(default_factory=list)
    actual: list[str] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)  # as many as predictions, or none
    rows: int = 0  # with and without a label
    outside: int = 0  # labels that the model cannot predict: another class, or not a number

    @property
    def labelled_share(self) -> float:
        """Share of the rows that have a label, between 0 and 1."""
        return (len(self.actual) + self.outside) / self.rows if self.rows else 0.0

    def arrays(self, classes: bool) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return what was true and what was predicted; classes that are all numbers are numbers."""
        import numpy as np

        texts = [*self.actual, *self.predicted]
        numbers = [number_of(text, accepts_flags=False) for text in texts]
        if not classes or all(number is not None for number in numbers):
            both = np.array(numbers, dtype=float)
        else:
            both = np.array(texts, dtype=object)
        return both[: len(self.actual)], both[len(self.actual) :]


class Classes:
    """The classes that a version can predict, found by a label however its number is written."""

    def __init__(self, texts: set[str] | None) -> None:
        """Take the classes as the model writes them; None where they are not known: then any label is one."""
        self._texts = texts
        keys = {_key(text) for text in texts or ()}
        self._by_key = len(keys) == len(texts or ())  # otherwise 3 and 03 are two classes
        self._known = {_key(text) if self._by_key else text: text for text in texts or ()}

    def written(self, label: str) -> str | None:
        """Return a label as the model writes it, None if it is not one of the classes."""
        if self._texts is None:
            return _key(label)
        return self._known.get(_key(label) if self._by_key else label)

    def predicted(self, text: str) -> str:
        """Return a prediction so that it can be compared with what ``written`` returns."""
        return _key(text) if self._texts is None else text


class VersionReader:
    """What is known of the versions of a model, each read once."""

    def __init__(self, store: ModelStore) -> None:
        """Open nothing yet."""
        self._store = store
        self._classes: dict[str, Classes] = {}

    @cached_property
    def is_classifier(self) -> bool:
        """Whether the newest version learns classes; a model whose versions are all gone is taken for one."""
        versions = self._store.versions()
        return is_classifier(self._store.metadata(versions[-1])["estimator"]) if versions else True

    def outcomes(self, rows: Iterable[Row]) -> dict[str, Outcomes]:
        """Return the outcomes of a day's rows, by version."""
        found: dict[str, Outcomes] = {}
        for row in rows:
            outcomes = found.setdefault(row["model_version"], Outcomes())
            outcomes.rows += 1
            if not row["label"]:
                continue
            pair = self.pair(row)
            if pair is None:
                outcomes.outside += 1
                continue
            outcomes.actual.append(pair[0])
            outcomes.predicted.append(pair[1])
            if row["probability"]:
                outcomes.probabilities.append(float(row["probability"]))
        return found

    def pair(self, row: Row) -> tuple[str, str] | None:
        """Return a row's label and prediction; None for a label that the model cannot predict."""
        label = row["label"]
        if not self.is_classifier:
            number = number_of(label, accepts_flags=False)
            finite = number is not None and math.isfinite(number)
            return (label, row["prediction"]) if finite else None
        version = row["model_version"]
        if version not in self._classes:
            self._classes[version] = Classes(self._texts_of(version))
        classes = self._classes[version]
        known = classes.written(label)
        return None if known is None else (known, classes.predicted(row["prediction"]))

    def _texts_of(self, version: str) -> set[str] | None:
        """Return the classes in a version's holdout; None if they are not known."""
        try:
            data = read_whole(self._store.folder(version) / HOLDOUT_PREDICTIONS)
        except (ModelStoreError, FileNotFoundError):
            log.warning("%s has no holdout predictions: any label counts as one of its classes", version)
            return None
        rows = csv.DictReader(io.StringIO(data.decode("utf-8"), newline=""))
        return {row[name] for row in rows for name in ("actual", "prediction")}


def is_same_class(label: str, prediction: str) -> bool:
    """Return whether a label is the class that was predicted, however its number is written."""
    return label == prediction or _key(label) == _key(prediction)


def _key(text: str) -> str:
    """Return one text for a class, however its number is written: 3 and 3.0 are the same."""
    number = number_of(text, accepts_flags=True)
    if number is None or not math.isfinite(number):
        return text
    return str(int(number)) if number.is_integer() else repr(number)
