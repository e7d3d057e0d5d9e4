"""Functions that need a date of the run by name, in a DAG whose runs may have none."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from schemas.checks.paths import resolved
from schemas.checks.template_names import DATED, NO_LOGICAL_DATE, why_no_date
from schemas.documents.arguments import PARTS
from schemas.documents.reading import Document
from schemas.documents.tasks import tasks_of
from schemas.problems import Problem


def check_dates_needed(document: Document) -> Iterator[Problem]:
    """No function needs a date of the run by name that the run may not have."""
    for dag_id, tasks, paths in tasks_of(document):
        no_date = why_no_date(document.config_of(dag_id))
        for task_id, task in tasks.items() if no_date else ():
            function = resolved(task.get("python_callable"))
            if not inspect.isfunction(function) or "decorator" in task:
                continue
            written = {
                one for part in (task, *(task.get(part) for part in PARTS)) for one in _op_kwargs(part)
            }
            positional = task.get("op_args") if isinstance(task.get("op_args"), list) else []
            for name, parameter in [*inspect.signature(function).parameters.items()][len(positional or ()) :]:
                if name in DATED and name not in written and parameter.default is parameter.empty:
                    message = f"{function.__name__}() needs {name!r}, which a run {no_date} does not have"
                    hint = "give the argument a default, or a value in op_kwargs, as from dag_run.run_after"
                    yield document.problem(
                        NO_LOGICAL_DATE, (*paths[task_id], "python_callable"), message, hint
                    )


def _op_kwargs(part: Any) -> Iterator[str]:
    """Yield the names in the op_kwargs of a task or of a part of one, where it maps over several too."""
    given = part.get("op_kwargs") if isinstance(part, dict) else None
    for found in given if isinstance(given, list) else [given]:
        yield from map(str, found if isinstance(found, dict) else ())
