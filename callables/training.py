"""P1: train a challenger, keep every version, and write what it says about rows it has never seen."""

from __future__ import annotations

import logging
import math
import platform
import time
from datetime import UTC, datetime
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Any

from callables._csv import csv_bytes
from callables._dataset import Dataset, fingerprint, read_dataset, split_holdout
from callables._files import relative_to_project, sha256, to_json, write_atomic
from callables._model_store import ModelStore
from callables._run import parse_time, seed_of

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

HOLDOUT_COLUMNS = ("row_id", "actual", "prediction", "probability")
LIBRARIES = ("scikit-learn", "numpy", "pandas", "joblib")


def check_dataset(*, dataset: str, target: str, row_id: str | None = None) -> dict:
    """Check that ``dataset`` can be learnt from, before any time is spent on training.

    Returns its location, SHA-256, numbers of rows and features, and the target's number of values. Raises
    FileNotFoundError or ValueError that lists every problem with column and line.
    """
    data = read_dataset(dataset, target, row_id)
    summary = {
        "dataset": dataset,
        "sha256": data.sha256,
        "rows": len(data.frame),
        "features": len(data.features),
        "target_values": int(data.frame[target].nunique()),
    }
    log.info("%s: %d rows, %d features", dataset, summary["rows"], summary["features"])
    return summary


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
    holdout_share: float = 0.2,
    holdout_seed: int = 0,
) -> dict:
    """Train ``estimator`` on the rows outside the holdout and save it as a new version of ``model``.

    ``candidates`` settings are drawn from ``search_space`` with a seed made from ``run_id``, and compared by
    ``metric`` in ``folds``-fold cross-validation; the best is fitted on all training rows. ``run_after`` is
    an ISO 8601 time with an offset. A second call with the same arguments returns the same version and
    trains nothing. Returns model, version, metrics on the holdout, chosen parameters and row counts.
    """
    from callables import _estimators

    settings = {name: value for name, value in locals().items() if name != "_estimators"}
    metrics_wanted = [metric, *(other_metrics or [])]
    for name in metrics_wanted:
        _estimators.find_scorer(name)  # a wrong name is told before the time is spent
    started = time.monotonic()
    moment = parse_time(run_after)
    data = read_dataset(dataset, target, row_id)
    inputs = sha256(to_json({**settings, "dataset_sha256": data.sha256}))
    store = ModelStore(model)
    if (known := store.find(run_id, moment, inputs)) is not None:
        log.info("run %s has already made %s %s: nothing to train", run_id, model, known)
        return _summary(store.metadata(known))

    training, holdout = split_holdout(data, holdout_share, holdout_seed)
    pipeline = _estimators.build_pipeline(training[data.features], estimator, parameters or {}, scaler)
    search = _estimators.build_search(
        pipeline, search_space or {}, metric=metric, candidates=candidates, folds=folds, seed=seed_of(run_id)
    )
    log.info("training %s on %d rows, %d held out", estimator, len(training), len(holdout))
    fitted = search.fit(training[data.features], training[target])
    best = getattr(fitted, "best_estimator_", fitted)
    metrics = _estimators.measure(best, holdout[data.features], holdout[target], metrics_wanted)
    made_at = datetime.now(UTC)
    metadata = {
        **_settings_on_record(settings),
        "inputs": inputs,
        "metrics": metrics,
        "parameters": {**(parameters or {}), **_best_parameters(fitted)},
        "cv_score": _number(getattr(fitted, "best_score_", None)),
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
    predictions, probabilities = _estimators.predict_rows(store.load(version), holdout[data.features])
    rows = zip(holdout[data.row_id], holdout[data.target].tolist(), predictions, probabilities, strict=True)
    path = store.folder(version) / "holdout_predictions.csv"
    write_atomic(path, csv_bytes(HOLDOUT_COLUMNS, rows))
    log.info("wrote %d predictions to %s", len(holdout), path)
    return {"file": relative_to_project(path), "rows": len(holdout)}


def read_holdout(metadata: dict[str, Any]) -> tuple[Dataset, pd.DataFrame]:
    """Return the dataset and the holdout that a version's metadata describes.

    Raises ValueError if the rows are no longer those that the version was scored on.
    """
    location = metadata["dataset"]["location"]
    data = read_dataset(location, metadata["target"], metadata["row_id"])
    _, holdout = split_holdout(data, metadata["holdout"]["share"], metadata["holdout"]["seed"])
    if fingerprint(holdout, data.row_id) != metadata["holdout"]["fingerprint"]:
        raise ValueError(
            f"the holdout rows of {location} have changed since {metadata['version']} was trained; "
            "run train_model again"
        )
    return data, holdout


def _settings_on_record(settings: dict[str, Any]) -> dict[str, Any]:
    names = ("model", "run_id", "run_after", "estimator", "metric", "target", "row_id", "scaler")
    return {name: settings[name] for name in names}


def _describe_holdout(holdout: pd.DataFrame, row_id: str, share: float, seed: int) -> dict[str, Any]:
    told = {"share": share, "seed": seed, "rows": len(holdout)}
    return {**told, "fingerprint": fingerprint(holdout, row_id)}


def _best_parameters(fitted: Any) -> dict[str, Any]:
    best = getattr(fitted, "best_params_", {})
    return {name.removeprefix("estimator__"): _number(value) for name, value in best.items()}


def _number(value: Any) -> Any:
    """Return a numpy scalar as JSON knows it; NaN becomes None."""
    plain = value.item() if hasattr(value, "item") else value
    return None if isinstance(plain, float) and not math.isfinite(plain) else plain


def _describe(features: pd.DataFrame) -> list[dict[str, Any]]:
    described = []
    for name, column in features.items():
        entry: dict[str, Any] = {"name": str(name), "dtype": str(column.dtype)}
        if column.dtype.kind in "iuf":
            entry |= {"min": _number(column.min()), "max": _number(column.max())}
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
