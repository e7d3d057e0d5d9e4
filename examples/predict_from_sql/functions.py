"""The task function that makes up rows to learn from and to predict."""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)


def add_sample_rows(*, connection: str, kind: str, rows: int | str, run_id: str) -> dict[str, Any]:
    """Add made-up rows to the table of new ones; the table to learn from is filled if it is empty.

    ``kind`` is one of ``samples.KINDS``. A second call with the same ``run_id`` adds nothing. Returns the
    first and last id of the run's rows, None if it has none.
    """
    from batch_serving.shared.airflow import database_engine
    from examples.predict_from_sql.samples import sample_of
    from examples.predict_from_sql.tables import add_rows, fill_history

    sample = sample_of(kind)
    engine = database_engine(connection)
    try:
        learnt = fill_history(sample, engine)
        ids = add_rows(sample, int(rows), run_id, engine)
    finally:
        engine.dispose()
    log.info("%d rows to learn from are new; to predict: %d", learnt, len(ids))
    return {"first_id": min(ids, default=None), "last_id": max(ids, default=None)}
