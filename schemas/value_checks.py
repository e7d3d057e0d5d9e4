"""Values that a function would refuse when the task runs, told by a check that the function brings along.

Its attribute ``check_values`` says how. That may import what the function itself needs; so only ``check``
asks, and not the loader.
"""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from schemas.diagnostics import ERROR, WARNING, Diagnostic
from schemas.documents import Document, KeyPath
from schemas.path_checks import resolved
from schemas.tasks import tasks_of


def check_values(document: Document) -> Iterator[Diagnostic]:
    """Ask each task's function what it would refuse of its op_kwargs; a value not known yet is ``...``."""
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            check = getattr(resolved(task.get("python_callable")), "check_values", None)
            for place in (("op_kwargs",), ("partial", "op_kwargs")):
                part = task if len(place) == 1 else task.get(place[0])
                given = part.get("op_kwargs") if isinstance(part, dict) else None
                if callable(check) and isinstance(given, dict):
                    yield from _ask(document, (*paths[task_id], *place), check, given)


def _ask(document: Document, path: KeyPath, check: Any, given: dict[str, Any]) -> Iterator[Diagnostic]:
    known = {name: value if _is_plain(value) else ... for name, value in given.items()}
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what it prints is no part of the answer
            problems = list(check(known))
    except (Exception, SystemExit) as error:
        # Not its text, which may have any of the values.
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        message = f"the values cannot be checked: {type(error).__name__} in {place}"
        yield document.problem("DAG116", path, message, key=True, severity=WARNING)
        return
    for problem in problems:
        severity = WARNING if problem.may_change else ERROR
        message, _, hint = problem.message.partition("; ")
        yield document.problem("DAG116", (*path, *problem.path), message, hint, severity=severity)


def _is_plain(value: Any) -> bool:
    """Tell whether the value is what the function gets: no template, and nothing that dag-factory makes."""
    if isinstance(value, dict):
        return not any(str(key).startswith("__") for key in value) and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not (isinstance(value, str) and ("{{" in value or "{%" in value))
