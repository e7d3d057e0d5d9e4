"""Functions that an operator calls: each takes what it is called with."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator

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
    good=f"{_SENSOR}\nsuccess: callables.responses.has_content",
    scope="task",
)
# How many values an operator gives a function, where the annotation does not say. Source: the calls in the
# providers http, amazon, standard and common.sql.
NUMBERS = {
    **dict.fromkeys(("response_check", "response_filter", "execution_date_fn"), 1),
    **dict.fromkeys(("pagination_function", "check_fn", "rows_processor"), 1),
    **{"pre_execute": 1, "post_execute": 2},  # the context, and the task's result
}
# These get by name what they ask for of the context, and these all of it.
NAMED_CONTEXT = frozenset({"response_check", "response_filter", "execution_date_fn"})
WHOLE_CONTEXT = frozenset({"rows_processor"})
OTHERS = frozenset({"python_callable"})  # called with op_args and op_kwargs, which have a check of their own


def check_functions(document: Document) -> Iterator[Problem]:
    """A function that an operator's argument names takes as many arguments as the operator gives it."""
    for one in arguments_of(document):
        base = load_schema()["$defs"]["task"]["properties"]
        kind = facts_of_task(one.task).get("properties", {}).get(one.key) or base.get(one.key, {})
        if one.key in OTHERS or not takes_callable(kind):
            continue
        number = NUMBERS.get(one.key) or called_with(kind)
        function = resolved(one.value)
        if number is None or not inspect.isfunction(function):
            continue
        wrong = _wrong(function, number, one.key)
        if wrong:
            message = f"{one.key} is called with {_values(number)}, but {function.__name__}() {wrong}"
            hint = f"name a function of {_values(number)}"
            if "**" in wrong:
                hint = "add **context to its arguments"
            yield document.problem(NOT_CALLED_SO, one.path, message, hint)


def _values(number: int) -> str:
    return f"{number} value{'s' if number != 1 else ''}"


def _wrong(function: Callable[..., object], number: int, key: str) -> str:
    """Return what keeps a function from being called with this number of values; empty if nothing does."""
    parameters = [*inspect.signature(function).parameters.values()]
    by_position = [one for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    kinds = {one.kind for one in parameters}
    if len(by_position) < number and inspect.Parameter.VAR_POSITIONAL not in kinds:
        return f"takes {len(by_position) or 'none'} by position"
    if key in WHOLE_CONTEXT and inspect.Parameter.VAR_KEYWORD not in kinds:
        return "does not take the context's names: it needs **context"
    context = (
        {*load_schema()["x-template-names"], "context"} if key in NAMED_CONTEXT | WHOLE_CONTEXT else set()
    )
    needed = [
        one.name
        for one in (*by_position[number:], *(one for one in parameters if one.kind is one.KEYWORD_ONLY))
        if one.default is one.empty and one.name not in context
    ]
    return f"also needs {', '.join(map(repr, needed))}" if needed else ""
