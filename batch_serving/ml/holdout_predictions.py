"""What a version predicts for its holdout: ``holdout_predictions.csv`` beside the model."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from batch_serving.ml import estimators
from batch_serving.ml.holdout import read_holdout
from batch_serving.registry.versions import HOLDOUT_COLUMNS, HOLDOUT_PREDICTIONS
from batch_serving.shared.csv_rows import csv_bytes
from batch_serving.shared.files import write_atomic

if TYPE_CHECKING:
    from upath import UPath

    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)


def write_holdout_predictions(store: ModelStore, version: str) -> tuple[UPath, int]:
    """Predict each row of a version's holdout; return the file and its number of rows.

    Raises ValueError if the dataset has changed since the version was trained.
    """
    metadata = store.metadata(version)
    data, holdout = read_holdout(metadata)
    predictions, probabilities = estimators.predict(store.load(version), holdout[data.features])
    shares = [None] * len(holdout) if probabilities is None else probabilities.tolist()
    ids, actual = holdout[data.row_id].tolist(), holdout[data.target].tolist()
    rows = zip(ids, actual, predictions.tolist(), shares, strict=True)
    path = store.folder(version) / HOLDOUT_PREDICTIONS
    write_atomic(path, csv_bytes(HOLDOUT_COLUMNS, rows))
    log.info("wrote %d predictions to %s", len(holdout), path)
    return path, len(holdout)
