"""What a version predicts for its holdout: ``holdout_predictions.csv`` beside the model."""

from __future__ import annotations

import csv
import io
import logging
from typing import TYPE_CHECKING, Any

from batch_serving.ml import estimators
from batch_serving.ml.holdout import read_holdout
from batch_serving.registry.versions import HOLDOUT_COLUMNS, HOLDOUT_PREDICTIONS
from batch_serving.shared.csv_rows import csv_bytes
from batch_serving.shared.files import write_atomic

if TYPE_CHECKING:
    import pandas as pd
    from upath import UPath

    from batch_serving.ml.dataset import Dataset
    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)


def holdout_texts(model: Any, data: Dataset, holdout: pd.DataFrame) -> list[list[str]]:
    """Return the rows that the file would have for a model, as they are read from it."""
    _, *rows = csv.reader(io.StringIO(_content(model, data, holdout).decode(), newline=""))
    return rows


def _content(model: Any, data: Dataset, holdout: pd.DataFrame) -> bytes:
    predictions, probabilities = estimators.predict(model, holdout[data.features])
    shares = [None] * len(holdout) if probabilities is None else probabilities.tolist()
    ids, actual = holdout[data.row_id].tolist(), holdout[data.target].tolist()
    return csv_bytes(HOLDOUT_COLUMNS, zip(ids, actual, predictions.tolist(), shares, strict=True))


def write_holdout_predictions(store: ModelStore, version: str) -> tuple[UPath, int]:
    """Predict each row of a version's holdout; return the file and its number of rows.

    Raises ValueError if the dataset has changed since the version was trained.
    """
    metadata = store.metadata(version)
    data, holdout = read_holdout(metadata)
    content = _content(store.load(version), data, holdout)
    path = store.folder(version) / HOLDOUT_PREDICTIONS
    write_atomic(path, content)
    log.info("wrote %d predictions to %s", len(holdout), path)
    return path, len(holdout)
