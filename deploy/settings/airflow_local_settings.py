"""Airflow imports this in each of its processes; it holds what Airflow has no setting for."""

import importlib
import sys
from types import SimpleNamespace
from typing import Any


def import_before_fork() -> None:
    """Import what training needs once, in the scheduler, so that the workers it forks have it already.

    A task then spends its time on its work; nothing is computed here, since a fork copies threads badly.
    """
    for module in ("pandas", "sklearn.linear_model", "sklearn.model_selection", "sklearn.pipeline"):
        importlib.import_module(module)


def serve_logs_to_this_machine_only() -> None:
    """Bind the two log servers to 127.0.0.1; Airflow 3.3 binds them to every address of the machine."""
    import uvicorn
    from airflow.utils.serve_logs import core

    def run(app: Any, **arguments: Any) -> None:
        uvicorn.run(app, **{**arguments, "host": "127.0.0.1"})

    core.uvicorn = SimpleNamespace(run=run)


if "scheduler" in sys.argv:
    import_before_fork()
if {"scheduler", "triggerer"} & set(sys.argv):
    serve_logs_to_this_machine_only()
