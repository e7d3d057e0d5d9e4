"""The next runs of a DAG, from its YAML: what the file on disk would do, not what Airflow runs now."""

from __future__ import annotations

from datetime import datetime

from batch_page.pipelines import Pipeline

NEXT = 5


def next_five(one: Pipeline, now: datetime) -> list[datetime]:
    """Return the next runs, none for a DAG that no clock starts, or whose file cannot be read."""
    from schemas.catalog.cron import next_runs
    from schemas.documents.reading import DocumentError, find_defaults, read_document

    try:
        defaults = [read_document(file) for file in find_defaults(one.file, one.file.parent)]
        document = read_document(one.file).with_defaults(defaults)
        return next_runs(document.config_of(one.dag_id), now, NEXT)
    except (DocumentError, OSError, KeyError, ValueError):
        return []
