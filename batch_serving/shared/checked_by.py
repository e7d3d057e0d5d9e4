"""Checks that a task function brings along: ``make check`` applies them to YAML, before any run.

``@checked_by(check)`` names the check: given the arguments in the YAML, it yields a BadValue for each one
that the function would refuse. A template is known only when the task runs, and is ``...`` here; the function
itself checks everything then. ``@renamed(…)`` says what an argument or a value was called before.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.suggestions import closest

Given = dict[str, Any]
ValuePath = tuple[str | int, ...]
Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class BadValue:
    """What is wrong with the value at ``path`` within the arguments, and what to do about it.

    ``may_change``: it depends on a file, and may be right when the task runs.
    """

    path: ValuePath
    message: str
    hint: str = ""
    may_change: bool = False


Check = Callable[[Given], Iterator[BadValue]]


def checked_by(check: Check) -> Callable[[Function], Function]:
    """Give a task function the attribute ``check_values``, which the checker calls with YAML's arguments."""

    def mark(function: Function) -> Function:
        parameters = set(inspect.signature(function).parameters)

        def check_values(given: Given) -> list[BadValue]:
            known = {name: value for name, value in given.items() if name in parameters}
            found = list(check(known))
            unknown = given.keys() - parameters
            if not found or not unknown:
                return found
            # The unknown name is a problem of its own; what is wrong only because of it is not another one.
            old_names = getattr(function, "renamed_arguments", {})
            intended = _intended(unknown, parameters - given.keys(), old_names)
            certain = list(check({**known, **dict.fromkeys(intended, ...)}))
            return [problem for problem in found if problem in certain]

        function.check_values = check_values  # type: ignore[attr-defined]
        return function

    return mark


def _intended(unknown: set[str], absent: set[str], old_names: dict[str, str]) -> set[str]:
    """Return the absent parameters that unknown names may stand for; all, where a name resembles none."""
    found = {old_names.get(name) or closest(name, sorted(absent)) for name in unknown}
    return absent if None in found else {name for name in found if name in absent}


def renamed(
    *, arguments: dict[str, str] | None = None, values: dict[str, dict[str, str]] | None = None
) -> Callable[[Function], Function]:
    """Record the earlier names of a task function's arguments and values, for hints with the new ones.

    ``arguments`` is ``{old name: new name}``, ``values`` is ``{argument: {old value: new value}}``. The
    checker reads the attributes ``renamed_arguments`` and ``renamed_values``; a call is not changed.
    """

    def mark(function: Function) -> Function:
        function.renamed_arguments = arguments or {}  # type: ignore[attr-defined]
        function.renamed_values = values or {}  # type: ignore[attr-defined]
        return function

    return mark


def same_values_as(other: Callable[..., Any], *names: str) -> Callable[[Function], Function]:
    """Say that these arguments must have the same values as those of a task before with the function
    ``other``.

    The checker reads the attribute ``same_values_as``: functions with the names of the arguments.
    """

    def mark(function: Function) -> Function:
        function.same_values_as = [(other, names)]  # type: ignore[attr-defined]
        return function

    return mark


def alone_with(claimed: Callable[[Given], dict[str, str]]) -> Callable[[Function], Function]:
    """Say what a task has alone: ``claimed`` returns names of it, by the argument that gives each.

    The checker reads the attribute ``alone_with``: no task of another DAG may claim the same.
    """

    def mark(function: Function) -> Function:
        function.alone_with = claimed  # type: ignore[attr-defined]
        return function

    return mark


def bad_values(path: ValuePath, call: Callable[..., Any], *values: Any) -> Iterator[BadValue]:
    """Yield what ``call`` says when it refuses ``values`` with a ValueError; nothing if it accepts them."""
    try:
        call(*values)
    except InvalidValueError as error:
        yield BadValue(path, error.message, error.hint)
    except ValueError as error:
        yield BadValue(path, str(error).splitlines()[0])


def accepts(call: Callable[..., Any], *values: Any) -> bool:
    """Return whether ``call`` accepts ``values``: raises no ValueError."""
    return not any(bad_values((), call, *values))


def named_values(given: Given) -> set[str]:
    """Return the names of the arguments that are given and not null."""
    return {name for name, value in given.items() if value is not None}


def known_values(given: Given) -> Given:
    """Return the arguments whose values are known already: not those that a template gives."""
    return {name: value for name, value in given.items() if value is not ...}
