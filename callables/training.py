"""P1: train a challenger, keep every version, and write its predictions for rows it has never seen."""

from __future__ import annotations

import logging
from typing import Any

from batch_serving.ml import arguments
from batch_serving.prediction.arguments import of_snapshot
from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.checked_by import checked_by, renamed
from batch_serving.shared.paths import relative_to_project
from batch_serving.shared.run_context import run_name
from batch_serving.shared.unreachable import UnreachableError

log = logging.getLogger(__name__)


@checked_by(of_snapshot)
def take_snapshot(*, sql: str, connection: str, row_id: str, name: str, run_id: str) -> dict[str, Any]:
    """Write the rows of a query through an Airflow ``connection`` into a CSV that training can read.

    The file, ``output/snapshots/<name>/<run>.csv``, never changes once it is there, so that what was learnt
    from it can be measured again: a second try of the run returns the same one, whatever the database has by
    then. Returns its location, for ``dataset`` of the tasks after it, its SHA-256 and its size.
    Raises ValueError if the query gives no rows, or lacks the column ``row_id``.
    """
    from batch_serving.prediction import snapshots
    from batch_serving.prediction.row_source import RowSource
    from batch_serving.shared.files import sha256

    path = snapshots.snapshot_path(name, run_name(run_id))
    data = snapshots.take(RowSource(None, sql, connection, row_id), path)
    location = relative_to_project(path)
    log.info("the snapshot is %s", location)
    return {"dataset": location, "sha256": sha256(data), "bytes": len(data)}


@checked_by(arguments.of_dataset)
def check_dataset(
    *,
    dataset: str,
    target: str,
    row_id: str | None = None,
    model: str | None = None,
    estimator: str | None = None,
    folds: int = 0,
    column_kinds: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Check that a model can be trained on ``dataset``, before any time is spent on it.

    With ``estimator`` (a classifier) and ``folds``, each class needs a row for each fold; with ``model``, the
    columns are compared with those that its champion was trained on; ``column_kinds`` is that of
    ``train_challenger``. Returns the dataset's location and
    SHA-256, numbers of rows and features, the number of target values, and warnings about what may be
    unintended. Raises FileNotFoundError, or ValueError with every problem by column and line.
    """
    from batch_serving.ml.column_kinds import check_kinds
    from batch_serving.ml.dataset_checks import TargetNeeds
    from batch_serving.ml.dataset_warnings import warnings_of
    from batch_serving.ml.datasets import read_dataset
    from batch_serving.ml.estimators import is_classifier

    needs = TargetNeeds(estimator, is_classifier(estimator), folds) if estimator else None
    data = read_dataset(dataset, target, row_id, needs)
    check_kinds(column_kinds or {}, data.features)
    found = list(warnings_of(data, _champion_features(model), column_kinds or {}))
    for text in found:
        log.warning("%s: %s", dataset, text)
    log.info("%s: %d rows, %d features", dataset, len(data.frame), len(data.features))
    return {
        "dataset": dataset,
        "sha256": data.sha256,
        "rows": len(data.frame),
        "features": len(data.features),
        "target_values": int(data.frame[target].nunique()),
        "warnings": found,
    }


def _champion_features(model: str | None) -> list[dict[str, Any]] | None:
    """Return what the champion's record says of its features; None without a champion or its record."""
    store = ModelStore(model) if model else None
    pointer = store.usable_pointer() if store else None
    if store is None or pointer is None:
        return None
    try:
        features: list[dict[str, Any]] = store.metadata(pointer.version)["features"]
    except ModelStoreError as error:
        log.warning("the champion's features are not known: %s", error)
        return None
    return features


@checked_by(arguments.of_training)
@renamed(arguments={"candidates": "n_candidates", "seconds": "time_budget_s"})
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
    search_space: dict[str, list[Any] | dict[str, Any]] | None = None,
    n_candidates: int = 8,
    folds: int = 3,
    other_metrics: list[str] | None = None,
    time_budget_s: float | None = None,
    seed: int | None = None,
    holdout_share: float = 0.2,
    holdout_seed: int = 0,
    column_kinds: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Train ``estimator`` on the rows outside the holdout and save it as a new version of ``model``.

    ``n_candidates`` settings are drawn from ``search_space`` with ``seed``, or one made from ``run_id``, and
    compared by ``metric`` in ``folds``-fold cross-validation; the best is fitted on all training rows. No
    candidate is started after ``time_budget_s`` seconds. A candidate that fails is recorded, and affects
    no other. ``column_kinds`` names the columns that are more than a number or a category: ``text``, free
    texts, are learnt from by their words (TF-IDF), and ``image``, paths of files below the output folder,
    by their pixels. ``run_after`` is an ISO 8601 time with an offset. A second call with the same
    arguments returns the same version and trains nothing, and so does a backfill of the same run. Returns
    model, version, metrics on the holdout, chosen parameters and row counts.
    """
    from batch_serving.ml.settings import TrainingSettings
    from batch_serving.ml.training import make_version, summary_of

    settings = TrainingSettings(
        model=model,
        dataset=dataset,
        target=target,
        estimator=estimator,
        metric=metric,
        run_id=run_name(run_id),
        run_after=run_after,
        row_id=row_id,
        parameters=parameters,
        scaler=scaler,
        search_space=search_space,
        n_candidates=n_candidates,
        folds=folds,
        other_metrics=other_metrics,
        time_budget_s=time_budget_s,
        seed=seed,
        holdout_share=holdout_share,
        holdout_seed=holdout_seed,
        column_kinds=column_kinds,
    )
    return summary_of(make_version(settings))


def predict_holdout(*, model: str, version: str) -> dict[str, Any]:
    """Write what ``version`` predicts for each row of its holdout, and its card, beside the model.

    Returns the predictions' location and number of rows. Raises ValueError if the dataset has changed since
    the version was trained.
    """
    from batch_serving.cards.card import write_card
    from batch_serving.ml.holdout_predictions import write_holdout_predictions

    store = ModelStore(model)
    path, rows = write_holdout_predictions(store, version)
    try:
        log.info("the model card is %s", write_card(store, version))
    except UnreachableError:
        raise  # a later try makes it
    except Exception:  # without its card a model is as good
        log.exception("the model card could not be made")
    return {"file": relative_to_project(path), "rows": rows}
