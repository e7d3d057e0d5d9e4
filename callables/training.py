"""P1: train a challenger, keep every version, and write what it says about rows it has never seen."""

from __future__ import annotations

import logging
import math
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

from callables import _drift, _values
from callables._csv import csv_bytes
from callables._dataset import fingerprint, read_dataset, read_holdout, split_holdout
from callables._dataset_checks import check_classes, check_numbers, warnings
from callables._files import relative_to_project, sha256, to_json, write_atomic
from callables._model_store import ModelStore
from callables._model_versions import HOLDOUT_COLUMNS, HOLDOUT_PREDICTIONS, ModelStoreError
from callables._run import parse_time, seed_of
from callables._search import plain
from callables._values import checked_by

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

MOST_CATEGORIES = 1000  # of a text column, to be kept on record
LIBRARIES = ("scikit-learn", "numpy", "pandas", "joblib")


@checked_by(_values.of_dataset)
def check_dataset(
    *,
    dataset: str,
    target: str,
    row_id: str | None = None,
    model: str | None = None,
    estimator: str | None = None,
    folds: int = 0,
) -> dict:
    """Check that ``dataset`` can be learnt from, before any time is spent on training.

    With ``estimator`` (a classifier) and ``folds`` each class needs a row for each fold; with ``model`` the
    columns are held against those that its champion learnt from. Returns its location, SHA-256, numbers of
    rows and features, the target's number of values, and warnings: what can be learnt from, and may be
    meant otherwise. Raises FileNotFoundError or ValueError that lists every problem with column and line.
    """
    data = read_dataset(dataset, target, row_id)
    if estimator and not _is_classifier(estimator):
        check_numbers(data, estimator)
    elif estimator and folds:
        check_classes(data, folds)
    champion = ModelStore(model).usable_pointer() if model else None
    known = _features_of(ModelStore(model), champion["version"]) if model and champion else None
    found = list(warnings(data, known))
    for text in found:
        log.warning("%s: %s", dataset, text)
    summary = {
        "dataset": dataset,
        "sha256": data.sha256,
        "rows": len(data.frame),
        "features": len(data.features),
        "target_values": int(data.frame[target].nunique()),
        "warnings": found,
    }
    log.info("%s: %d rows, %d features", dataset, summary["rows"], summary["features"])
    return summary


def _is_classifier(estimator: str) -> bool:
    from sklearn.base import ClassifierMixin

    from callables._estimators import resolve

    return issubclass(resolve(estimator, "estimator"), ClassifierMixin)


def _features_of(store: ModelStore, version: str) -> list[dict[str, Any]] | None:
    try:
        return store.metadata(version)["features"]
    except ModelStoreError as error:
        log.warning("the champion's features are not known: %s", error)
        return None


@checked_by(_values.of_training)
def train_challenger(
    *,
    model: str,
    dataset: str,
    target: str,
    estimator: str,
    metric: str,
    run_id: str,
    run_after: str,
    row_id: str | None = None,
    parameters: dict[str, Any] | None = None,
    scaler: str | None = None,
    search_space: dict[str, list | dict] | None = None,
    candidates: int = 8,
    folds: int = 3,
    other_metrics: list[str] | None = None,
    seconds: float | None = None,
    seed: int | None = None,
    holdout_share: float = 0.2,
    holdout_seed: int = 0,
) -> dict:
    """Train ``estimator`` on the rows outside the holdout and save it as a new version of ``model``.

    ``candidates`` settings are drawn from ``search_space`` with ``seed``, or one made from ``run_id``, and
    compared by ``metric`` in ``folds``-fold cross-validation; the best is fitted on all training rows. The
    budget is the number of candidates, and ``seconds``: after these no other is begun. A candidate that
    fails is noted, and costs no other. ``run_after`` is an ISO 8601 time with an offset. A second call with
    the same arguments returns the same version and trains nothing. Returns model, version, metrics on the
    holdout, chosen parameters and row counts.
    """
    settings = dict(locals())
    from callables import _estimators, _metric_checks
    from callables._search import search

    metrics_wanted = [metric, *(other_metrics or [])]
    for name in metrics_wanted:
        _estimators.find_scorer(name)  # a wrong name is told before the time is spent
    started = time.monotonic()
    moment = parse_time(run_after)
    data = read_dataset(dataset, target, row_id)
    inputs = sha256(to_json(_for_json({**settings, "dataset_sha256": data.sha256})))
    store = ModelStore(model)
    if (known := store.find(run_id, moment, inputs)) is not None:
        log.info("run %s has already made %s %s: nothing to train", run_id, model, known)
        return _summary(store.metadata(known))

    training, holdout = split_holdout(data, holdout_share, holdout_seed)
    pipeline = _estimators.build_pipeline(training[data.features], estimator, parameters or {}, scaler)
    for name in metrics_wanted:  # told before the time is spent
        _metric_checks.check_metric(name, pipeline[-1], search_space)
        _metric_checks.check_target(name, pipeline[-1], training[target])
    if search_space and _is_classifier(estimator):
        check_classes(data, folds, training)
    log.info("training %s on %d rows, %d held out", estimator, len(training), len(holdout))
    found = search(
        pipeline,
        search_space or {},
        (training[data.features], training[target]),
        metric=metric,
        candidates=candidates,
        folds=folds,
        seed=seed_of(run_id) if seed is None else seed,
        seconds=seconds,
    )
    best = found.pipeline.fit(training[data.features], training[target])
    metrics = _estimators.measure(best, holdout[data.features], holdout[target], metrics_wanted)
    made_at = datetime.now(UTC)
    metadata = {
        **_settings_on_record(settings),
        "inputs": inputs,
        "metrics": metrics,
        "parameters": _for_json({**(parameters or {}), **found.parameters}),
        "cv_score": found.cv_score,
        "candidates": _for_json(found.tried),
        "dataset": {"location": dataset, "sha256": data.sha256, "rows_trained": len(training)},
        "holdout": _describe_holdout(holdout, data.row_id, holdout_share, holdout_seed),
        "features": _describe(training[data.features]),
        "libraries": {"python": platform.python_version(), **{n: installed_version(n) for n in LIBRARIES}},
        "trained_at": made_at.isoformat(timespec="seconds"),
        "duration_s": round(time.monotonic() - started, 3),
    }
    version = store.save(best, metadata, made_at)
    log.info("saved %s %s: %s", model, version, metrics)
    return _summary(store.metadata(version))


