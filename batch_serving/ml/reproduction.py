"""Training a version again from its record: are the results equal, and if not, what has changed since?

Nothing is saved, and the registry stays as it is.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batch_serving.ml import environment
from batch_serving.ml.datasets import read_dataset
from batch_serving.ml.holdout import split_as
from batch_serving.ml.holdout_predictions import holdout_texts
from batch_serving.ml.reproduction_report import Reproduction
from batch_serving.ml.settings import TrainingSettings
from batch_serving.ml.training import needs_of, train
from batch_serving.registry.versions import HOLDOUT_PREDICTIONS, ModelStoreError
from batch_serving.shared.reading import opened
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    from batch_serving.ml.dataset import Dataset
    from batch_serving.ml.training import Challenger
    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

Rows = dict[str, list[str]]  # actual, prediction and probability, by row id


def reproduce(store: ModelStore, version: str) -> Reproduction:
    """Train a version again, with the settings, the seed and as many candidates as its record has.

    Raises ModelStoreError if its record or its dataset is not there, and ValueError if the dataset has
    changed so that it cannot be trained on.
    """
    record = store.metadata(version)
    settings = TrainingSettings.of_record(record)
    data = _read(settings, record)
    tried = len(record["candidates"])
    again = replace(settings, time_budget_s=None)  # the same candidates, however long they take here
    with environment.with_threads_of(record.get("machine", {})):
        made = train(again, data, record["inputs"], tried or None)
        recorded, now = _recorded_rows(store, version, record, data), _rows_of(made, data)
    return Reproduction(
        store.name,
        version,
        [
            counted(len(record["metrics"]), "metric"),
            "the chosen parameters",
            *([counted(tried, "cross-validation score")] if tried else []),
            counted(len(recorded), "holdout prediction"),
        ],
        [*_differing_results(record, made.metadata), *_differing_rows(recorded, now)],
        list(_changes(record, made.metadata)),
        list(_notes(settings, tried)),
    )


def _read(settings: TrainingSettings, record: dict[str, Any]) -> Dataset:
    try:
        return read_dataset(settings.dataset, settings.target, settings.row_id, needs_of(settings))
    except FileNotFoundError:
        raise ModelStoreError(
            f"{record['version']} cannot be trained again: {settings.dataset!r} is missing; put the file "
            f"with the SHA-256 {record['dataset']['sha256']} there again"
        ) from None


def _recorded_rows(store: ModelStore, version: str, record: dict[str, Any], data: Dataset) -> Rows:
    """Return what the version predicted for its holdout; without that file, what it predicts now."""
    path = store.folder(version) / HOLDOUT_PREDICTIONS
    try:
        with opened(path, encoding="utf-8") as file:
            _, *rows = csv.reader(file)
    except FileNotFoundError:
        _, holdout = split_as(record["holdout"], data)
        rows = holdout_texts(store.load(version), data, holdout)
    return {row[0]: row[1:] for row in rows}


def _rows_of(made: Challenger, data: Dataset) -> Rows:
    _, holdout = split_as(made.metadata["holdout"], data)
    return {row[0]: row[1:] for row in holdout_texts(made.model, data, holdout)}


def _differing_results(record: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Yield the metrics, parameters and scores that differ."""
    for name in sorted({*record["metrics"], *now["metrics"]}):
        before, after = record["metrics"].get(name), now["metrics"].get(name)
        if before != after:
            yield f"{name}: {before} recorded, {after} now"
    if record["parameters"] != now["parameters"]:
        yield f"chosen parameters: {record['parameters']} recorded, {now['parameters']} now"
    pairs = zip(_scores(record), _scores(now), strict=False)
    differing = sum(before != after for before, after in pairs)
    differing += abs(len(record["candidates"]) - len(now["candidates"]))
    if differing:
        yield f"cross-validation scores: {differing} of {len(record['candidates'])}"


def _scores(record: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Return what each candidate has but the time that it took."""
    return [
        tuple(one.get(name) for name in ("parameters", "cv_score", "error")) for one in record["candidates"]
    ]


def _differing_rows(recorded: Rows, now: Rows) -> Iterator[str]:
    """Yield how the predictions for the holdout differ."""
    if recorded.keys() != now.keys():
        gone, new = len(recorded.keys() - now.keys()), len(now.keys() - recorded.keys())
        yield f"holdout rows: {gone} of {len(recorded)} are gone, {new} are new"
    common = [(recorded[row], now[row]) for row in recorded if row in now]
    if differing := sum(before[1] != after[1] for before, after in common):
        yield f"holdout predictions: {differing} of {len(common)}"
    gaps = [abs(float(before[2] or 0) - float(after[2] or 0)) for before, after in common]
    if differing := sum(gap > 0 for gap in gaps):
        yield f"probabilities: {differing} of {len(common)}, by {max(gaps):.3g} at most"


def _changes(record: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    """Yield what results depend on and has changed: the data, a library, the machine."""
    before, after = record["dataset"]["sha256"], now["dataset"]["sha256"]
    if before != after:
        location = record["dataset"]["location"]
        yield f"data: {location} has the SHA-256 {after[:12]}… now, {before[:12]}… is recorded"
    for name, version in now["libraries"].items():
        known = record["libraries"].get(name)
        if known is not None and known != version:
            yield f"library: {name} {known} is recorded, {version} is installed"
    if "machine" not in record:
        yield "machine: not recorded"
    for name, value in now["machine"].items() if "machine" in record else ():
        if record["machine"].get(name) != value:
            yield f"machine: {name} {record['machine'].get(name)!r} is recorded, {value!r} is here"


def _notes(settings: TrainingSettings, tried: int) -> Iterator[str]:
    if settings.search_space and settings.time_budget_s is not None and tried < settings.n_candidates:
        yield (
            f"{tried} of {settings.n_candidates} candidates were tried, as the run did: its time budget of "
            f"{settings.time_budget_s:g} s was spent, or its search space has no more"
        )
