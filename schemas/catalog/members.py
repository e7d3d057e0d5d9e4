"""What a template can take from ``task``: the attributes of its operator. Calls nothing."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from schemas.catalog.imports import UnresolvedError, resolve


def members_of_task(task: dict[str, Any]) -> frozenset[str] | None:
    """Return the public attributes of a task's operator; None where they are not known."""
    path = task.get("operator")
    if not isinstance(path, str):
        return None
    try:
        found = resolve(path)
    except UnresolvedError:
        return None
    return _members(found) if isinstance(found, type) else None


@cache
def _members(cls: type) -> frozenset[str]:
    """Return the attributes of a class and those that its constructors set, by the names in their code."""
    names = {*dir(cls)}
    for base in cls.__mro__:
        init = inspect.unwrap(base.__dict__.get("__init__", object.__init__))
        code = getattr(init, "__code__", None)
        if code is not None:
            taken = {*code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]}
            names |= taken | {name for name in code.co_names if name not in init.__globals__}
        names |= {*getattr(base, "__annotations__", {})}
    return frozenset(name for name in names if not name.startswith("_"))
