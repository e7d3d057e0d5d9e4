"""From a Python signature to JSON Schema: types from annotations, texts from docstrings. Calls nothing."""

from __future__ import annotations

import ast
import inspect
import re
from functools import cache
from typing import Any

Schema = dict[str, Any]

TEMPLATE: Schema = {"type": "string", "pattern": r"\{[{%]"}  # Jinja gives the value when the task runs
JOINED: Schema = {"type": "object", "required": ["__join__"]}  # dag-factory makes one text of the parts
TYPED: Schema = {"type": "object", "required": ["__type__"]}
# Where a class takes a timedelta alone, the loader makes one of a number of seconds.
SECONDS: Schema = {"anyOf": [TYPED, {"type": "number"}], "x-kind": "a number of seconds or a timedelta"}
CALLABLE: Schema = {"type": "string", "description": "A function's dotted path", "x-callable": True}
HOOK = "ExecuteHook"  # Airflow's name for a function that is called before or after a task
_ARRAYS = {"list", "tuple", "set", "frozenset", "Sequence", "Collection", "Iterable", "Container"}
_NAMES: dict[str, Schema] = {
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "None": {"type": "null"},
    "dict": {"type": "object"},
    "Mapping": {"type": "object"},
    "MutableMapping": {"type": "object"},
    "Callable": CALLABLE,
    "timedelta": SECONDS,
    "PathLike": {"type": "string"},
    **{name: {"type": "array"} for name in _ARRAYS},
}
_PARAM = re.compile(r"^\s*:param\s+(?:[\w.|\[\], ]+\s+)?\*{0,2}(\w+):\s*(.*)$")


def schema_of(annotation: Any) -> Schema:
    """Return the JSON Schema of a value with this annotation; ``{}`` where YAML may hold anything."""
    if annotation is inspect.Parameter.empty:
        return {}
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    try:
        kinds = list(_kinds(ast.parse(text, mode="eval").body))
    except SyntaxError:
        return {}
    if not kinds or {} in kinds:
        return {}
    if len(kinds) > 1:
        kinds = [part for kind in kinds for part in kind.get("anyOf", [kind])]
    unique = [kind for number, kind in enumerate(kinds) if kind not in kinds[:number]]
    return unique[0] if len(unique) == 1 else {"anyOf": unique}


def _kinds(node: ast.expr) -> list[Schema]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return [*_kinds(node.left), *_kinds(node.right)]
    if isinstance(node, ast.Constant):
        return [_NAMES["None"] if node.value is None else {}]
    if isinstance(node, ast.Subscript):
        return _subscript(_last_name(node.value), node.slice)
    name = _last_name(node)
    return [] if name == "ArgNotSet" else [_NAMES.get(name, {})]


def _subscript(name: str, inner: ast.expr) -> list[Schema]:
    if name == "Literal":
        values = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        return [{"enum": [value.value for value in values if isinstance(value, ast.Constant)]}]
    if name in ("Optional", "Union"):
        members = inner.elts if isinstance(inner, ast.Tuple) else [inner]
        kinds = [kind for member in members for kind in _kinds(member)]
        return [*kinds, _NAMES["None"]] if name == "Optional" else kinds
    if name in ("dict", "Mapping") and isinstance(inner, ast.Tuple) and len(inner.elts) == 2:
        held = _kinds(inner.elts[1])
        if held and {} not in held:
            return [
                {"type": "object", "additionalProperties": held[0] if len(held) == 1 else {"anyOf": held}}
            ]
    if name == "Callable" and isinstance(inner, ast.Tuple) and isinstance(inner.elts[0], ast.List):
        return [{**CALLABLE, "x-arguments": len(inner.elts[0].elts)}]
    if name in _ARRAYS and not isinstance(inner, ast.Tuple):
        items = _kinds(inner)
        if items and {} not in items and len(items) == 1:
            return [{"type": "array", "items": items[0]}]
    return [_NAMES.get(name, {})]


def takes_callable(kind: Schema) -> bool:
    """Return whether an argument of this schema is for a function, which YAML names by its dotted path."""
    return any(one.get("x-callable", False) for one in kind.get("anyOf", [kind]))


def called_with(kind: Schema) -> int | None:
    """Return how many arguments a function for this argument is called with; None where that is not said."""
    counts = [one.get("x-arguments") for one in kind.get("anyOf", [kind]) if one.get("x-callable")]
    return counts[0] if counts else None


@cache
def converted_arguments(cls: type) -> dict[str, str]:
    """Return the arguments of a class that YAML cannot give as they are, by what the loader makes of them.

    ``function``: of a dotted path; ``timedelta``: of a number of seconds.
    """
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for name, annotation in getattr(base.__dict__.get("__init__"), "__annotations__", {}).items():
            text = str(annotation)  # the loader asks for each operator: only these few are parsed
            found.pop(name, None)
            if HOOK in text or ("Callable" in text and takes_callable(schema_of(annotation))):
                found[name] = "function"
            elif "timedelta" in text and not {"float", "int"} & {*re.findall(r"\w+", text)}:
                found[name] = "timedelta"
    return found


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def descriptions(doc: str | None) -> dict[str, str]:
    """Return what a docstring's ``:param name:`` lines say, each as one line of text."""
    found: dict[str, list[str]] = {}
    current: list[str] | None = None
    for line in (doc or "").splitlines():
        if match := _PARAM.match(line):
            current = found.setdefault(match[1], [match[2]])
        elif current is not None and line.strip() and not line.strip().startswith((":", "..")):
            current.append(line.strip())
        else:
            current = None
    texts = {
        name: re.sub(r":\w+:`~?([^`<]*)(?:<[^`]*>)?`", r"\1", " ".join(lines))
        for name, lines in found.items()
    }
    return {name: " ".join(text.replace("``", "`").split())[:300] for name, text in texts.items()}


def arguments(cls: type, stop: type) -> dict[str, Schema]:
    """Return the arguments that ``cls`` and its bases below ``stop`` take, by name, with their schema.

    ``x-required`` marks an argument of the class itself without a default. Arguments that a template may give
    allow one.
    """
    templated = set(getattr(cls, "template_fields", ()))
    found: dict[str, Schema] = {}
    nearest = True
    for base in cls.__mro__:
        if base is stop or base is object:
            break
        init = base.__dict__.get("__init__")
        if init is None:
            continue
        texts = {**descriptions(base.__doc__), **descriptions(init.__doc__)}
        for parameter in inspect.signature(init).parameters.values():
            if parameter.name == "self" or parameter.kind in (
                parameter.VAR_KEYWORD,
                parameter.VAR_POSITIONAL,
            ):
                continue
            kind = _argument(parameter, parameter.name in templated)
            if not nearest:
                kind.pop("x-required", None)  # a class may give its base what that needs
            known = found.setdefault(parameter.name, kind)
            if parameter.name in texts:
                known.setdefault("description", texts[parameter.name])
        nearest = False
    return found


def _argument(parameter: inspect.Parameter, templated: bool) -> Schema:
    kind = schema_of(parameter.annotation)
    if kind and parameter.default is None and {"type": "null"} not in kind.get("anyOf", [kind]):
        kind = {"anyOf": [*kind.get("anyOf", [kind]), {"type": "null"}]}
    if templated and kind:
        kinds = kind.get("anyOf", [kind])
        kind = {"anyOf": [*kinds, JOINED if {"type": "string"} in kinds else TEMPLATE]}
    found = dict(kind)
    if parameter.default is parameter.empty:
        found["x-required"] = True
    elif isinstance(parameter.default, str | int | float | bool | list | dict):
        found["default"] = parameter.default
    return found
