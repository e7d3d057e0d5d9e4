"""What templates can take from what Airflow gives them: types, their members, and the types of those.

A type's members are a mapping from name to the member's type: the name of another type, ``()`` and a type for
what a method returns, or an empty text where nothing is said. Derived from Airflow's classes, once, for the
schema file.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any

Members = dict[str, str]
# What text and dates give back, by method; Python's own classes have no annotations that say it.
TEXT_METHODS = (
    *(
        "capitalize",
        "casefold",
        "center",
        "format",
        "ljust",
        "lower",
        "lstrip",
        "removeprefix",
        "removesuffix",
    ),
    *("replace", "rjust", "rstrip", "strip", "swapcase", "title", "upper", "zfill"),
)
DATE_TO_TEXT = ("ctime", "isoformat", "strftime", "format")
DATE_TO_DATE = (
    "astimezone",
    "combine",
    "fromisoformat",
    "fromtimestamp",
    "now",
    "replace",
    "strptime",
    "utcnow",
)
ROOTS = {
    **dict.fromkeys(("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "run_id"), "text"),
    "task_instance_key_str": "text",
    **dict.fromkeys(("logical_date", "data_interval_start", "data_interval_end"), "date"),
    **dict.fromkeys(("prev_data_interval_start_success", "prev_data_interval_end_success"), "date"),
    **dict.fromkeys(("prev_start_date_success", "prev_end_date_success"), "date"),
    **dict.fromkeys(("ti", "task_instance"), "task_instance"),
    **{name: name for name in ("conn", "dag", "dag_run", "macros", "params", "task", "var")},
}


def context_names() -> list[str]:
    """Return the variables that a task's templates are given: those of the context that Airflow fills in.

    Some names of the context exist for callbacks and for other places alone, such as ``exception``.
    """
    from airflow.sdk.definitions.context import Context
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    filled = set(_texts(inspect.unwrap(RuntimeTaskInstance.get_template_context).__code__))
    return sorted({*Context.__annotations__} & filled)


def template_types() -> dict[str, Members]:
    """Return the types by name; those of ``task`` and ``params`` are the DAG's, and not here."""
    from datetime import datetime, timedelta

    from airflow.sdk import DAG, Connection
    from airflow.sdk.api.datamodels._generated import DagRun
    from airflow.sdk.execution_time import macros
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from pendulum import DateTime

    found = {
        "text": {**_members(str), **dict.fromkeys(TEXT_METHODS, "()text")},
        "datetime": _dates(datetime, "datetime"),
        "date": _dates(DateTime, "date"),
        "timedelta": _members(timedelta),
        "connection": _members(Connection),
        "dag": {**_members(DAG), "dag_id": "text", "params": "params"},
        "dag_run": _members(DagRun),
        "task_instance": {**_members(RuntimeTaskInstance), "task": "task"},
        "var": {"json": "", "value": ""},
        "macros": {},
    }
    for name in _public(macros):
        value = getattr(macros, name)
        if name in ("Any", "TYPE_CHECKING", "annotations"):
            continue  # of the module, and of no use to a template
        kind = name if name in found else ""
        if isinstance(value, types.ModuleType) and name != "dateutil":  # its parts are imported one by one
            kind = f"module {name}"
            found[kind] = _members(value)
        elif inspect.isfunction(value):
            kind = "()text" if value.__annotations__.get("return") == "str" else ""
        found["macros"][name] = kind
    return found


def _texts(code: types.CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        for one in constant if isinstance(constant, tuple) else (constant,):
            if isinstance(one, str):
                yield one


def _public(of: Any) -> Iterator[str]:
    return (name for name in dir(of) if not name.startswith("_"))


def _members(of: Any) -> Members:
    """Return the members of a class or module; those that a pydantic model has from pydantic are none."""
    from pydantic import BaseModel

    fields = getattr(of, "model_fields", {})
    names = {*_public(of), *fields, *(one.name for one in getattr(of, "__attrs_attrs__", ()))}
    if fields:
        names -= {*dir(BaseModel)}
    return {name: _kind(fields.get(name)) for name in sorted(names)}


def _kind(field: Any) -> str:
    """Return the type of a model's field: a text, a time with its zone, or not known."""
    annotation = str(getattr(field, "annotation", ""))
    if annotation == "<class 'str'>":
        return "text"
    return "datetime" if "AwareDatetime" in annotation else ""


def _dates(cls: type, own: str) -> Members:
    found = _members(cls)
    for name in found:
        returned = str(getattr(getattr(cls, name), "__annotations__", {}).get("return", ""))
        if name in DATE_TO_TEXT or returned == "str":
            found[name] = "()text"
        elif name in DATE_TO_DATE or returned in ("Self", cls.__name__):
            found[name] = f"(){own}"
    return found
