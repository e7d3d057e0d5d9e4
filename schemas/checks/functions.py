"""Functions that an operator calls: each takes what it is called with."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from schemas.catalog.lookup import facts_of_task, load_schema
from schemas.catalog.signatures import called_with, takes_callable
from schemas.checks.paths import resolved
from schemas.documents.arguments import arguments_of
from schemas.documents.reading import Document
from schemas.problems import Problem, Rule

_SENSOR = "operator: airflow.providers.common.sql.sensors.sql.SqlSensor\nconn_id: store\nsql: SELECT 1"
NOT_CALLED_SO = Rule(
    "DAG148",
    "a function that does not take what its operator calls it with",
    why="The operator calls the function by position when the task runs, and the call would fail.",
    bad=f"{_SENSOR}\nsuccess: callables.models.prune",
    good=f"{_SENSOR}\nsuccess: callables.notifications.notify_failure",
    scope="task",
)
# Operators call these with one value, and what else they take by name from the context. Source: the
# calls of determine_kwargs in the providers http, amazon and standard, and in common.sql.
WITH_CONTEXT = frozenset(
    {
        "response_check",
        "response_filter",
        "pagination_function",
        "check_fn",
        "rows_processor",
        "execution_date_fn",
    }
)
HOOKS = {"pre_execute": 1, "post_execute": 2}  # called with the context, and with the task's result
OTHERS = frozenset({"python_callable"})  # called with op_args and op_kwargs, which have a check of their own


def check_functions(document: Document) -> Iterator[Problem]:
    """A function that an operator's argument names takes as many arguments as the operator gives it."""
    for one in arguments_of(document):
        kind = facts_of_task(one.task).get("properties", {}).get(one.key, {})
        if one.key in OTHERS or not (one.key in HOOKS or takes_callable(kind)):
            continue
        number = 1 if one.key in WITH_CONTEXT else HOOKS.get(one.key) or called_with(kind)
        function = resolved(one.value)
        if number is None or not inspect.isfunction(function):
            continue
        wrong = _wrong(function, number, with_context=one.key in WITH_CONTEXT)
        if wrong:
            message = f"{one.key} is called with {_values(number)}, but {function.__name__}() {wrong}"
            hint = f"name a function of {_values(number)}"
            yield document.problem(NOT_CALLED_SO, one.path, message, hint)


def _values(number: int) -> str:
    return f"{number} value{'s' if number != 1 else ''}"


def _wrong(function: object, number: int, *, with_context: bool) -> str:
    """Return what keeps a function from being called with this number of values; empty if nothing does."""
    parameters = [*inspect.signature(function).parameters.values()]  # type: ignore[arg-type]
    by_position = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    takes_any = any(one.kind is one.VAR_POSITIONAL for one in parameters)
    if len(by_position) < number and not takes_any:
        return f"takes {len(by_position) or 'none'} by position"
    context = {*load_schema()["x-template-names"], "context"} if with_context else set()
    needed = [
        one.name
        for one in (*by_position[number:], *(one for one in parameters if one.kind is one.KEYWORD_ONLY))
        if one.default is one.empty and one.name not in context
    ]
    return f"also needs {', '.join(map(repr, needed))}" if needed else ""
