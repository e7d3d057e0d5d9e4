"""Arguments: what a task, a callback or a type is given fits what it takes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from schemas.diagnostics import ERROR, WARNING, Diagnostic
from schemas.documents import Document, KeyPath
from schemas.operators import did_you_mean, is_allowed
from schemas.path_checks import FUNCTIONS, is_decorator, is_free, resolved
from schemas.schema import find_definition, load_schema
from schemas.signatures import schema_of
from schemas.tasks import tasks_of

# dag-factory's own, at any depth.
SPECIAL_KEYS = ("__type__", "__args__", "__and__", "__or__", "__join__")


def check_types(document: Document) -> Iterator[Diagnostic]:
    """The keys beside ``__type__``, and those of a notifier, are arguments of that class."""
    for path, mapping in _mappings(document.data, ()):
        for name in mapping:
            if str(name).startswith("__") and name not in SPECIAL_KEYS:
                message, hint = f"unknown key {name!r}", did_you_mean(name, SPECIAL_KEYS)
                yield document.problem("DAG002", (*path, name), message, hint, key=True)
        for key in ("__and__", "__or__"):
            for index, item in enumerate(mapping.get(key) or ()):
                if not isinstance(item, dict) and not FUNCTIONS.intersection(path):
                    message, hint = f"{key} joins assets, and {item!r:.40} is none", ASSET_HINT
                    yield document.problem("DAG103", (*path, key, index), message, hint)
        for kind, key in (("types", "__type__"), ("notifiers", "callback")):
            found = find_definition(kind, mapping.get(key))
            name = str(mapping.get(key)).rpartition(".")[2]
            known = found.get("properties") if found else None
            if found is not None and name in ("Param", "timedelta"):
                yield from _check_values(document, path, name, mapping, known or {})
            if known is None:
                continue
            for given in mapping:
                if given not in (key, "__args__") and given not in known:
                    message, hint = f"{name} has no argument {str(given)!r}", did_you_mean(str(given), known)
                    yield document.problem("DAG102", (*path, given), message, hint, key=True)


ASSET_HINT = "write {__type__: airflow.sdk.Asset, uri: 's3://bucket/key'}"


def _check_values(
    document: Document, path: KeyPath, name: str, mapping: dict[str, Any], known: dict[str, Any]
) -> Iterator[Diagnostic]:
    """A duration is of numbers, and a Param's default is of the type that it says."""
    import jsonschema

    if name == "timedelta":
        for key, value in mapping.items():
            number = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9
            if key in known and not number:
                message = f"{key!r} of a timedelta is {value!r:.40}, not a number below a thousand million"
                yield document.problem("DAG102", (*path, key), message)
        return
    kind = {key: value for key, value in mapping.items() if key not in ("__type__", "default", "description")}
    try:
        fits = jsonschema.Draft202012Validator(kind).is_valid(mapping.get("default"))
    except Exception as error:  # what stands beside __type__ is no JSON Schema
        message = f"the Param's type is none of JSON Schema's: {str(error).splitlines()[0]:.80}"
        yield document.problem(
            "DAG102", path, message, "types are string, integer, number, boolean, array, object"
        )
        return
    if mapping.get("default") is not None and not fits:
        message = f"the default {mapping['default']!r:.40} does not fit what the Param says"
        yield document.problem("DAG102", (*path, "default"), message)


def check_notifiers(document: Document) -> Iterator[Diagnostic]:
    """A notifier is given as a mapping: as plain text dag-factory would leave it a class, and tell nobody."""
    for path, mapping in _mappings(document.data, ()):
        for key, value in mapping.items():
            if str(key).endswith("_callback") and find_definition("notifiers", value) is not None:
                message = f"{str(value).rpartition('.')[2]} as plain text is never called"
                hint = f"write {key}: {{callback: {value}, …}} with its arguments"
                yield document.problem("DAG102", (*path, key), message, hint)