def predict_holdout(*, model: str, version: str) -> dict:
    """Write what ``version`` predicts for each row of its holdout, beside the model.

    Returns the file's location and its number of rows. Raises ValueError when the dataset has changed since
    the version was trained.
    """
    from callables import _estimators

    store = ModelStore(model)
    metadata = store.metadata(version)
    data, holdout = read_holdout(metadata)
    predictions, probabilities = _estimators.predict(store.load(version), holdout[data.features])
    shares = [None] * len(holdout) if probabilities is None else probabilities.tolist()
    rows = zip(holdout[data.row_id], holdout[data.target].tolist(), predictions.tolist(), shares, strict=True)
    path = store.folder(version) / HOLDOUT_PREDICTIONS
    write_atomic(path, csv_bytes(HOLDOUT_COLUMNS, rows))
    log.info("wrote %d predictions to %s", len(holdout), path)
    try:
        from callables._model_card import write_card

        log.info("the model's card is %s", write_card(store, version))
    except Exception:  # a picture less is no reason to have no model
        log.exception("the model's card could not be made")
    return {"file": relative_to_project(path), "rows": len(holdout)}


def _settings_on_record(settings: dict[str, Any]) -> dict[str, Any]:
    names = ("model", "run_id", "run_after", "estimator", "metric", "target", "row_id", "scaler")
    return {name: settings[name] for name in names}


def _describe_holdout(holdout: pd.DataFrame, row_id: str, share: float, seed: int) -> dict[str, Any]:
    told = {"share": share, "seed": seed, "rows": len(holdout)}
    return {**told, "fingerprint": fingerprint(holdout, row_id)}


def _for_json(value: Any) -> Any:
    """Return a value of YAML as JSON knows it: ``.inf``, which an estimator may well take, as a text."""
    if isinstance(value, dict):
        return {str(name): _for_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_for_json(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _number(value: Any) -> Any:
    """Return a numpy scalar as JSON knows it; NaN becomes None."""
    found = plain(value)
    return None if isinstance(found, float) and not math.isfinite(found) else found


def _describe(features: pd.DataFrame) -> list[dict[str, Any]]:
    described = []
    for name, column in features.items():
        entry: dict[str, Any] = {"name": str(name), "dtype": str(column.dtype)}
        if column.dtype.kind in "iuf":
            entry |= {"min": _number(column.min()), "max": _number(column.max())}
        elif column.dtype.kind != "b" and column.nunique() <= MOST_CATEGORIES:
            entry["categories"] = sorted(str(value) for value in column.dropna().unique())
        entry["distribution"] = _drift.describe(column)
        described.append(entry)
    return described


def _summary(metadata: dict[str, Any]) -> dict:
    return {
        "model": metadata["model"],
        "version": metadata["version"],
        "metrics": metadata["metrics"],
        "parameters": metadata["parameters"],
        "rows_trained": metadata["dataset"]["rows_trained"],
        "rows_held_out": metadata["holdout"]["rows"],
    }
