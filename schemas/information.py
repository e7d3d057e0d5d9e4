"""What a person may want to know of a file that is right: when it runs next, and what it needs to exist."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from schemas.diagnostics import INFORMATION, Diagnostic
from schemas.documents import Document
from schemas.next_runs import next_runs
from schemas.text_checks import texts

DEFAULT_POOL = "default_pool"


def describe(document: Document, now: datetime) -> Iterator[Diagnostic]:
    """Yield the next runs of each DAG, and the pools and connections that its file names."""
    if not document.is_defaults:
        yield from _next_runs(document, now)
    for path, text in texts(document.data, ()):
        if "{{" in text:
            continue  # known when the task runs
        if path[-1] == "pool" and text != DEFAULT_POOL:
            message = f"needs pool {text!r}"
            hint = f"make it once: airflow pools set {text} SLOTS DESCRIPTION"
            yield document.problem("DAG302", path, message, hint, severity=INFORMATION)
        elif str(path[-1]) in ("conn_id", "connection") or str(path[-1]).endswith("_conn_id"):
            message = f"needs connection {text!r}"
            hint = f"AIRFLOW_CONN_{text.upper()} in the environment, or a secrets backend"
            yield document.problem("DAG303", path, message, hint, severity=INFORMATION)


def _next_runs(document: Document, now: datetime) -> Iterator[Diagnostic]:
    for dag_id in document.dags:
        if runs := next_runs(document.config_of(dag_id), now):
            shown = ", ".join(f"{run:%Y-%m-%d %H:%M}" for run in runs)
            message = f"{dag_id} runs next at {shown} ({runs[0].tzinfo})"
            yield document.problem("DAG301", (dag_id, "schedule"), message, severity=INFORMATION)
