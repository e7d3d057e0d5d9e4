"""The DAG processor's side: a callback learns why it is requested, and the watcher's requests announce only.

Airflow 3.3 runs a task's callbacks in the DAG processor where the task's process cannot. It does not pass on
the request's text. This is the one patch that announcing failures needs.
"""

from __future__ import annotations

from typing import Any

from batch_serving.notices import claims, reasons
from batch_serving.notices.once import is_announcing
from batch_serving.notices.reasons import Limits

MARK = "not announced yet: "  # at the start of the text of the watcher's requests


def marked(reason: str) -> str:
    """Return the text of a request of the watcher's."""
    return f"{MARK}{reason}"


def limits() -> Limits:
    """Return how long Airflow waits before it fails a task, from its settings."""
    from airflow.configuration import conf

    return Limits(
        heartbeat_s=conf.getfloat("scheduler", "task_instance_heartbeat_timeout"),
        queued_s=conf.getfloat("scheduler", "task_queued_timeout"),
    )


def give_reasons() -> None:
    """Patch this process, a DAG processor, and those that it forks."""
    from airflow.dag_processing import processor

    execute = processor._execute_task_callbacks

    def execute_with_reason(dagbag: Any, request: Any, log: Any) -> None:
        message = request.msg or ""
        is_ours = message.startswith(MARK)
        if is_ours and not _announces(dagbag, request):
            return
        text = message.removeprefix(MARK) if is_ours else reasons.in_words(message, limits())
        with reasons.requested_because(text):
            execute(dagbag, request, log)

    processor._execute_task_callbacks = execute_with_reason


def _announces(dagbag: Any, request: Any) -> bool:
    """Leave a task only those callbacks that do no harm when they are called again; False if it has none.

    Of the others, the watcher does not know whether the task's own process has called them. A DAG that is not
    in the file just now is left to Airflow, which logs that; the watcher asks again later.
    """
    dag = dagbag.dags.get(request.ti.dag_id)
    task = dag.task_dict.get(request.ti.task_id) if dag is not None else None
    if task is None:
        return True
    found = task.on_failure_callback or []
    kept = [each for each in (found if isinstance(found, list | tuple) else [found]) if is_announcing(each)]
    if kept:
        task.on_failure_callback = kept
        return True
    claim = claims.claim(claims.of_task(str(request.ti.id), request.ti.try_number, "no callback"))
    if claim is not None:
        claim.close("no callback announces it")
    return False
