"""Training a challenger: split, search, fit, measure, save; and its record."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batch_serving.ml import drift, environment, estimators, metric_checks
from batch_serving.ml.column_kinds import ColumnKinds
from batch_serving.ml.columns import MOST_CATEGORIES
from batch_serving.ml.dataset_checks import TargetNeeds
from batch_serving.ml.datasets import read_dataset
from batch_serving.ml.holdout import balanced, describe_holdout, split_holdout
from batch_serving.ml.json_values import for_json, number_for_json
from batch_serving.ml.scoring import measure
from batch_serving.ml.search import SearchResult, search
from batch_serving.registry.store import ModelStore
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.run_context import parse_time
from batch_serving.shared.wording import counted, shortened

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.ml.dataset import Dataset
    from batch_serving.ml.settings import TrainingSettings

log = logging.getLogger(__name__)

FEWEST_IN_FOLD = 2  # rows: of one, r2 and others are undefined


@dataclass(frozen=True)
class Challenger:
    """A fitted model, and the metadata that is saved with it."""

    model: Any
    metadata: dict[str, Any]
    trained_at: datetime


def make_version(settings: TrainingSettings) -> dict[str, Any]:
    """Train and save a version, or find the one that this run has made already; return its metadata."""
    for name in settings.metrics:
        estimators.find_scorer(name)  # refuses a wrong name before time is spent
    moment = parse_time(settings.run_after)
    data = read_dataset(settings.dataset, settings.target, settings.row_id, needs_of(settings))
    inputs = settings.inputs_hash(data.sha256)
    store = ModelStore(settings.model)
    known = store.find(settings.run_id, moment, inputs)
    if known is not None:
        log.info("run %s has already made %s %s: nothing to train", settings.run_id, store.name, known)
        return store.metadata(known)
    challenger = train(settings, data, inputs)
    version = store.save(challenger.model, challenger.metadata, challenger.trained_at)
    log.info("saved %s %s: %s", store.name, version, challenger.metadata["metrics"])
    return store.metadata(version)


def train(
    settings: TrainingSettings, data: Dataset, inputs: str, most_candidates: int | None = None
) -> Challenger:
    """Train on the rows outside the holdout and measure on the holdout; ``inputs`` is for the record.

    Of the candidates that are drawn, ``most_candidates`` are tried; all if it is None.
    """
    started = time.monotonic()
    needs = needs_of(settings)
    moved = balanced(data, settings.holdout_share, settings.holdout_seed, needs)
    training, holdout = split_holdout(data, settings.holdout_share, settings.holdout_seed, moved)
    features, target = training[data.features], training[data.target]
    pipeline = estimators.build_pipeline(
        features, settings.estimator, settings.parameters or {}, settings.scaler, settings.column_kinds
    )
    _check_settings(settings, pipeline[-1], data, training)
    metric_checks.check_holdout(settings.metrics, needs, target, holdout[data.target])
    _warn_of_unmeasured(needs, target, holdout[data.target])
    log.info("training %s on %d rows, %d held out", settings.estimator, len(training), len(holdout))
    found = search(pipeline, features, target, settings, most_candidates)
    model = found.pipeline.fit(features, target)
    metrics = measure(model, holdout[data.features], holdout[data.target], settings.metrics)
    trained_at = datetime.now(UTC)
    holdout_record = {
        **describe_holdout(holdout, data.row_id, settings.holdout_share, settings.holdout_seed),
        **moved.on_record(),
    }
    metadata = {
        **settings.on_record(),
        "settings": settings.to_json(),
        **_search_record(settings, found),
        "inputs": inputs,
        "metrics": metrics,
        "dataset": {"location": data.location, "sha256": data.sha256, "rows_trained": len(training)},
        "holdout": holdout_record,
        "features": describe_features(features, settings.column_kinds or {}),
        "libraries": environment.libraries(),
        "machine": environment.machine(),
        "trained_at": trained_at.isoformat(timespec="seconds"),
        "duration_s": round(time.monotonic() - started, 3),
    }
    return Challenger(model, metadata, trained_at)


def _warn_of_unmeasured(needs: TargetNeeds, training: pd.Series, holdout: pd.Series) -> None:
    if needs.is_classifier and (absent := sorted({*training.tolist()} - {*holdout.tolist()}, key=str)):
        shown = shortened([repr(value) for value in absent])
        log.warning("the holdout has no row of class %s: its errors are not measured; add rows", shown)


def needs_of(settings: TrainingSettings) -> TargetNeeds:
    """Return what a training needs of the target."""
    folds = settings.folds if settings.search_space else 0
    return TargetNeeds(settings.estimator, estimators.is_classifier(settings.estimator), folds)


def _check_settings(
    settings: TrainingSettings, estimator: Any, data: Dataset, training: pd.DataFrame
) -> None:
    """Refuse, before time is spent, what cannot succeed with this estimator and these rows."""
    for metric in settings.metrics:
        metric_checks.check_metric(metric, estimator, settings.search_space)
    rows = len(training)
    if settings.search_space and rows < FEWEST_IN_FOLD * settings.folds:
        raise InvalidValueError(
            f"{counted(rows, 'row')} outside the holdout are not enough for {settings.folds} folds of "
            f"{FEWEST_IN_FOLD} rows or more",
            "add rows, or use fewer folds or a smaller holdout_share",
        )
    for metric in settings.metrics:
        metric_checks.check_target(metric, estimator, training[data.target])


def _search_record(settings: TrainingSettings, found: SearchResult) -> dict[str, Any]:
    return {
        "parameters": for_json({**(settings.parameters or {}), **found.parameters}),
        "cv_score": found.cv_score,
        "candidates": for_json(found.tried),
    }


def describe_features(features: pd.DataFrame, kinds: ColumnKinds) -> list[dict[str, Any]]:
    """Return what the record says of each feature: type, range or categories, and distribution.

    Of a column that ``kinds`` names, only the kind: its values are new in each row.
    """
    described = []
    for name, column in features.items():
        if name in kinds:
            described.append({"name": str(name), "dtype": "object", "kind": kinds[str(name)]})
            continue
        entry: dict[str, Any] = {"name": str(name), "dtype": str(column.dtype)}
        if column.dtype.kind in "iuf":
            entry |= {"min": number_for_json(column.min()), "max": number_for_json(column.max())}
        elif column.dtype.kind != "b" and column.nunique() <= MOST_CATEGORIES:
            entry["categories"] = sorted(str(value) for value in column.dropna().unique())
        entry["distribution"] = drift.describe(column)
        described.append(entry)
    return described


def summary_of(metadata: dict[str, Any]) -> dict[str, Any]:
    """Return what a training task returns of a version's metadata."""
    return {
        "model": metadata["model"],
        "version": metadata["version"],
        "metrics": metadata["metrics"],
        "parameters": metadata["parameters"],
        "rows_trained": metadata["dataset"]["rows_trained"],
        "rows_held_out": metadata["holdout"]["rows"],
    }
