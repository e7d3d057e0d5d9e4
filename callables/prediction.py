"""P3: draw rows, and let the champion predict them."""

from __future__ import annotations

import json
import logging
import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from callables._airflow import skip
from callables._csv import csv_bytes
from callables._dataset import read_rows
from callables._files import output_path, relative_to_project, safe_name, write_atomic
from callables._model_store import ModelStore
from callables._run import parse_time, seed_of

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

COLUMNS = ("run_id", "run_after", "model_version", "row_id", "prediction", "probability", "scored_at")


def draw_rows(*, dataset: str, run_id: str, rows: int = 5, row_id: str | None = None) -> dict:
    """Draw ``rows`` different rows of ``dataset`` at random, the same ones for the same ``run_id``.

    Returns the drawn row ids, as text. Raises ValueError when there are fewer rows than asked for.
    """
    frame, id_column, _ = read_rows(dataset, row_id)
    if id_column not in frame.columns:
        raise ValueError(f"dataset {dataset!r} has no column {id_column!r} for `row_id`")
    ids = [str(value) for value in frame[id_column]]
    if len(set(ids)) != len(ids):
        raise ValueError(
            f"row id {id_column!r} of {dataset!r} is not unique: a row could not be told from another"
        )
    if not 0 < rows <= len(ids):
        raise ValueError(f"cannot draw {rows} rows from {dataset!r}, which has {len(ids)}; correct `rows`")
    # Not for secrets: a draw that a retry repeats.
    drawn = random.Random(seed_of(run_id)).sample(ids, rows)  # noqa: S311
    log.info("drew rows %s of %s", ", ".join(drawn), dataset)
    return {"row_ids": drawn}


def predict_rows(
    *,
    model: str,
    dataset: str,
    row_ids: str,
    run_id: str,
    run_after: str,
    row_id: str | None = None,
    timezone: str = "Asia/Seoul",
) -> dict:
    """Predict the drawn rows with the champion of ``model`` and write one CSV for this run.

    ``row_ids`` is a JSON list of texts, as ``draw_rows`` returns it. The file lies in
    ``output/predictions/<model>/date=…/``, the date being that of ``run_after`` in ``timezone``; a second try
    writes the same file. Skips the task, saying so, when there is no champion. Returns the file, the model's
    version and the number of rows.
    """
    from callables import _estimators

    store = ModelStore(model)
    found = store.load_champion()
    if found is None:
        skip(
            f"model {model!r} has no champion yet: train_model makes a challenger, promote_model the champion"
        )
    version, fitted = found.version, found.model
    frame, id_column, _ = read_rows(dataset, row_id)
    wanted = json.loads(row_ids)
    drawn = frame.set_index(id_column).loc[wanted]
    features = [feature["name"] for feature in store.metadata(version)["features"]]
    missing = [name for name in features if name not in drawn.columns]
    if missing:
        raise ValueError(f"dataset {dataset!r} lacks columns that {model} {version} learnt from: {missing}")
    predictions, probabilities = _estimators.predict_rows(fitted, drawn[features])
    moment = parse_time(run_after)
    day = moment.astimezone(ZoneInfo(timezone)).date().isoformat()
    path = output_path("predictions", model, f"date={day}", f"{safe_name(run_id)}.csv")
    rows = [
        [run_id, moment.isoformat(), version, key, prediction, probability]
        for key, prediction, probability in zip(wanted, predictions, probabilities, strict=True)
    ]
    _write_once(path, rows)
    log.info("%s predicted %s in %s", version, predictions, path)
    return {"file": relative_to_project(path), "model_version": version, "rows": len(rows)}


def _write_once(path: UPath, rows: list[list]) -> None:
    """Write the run's rows, unless the file already says the same: then its ``scored_at`` stays too."""
    import csv
    import io

    if path.exists():
        written = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))[1:]
        fresh = list(csv.reader(io.StringIO(csv_bytes(COLUMNS[:-1], rows).decode())))[1:]
        if [row[:-1] for row in written] == fresh:
            return
    scored_at = datetime.now(UTC).isoformat(timespec="seconds")
    write_atomic(path, csv_bytes(COLUMNS, [[*row, scored_at] for row in rows]))
