"""What ``my_first_airflow_dag.yaml`` calls when a task has ended. Airflow gives each the context."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def print_success(context: Mapping[str, Any]) -> None:
    """Print to the task's log that it has succeeded."""
    task = context["ti"]
    print(f"{task.task_id} has succeeded, in run {task.run_id}")


def print_failure(context: Mapping[str, Any]) -> None:
    """Print to the task's log that its last try has failed, and why."""
    task = context["ti"]
    print(f"{task.task_id} has failed, in run {task.run_id}: {context.get('exception')}")
