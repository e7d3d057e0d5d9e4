"""Values that a function would refuse when the task runs, by a check that the function brings along.

The function's attribute ``check_values`` is that check. It may import what the function itself needs; so only
``check`` calls it, and not the loader.
"""

from __future__ import annotations

import contextlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from schemas.checks.examples import PYTHON
from schemas.checks.kinds import shown
from schemas.checks.paths import resolved
from schemas.documents.graph import Graph, graphs_of
from schemas.documents.reading import Document
from schemas.documents.tasks import tasks_of
from schemas.documents.texts import mappings
from schemas.problems import WARNING, KeyPath, Problem, Rule

REFUSED_VALUE = Rule(
    "DAG116",
    "a value that the function would refuse",
    why=(
        "The task would fail with this when it runs: the function has its own check. What depends on a "
        "data file, which may be another by then, is a warning."
    ),
    bad=(
        f"{PYTHON}\npython_callable: callables.training.check_dataset\n"
        "op_kwargs: {dataset: data/digits.csv, target: digit, estimator: sklearn.svm.SVCC}"
    ),
    good=(
        f"{PYTHON}\npython_callable: callables.training.check_dataset\n"
        "op_kwargs: {dataset: data/digits.csv, target: digit, estimator: sklearn.svm.SVC}"
    ),
    scope="task",
)
CHECK_FAILS = Rule(
    "DAG140",
    "a function's check of its values that fails itself",
    why="Nothing is known of the values until the check in the function's module is repaired.",
    bad=f"{PYTHON}\npython_callable: callables.broken.train\nop_kwargs: {{model: digits}}",
    good=(
        f"{PYTHON}\npython_callable: callables.training.check_dataset\n"
        "op_kwargs: {dataset: data/digits.csv, target: digit}"
    ),
    severity=WARNING,
    scope="task",
)


def check_values(document: Document, reported: Iterable[Problem]) -> Iterator[Problem]:
    """Ask each function, of a task and of a callback, what it would refuse of its arguments.

    A value that is not known yet, or that has a problem in ``reported``, is ``...`` to the function's check.
    """
    problems = {problem.path: problem for problem in reported}
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            check = getattr(resolved(task.get("python_callable")), "check_values", None)
            for place in (("op_kwargs",), ("partial", "op_kwargs")):
                part = task if len(place) == 1 else task.get(place[0])
                given = part.get("op_kwargs") if isinstance(part, dict) else None
                path = (*paths[task_id], *place)
                mapped = task.get("expand")
                if isinstance(mapped, dict) and "op_kwargs" in mapped:
                    continue  # each call gets more than this
                if not callable(check) or not isinstance(given, dict) or path in document.damaged:
                    continue
                known = _known(path, given, problems)
                if known is not None:
                    yield from _ask(document, path, check, known)
    for path, mapping in mappings(document.data, ()):
        check = getattr(resolved(mapping.get("callback")), "check_values", None)
        if callable(check) and not document.is_free((*path, "callback")) and path not in document.damaged:
            given = {name: value for name, value in mapping.items() if name != "callback"}
            if (known := _known(path, given, problems)) is not None:
                yield from _ask(document, path, check, known)


def check_agreement(document: Document) -> Iterator[Problem]:
    """What a function says must be the same as in a task before it is the same: the source of rows, for
    example."""
    for graph in graphs_of(document):
        functions = {name: resolved(task.get("python_callable")) for name, task in graph.tasks.items()}
        for name, function in functions.items():
            for other, arguments in getattr(function, "same_values_as", ()):
                for before in sorted(graph.before(name)):
                    if functions[before] is other:
                        yield from _differences(document, graph, (before, name), (other, function), arguments)


def _differences(
    document: Document,
    graph: Graph,
    pair: tuple[str, str],
    functions: tuple[Any, Any],
    arguments: tuple[str, ...],
) -> Iterator[Problem]:
    before, name = pair
    theirs, ours = (graph.tasks[one].get("op_kwargs") for one in pair)
    path = (*graph.paths[name], "op_kwargs")
    if not isinstance(theirs, dict) or not isinstance(ours, dict) or path in document.damaged:
        return
    if (*graph.paths[before], "op_kwargs") in document.damaged:
        return
    for argument in arguments:
        if theirs.get(argument) == ours.get(argument):
            continue
        if _may_lack(argument, theirs, functions[0]) or _may_lack(argument, ours, functions[1]):
            continue
        given = argument in ours
        here, there = shown(ours.get(argument)), shown(theirs.get(argument))
        message = f"{argument} is {here}, but in {before!r} it is {there}"
        at = (*path, argument) if given else path
        hint = f"give both the same {argument}, with an anchor (&{argument}) and *{argument}"
        yield document.problem(REFUSED_VALUE, at, message, hint, key=not given)


def _may_lack(argument: str, given: dict[str, Any], function: Callable[..., Any]) -> bool:
    """Return whether an argument may be missing only because a name is misspelt, which is reported."""
    return argument not in given and not {*given} <= {*inspect.signature(function).parameters}


def _known(
    path: KeyPath, given: dict[str, Any], problems: Mapping[KeyPath, Problem]
) -> dict[str, Any] | None:
    """Return the values that can be judged, ``...`` for the others; None where a name is not clear."""
    known: dict[str, Any] = {}
    for name, value in given.items():
        problem = problems.get((*path, name))
        judged = value if _is_plain(value) else ...
        if problem is None:
            known[name] = judged
        elif not problem.of_key:
            known[name] = ...
        elif problem.fix:
            known[problem.fix.new] = judged
        elif problem.hint.startswith("did you mean"):
            return None
    return known


def _ask(
    document: Document,
    path: KeyPath,
    check: Callable[[dict[str, Any]], Iterable[Any]],
    known: dict[str, Any],
) -> Iterator[Problem]:
    try:
        with contextlib.redirect_stdout(sys.stderr):  # what it prints is not part of the answer
            problems = list(check(known))
    except (Exception, SystemExit) as error:
        # Not its text, which may have any of the values.
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        message = f"the values cannot be checked: {type(error).__name__} in {place}"
        yield document.problem(CHECK_FAILS, path, message, "repair the check of this function", key=True)
        return
    for bad in problems:
        found = document.problem(REFUSED_VALUE, (*path, *bad.path), bad.message, bad.hint)
        yield found.as_warning() if bad.may_change else found


def _is_plain(value: Any) -> bool:
    """Return whether the value is what the function gets: no template, and nothing that dag-factory makes."""
    if isinstance(value, dict):
        return not any(str(key).startswith("__") for key in value) and all(map(_is_plain, value.values()))
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return not (isinstance(value, str) and ("{{" in value or "{%" in value))