def _mappings(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from _mappings(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _mappings(item, (*path, index))


def check_arguments(document: Document) -> Iterator[Diagnostic]:
    """What a task gives its function, and a callback its own, fits the function's signature."""
    for _, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            function = resolved(task.get("python_callable"))
            if not inspect.isfunction(function):
                continue
            if "decorator" in task:
                if not task.get("expand") and is_decorator(str(task["decorator"])):
                    yield from _check_decorated(document, paths[task_id], function, task)
            elif is_allowed(str(task.get("operator"))):
                yield from _check_called(document, paths[task_id], function, task)
    for path, mapping in _mappings(document.data, ()):
        if is_free(document, (*path, "callback")):
            continue
        function = resolved(mapping.get("callback"))
        if inspect.isfunction(function):
            given = {name: value for name, value in mapping.items() if name != "callback"}
            given["context"] = None  # Airflow gives it
            yield from _bind(document, path, function, given, hint="add it beside callback")
        for key, value in mapping.items():
            function = resolved(value) if str(key).endswith("_callback") else None
            if inspect.isfunction(function):
                hint = f"write {key}: {{callback: {value}, …}} with its arguments"
                yield from _bind(document, (*path, key), function, {"context": None}, hint=hint)


def _check_called(
    document: Document, path: KeyPath, function: Callable, task: dict[str, Any]
) -> Iterator[Diagnostic]:
    """Check ``op_args`` and ``op_kwargs``, those within ``partial`` and each of those in ``expand``."""
    mapped = task.get("expand") or {}
    partial = task.get("partial") or {}
    if not isinstance(mapped, dict) or not isinstance(partial, dict):
        return
    shared: dict[str, Any] = {}
    place: KeyPath = (*path, "op_kwargs")
    for where, found in (((*path, "op_kwargs"), task), ((*path, "partial", "op_kwargs"), partial)):
        if isinstance(found.get("op_kwargs"), dict):
            shared |= found["op_kwargs"]
            place = where
    positional = task.get("op_args") or partial.get("op_args")
    given = [*load_schema()["x-template-names"], "context"]  # Airflow gives what is called so
    if positional is not None and isinstance(positional, list):
        accepted = list(inspect.signature(function).parameters.values())
        fitting = [one for one in accepted if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
        if len(positional) > len(fitting) and not any(one.kind is one.VAR_POSITIONAL for one in accepted):
            message = (
                f"{function.__name__}() takes {len(fitting)} arguments by position, not {len(positional)}"
            )
            yield document.problem(
                "DAG102", (*path, "op_args"), message, "give them in op_kwargs, by name", key=True
            )
            return
        given += [one.name for one in fitting[: len(positional)]]
    if isinstance(entries := mapped.get("op_kwargs"), list):
        whole = {*shared} <= {*inspect.signature(function).parameters}  # a slip there is told there
        for index, entry in enumerate(entries):
            if isinstance(entry, dict):
                at, also = (*path, "expand", "op_kwargs", index), [*shared, *given]
                yield from _bind(document, at, function, entry, hint="add it here", also=also, whole=whole)
        yield from _bind(document, place, function, shared, hint="", whole=False)
    else:
        whole = not {"op_args", "op_kwargs"} & {*mapped}
        hint = "add it to op_kwargs"
        yield from _bind(document, place, function, shared, hint=hint, also=given, whole=whole)


def _check_decorated(
    document: Document, path: KeyPath, function: Callable, task: dict[str, Any]
) -> Iterator[Diagnostic]:
    """dag-factory hands a decorated function those keys of the task that it takes by position, too."""
    only = [
        one.name for one in inspect.signature(function).parameters.values() if one.kind is one.KEYWORD_ONLY
    ]
    if only:
        message = f"{function.__name__}() takes {only[0]!r} by keyword only, which dag-factory cannot give it"
        yield document.problem("DAG102", (*path, "decorator"), message, "use a PythonOperator with op_kwargs")
        return
    # What is no argument of the function is the decorator's: mode of a sensor, requirements of a virtualenv.
    known = {*load_schema()["$defs"]["task"]["properties"], "python_callable"}
    known |= {*load_schema()["$defs"]["default_args"]["properties"]} - {
        *inspect.signature(function).parameters
    }
    given = {key: value for key, value in task.items() if key not in known}
    context = load_schema()["x-template-names"]
    yield from _bind(document, path, function, given, hint="add it to the task", also=context)


def _bind(
    document: Document,
    path: KeyPath,
    function: Callable,
    given: dict[str, Any],
    *,
    hint: str,
    also: Iterable[str] = (),
    whole: bool = True,
) -> Iterator[Diagnostic]:
    """Bind ``given`` to the function, which gets what ``also`` names, too; ``whole``: and nothing else."""
    parameters = inspect.signature(function).parameters
    takes_any = next((one.name for one in parameters.values() if one.kind is one.VAR_KEYWORD), "")
    first = next(iter(parameters.values()), None)
    if "context" in given and "context" not in parameters:
        if takes_any or (first and first.kind in (first.POSITIONAL_ONLY, first.POSITIONAL_OR_KEYWORD)):
            also = [*also, first.name if first else ""]
            given = {name: value for name, value in given.items() if name != "context"}
        else:
            message = f"{function.__name__}() does not take the context that Airflow calls it with"
            yield document.problem("DAG102", path, message, "name a function for callbacks", key=True)
            return
    meant: set[str] = set()
    for name, value in given.items():
        if name not in parameters:
            known = did_you_mean(str(name), parameters)
            meant.update(one for one in parameters if repr(one) in known)
            if takes_any:
                into = f"**{takes_any} of {function.__name__}()"
                message = f"{name!r} goes into {into}: a slip would be told by nobody"
                more, severity = known or "give the function an argument of this name", WARNING
            else:
                message, more, severity = f"{function.__name__}() has no argument {name!r}", known, ERROR
            yield document.problem("DAG102", (*path, name), message, more, key=True, severity=severity)
        elif name != "context":
            kind = schema_of(parameters[name].annotation)
            if kind and not _fits(value, kind):
                wanted = _type_name(parameters[name].annotation)
                message = f"{function.__name__}() takes {name!r} as {wanted}, not {value!r:.60}"
                yield document.problem("DAG102", (*path, name), message)
    missing = [
        one.name
        for one in parameters.values()
        if one.default is one.empty
        and one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
        and one.name not in {*given, *meant, *also}
    ]
    if missing and whole:
        message = f"{function.__name__}() needs {', '.join(map(repr, missing))}"
        yield document.problem("DAG102", path, message, hint, key=True)


def _type_name(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))


def _fits(value: Any, kind: dict[str, Any]) -> bool:
    """Tell whether a plain value is of this kind; a template may become any, and joined parts are a text."""
    import jsonschema

    if isinstance(value, dict) and "__join__" in value:
        value = "joined"
    if isinstance(value, dict) and "__type__" in value:
        return True  # what it makes is the type's to say
    if isinstance(value, str) and ("{{" in value or "{%" in value):
        return True
    return jsonschema.Draft202012Validator(kind).is_valid(value)
