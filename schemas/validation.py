"""From files to diagnostics: read → schema → checks. Nothing here prints or exits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from schemas.cache import Passed
from schemas.checks import APART, CHECKS
from schemas.diagnostics import ERROR, Diagnostic
from schemas.documents import (
    DEFAULTS_NAMES,
    Document,
    DocumentError,
    KeyPath,
    decode_document,
    display_name,
    find_defaults,
    find_files,
    read_document,
)
from schemas.graph_checks import check_names
from schemas.information import describe
from schemas.operators import did_you_mean, forget_failures
from schemas.schema import ARGUMENT_TYPES, DAG_KEYS, find_definition, load_schema
from schemas.signatures import JOINED, TEMPLATE
from schemas.tasks import tasks_of
from schemas.text_checks import check_secrets, secret_texts
from schemas.value_checks import check_values

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


def check_paths(paths: Iterable[Path], *, build: bool = True, information: bool = False) -> list[Diagnostic]:
    """Return every problem of the files and folders given, sorted; OSError for a path that is not there.

    What passes all checks is built as Airflow would build it, unless ``build`` is off; without that Airflow
    is imported only where a path in the YAML needs it. What has passed before is not checked again.
    ``information`` adds the next runs, and the pools and connections that must exist.
    """
    forget_failures()
    found: list[Diagnostic] = []
    owners: dict[str, Path] = {}
    passed = Passed("checked" if build else "checked_unbuilt")
    for path, root in _expand(paths):
        name = display_name(path)
        try:
            raw = path.read_bytes()
            defaults = find_defaults(path, root)
            key = Passed.key(name, [raw, *(file.read_bytes() for file in defaults)])
            document = decode_document(path, name, raw)
            if key not in passed:
                problems = _check(document, defaults, build)
                found += problems
                if not problems:
                    passed.add(key)
            found += duplicate_dags(document, owners)
            if information:
                found += describe(document.with_defaults(_readable(defaults)), datetime.now(UTC))
        except DocumentError as error:
            found += error.diagnostics
        except Exception as error:  # one file that the checks cannot cope with hides no other
            reason = f"it cannot be checked: {type(error).__name__}: {error}"
            found.append(Diagnostic(name, 1, 1, "DAG108", ERROR, reason))
    passed.save()
    return sorted(set(found))


def _check(document: Document, paths: list[Path], build: bool) -> list[Diagnostic]:
    defaults = [] if document.is_defaults else _readable(paths)
    merged = document.with_defaults(defaults)
    problems = check_document(merged)
    if build and not any(problem.severity == ERROR for problem in problems):
        problems += [_without(secret_texts(document), problem) for problem in check_values(merged)]
        problems += build_problems(document, defaults)
    return problems


def _readable(paths: list[Path]) -> list[Document]:
    """Return those defaults files that can be read; the problems of each are told as its own."""
    found = []
    for path in paths:
        with contextlib.suppress(DocumentError):
            found.append(read_document(path))
    return found


def build_problems(document: Document, defaults: list[Document]) -> list[Diagnostic]:
    """Return what Airflow refuses of a document that passed the checks; defaults have their own check."""
    from schemas.loading import build_dags

    if document.is_defaults or any(check_document(found) for found in defaults):
        return []
    try:
        build_dags(document, defaults)
    except DocumentError as error:
        return list(error.diagnostics)
    return []


def _expand(paths: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield (file, topmost folder whose defaults apply) for each file meant."""
    for path in paths:
        if path.is_dir():
            found = [*sorted(file for name in DEFAULTS_NAMES for file in path.rglob(name)), *find_files(path)]
            yield from ((file, _root(file) or path) for file in found)
        elif path.exists():
            yield path, _root(path) or path.parent
        else:
            raise FileNotFoundError(f"{path} does not exist")


def _root(path: Path) -> Path | None:
    """Return the ``dag_configs`` folder that ``path`` lies in: a file is checked as the loader would."""
    return next((folder for folder in path.parents if folder.name == "dag_configs"), None)


def check_document(document: Document) -> list[Diagnostic]:
    """Return the problems of one document: those of the schema, and those of each check.

    Where the schema has something to say of a task, or of what a DAG has beside its tasks, the checks say
    nothing of that: one mistake is told once. No text that looks like a secret is shown.
    """
    secrets = list(check_secrets(document))
    problems = list(check_names(document))
    if not problems:
        problems = list(check_schema(document))
        if problems:
            told = {_part(document, problem.line) for problem in problems}
            further = (problem for check in APART for problem in _what_it_says(check, document))
            problems += [problem for problem in further if _part(document, problem.line) not in told]
        else:
            problems = [problem for check in CHECKS for problem in check(document)]
    places = {(secret.line, secret.column) for secret in secrets}
    others = [problem for problem in problems if (problem.line, problem.column) not in places]
    return [*secrets, *(_without(secret_texts(document), problem) for problem in others)]


def _what_it_says(check: Callable[[Document], Iterator[Diagnostic]], document: Document) -> list[Diagnostic]:
    try:
        return list(check(document))
    except Exception:  # it counts on what the schema asks for, which is not so here
        return []


def _part(document: Document, line: int) -> int:
    """Return the line where the task starts that ``line`` is in, or where the DAG does."""
    starts = [place[0] for path, place in document.keys.items() if len(path) <= 1]
    for _, _, paths in tasks_of(document):
        found = (document.keys.get(path) or document.values.get(path) for path in paths.values())
        starts += [place[0] for place in found if place]
    return max((start for start in starts if start <= line), default=0)


def _without(secrets: list[str], problem: Diagnostic) -> Diagnostic:
    """Return the problem without the secrets; a text may be cut off where it is shown."""
    message, hint = problem.message, problem.hint
    for secret in secrets:
        for length in range(len(secret), 7, -1):
            message, hint = (text.replace(secret[:length], "***") for text in (message, hint))
    return replace(problem, message=message, hint=hint)


def duplicate_dags(document: Document, owners: dict[str, Path]) -> Iterator[Diagnostic]:
    """Yield a problem for each dag_id that is in ``owners`` (dag_id → file) already; add the others to it."""
    for dag_id in document.dags:
        owner = owners.setdefault(dag_id, document.path)
        if owner != document.path:
            message = f"dag_id {dag_id!r} is in {_place(owner, dag_id)} already"
            yield document.problem("DAG107", (dag_id,), message, "rename one of the two", key=True)


def _place(path: Path, dag_id: str) -> str:
    try:
        line, _ = read_document(path).keys[(dag_id,)]
    except (DocumentError, KeyError):
        return display_name(path)
    return f"{display_name(path)}:{line}"


def check_schema(document: Document) -> Iterator[Diagnostic]:
    """Yield one diagnostic for each place where the document departs from the schema."""
    for error in _validator(document.is_defaults).iter_errors(document.data):
        yield from _translate(document, error, ())
    for dag_id, tasks, paths in tasks_of(document):
        defaults = document.default_args_of(dag_id)
        for task_id, task in tasks.items():
            if isinstance(task, dict):
                yield from _check_task(document, paths[task_id], task, defaults)


def _check_task(document: Document, path: KeyPath, task: dict, defaults: dict) -> Iterator[Diagnostic]:
    """Check a task's keys against its operator's own schema: a look-up, where JSON Schema tests each one."""
    operator = task.get("operator")
    own = find_definition("operators", operator)
    if own is None:
        return
    name = str(operator).rpartition(".")[2]
    known = {**load_schema()["$defs"]["task"]["properties"], **own["properties"]}
    for where, mapping in (
        ((), task),
        (("expand",), task.get("expand")),
        (("partial",), task.get("partial")),
    ):
        for key in mapping if isinstance(mapping, dict) else ():
            if key not in known:
                message = f"unknown key {str(key)!r} for {name}"
                hint = OLD_KEYS.get(str(key)) or did_you_mean(str(key), known)
                yield document.problem("DAG002", (*path, *where, key), message, hint, key=True)
            elif where and key in task:
                message = f"{key!r} is given in the task and in {where[0]}"
                yield document.problem("DAG002", (*path, *where, key), message, "remove one", key=True)
    given = {key: value for key, value in task.items() if key in own["properties"]}
    for error in _operator_validator(str(operator)).iter_errors(given):
        yield from _translate(document, error, path)
    mapped = {**(task.get("expand") or {}), **(task.get("partial") or {})}
    for key, kind in own["properties"].items():
        if not kind.get("x-required") or key in {*task, *mapped, *defaults}:
            continue
        if not any(did_you_mean(str(wrong), [key]) for wrong in {*task, *mapped} if wrong not in known):
            hint = kind.get("description", "")
            yield document.problem("DAG003", path, f"{name} needs {key!r}", hint, key=True)


@cache
def _validator(defaults: bool) -> Any:
    import jsonschema

    schema = load_schema()
    task = {**schema["$defs"]["task"]}
    # What depends on the operator is checked by _check_task.
    task = {key: value for key, value in task.items() if key not in ("allOf", "unevaluatedProperties")}
    schema = {**schema, "$defs": {**schema["$defs"], "task": task}}
    if defaults:
        schema = {"$schema": schema["$schema"], "$defs": schema["$defs"], "$ref": "#/$defs/defaults"}
    return jsonschema.Draft202012Validator(schema)


@cache
def _operator_validator(operator: str) -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(find_definition("operators", operator) or {})


def _translate(document: Document, error: ValidationError, prefix: KeyPath) -> Iterator[Diagnostic]:
    """Turn a validator's error into diagnostics a person understands, at the most telling place."""
    if error.context and error.validator in ("anyOf", "allOf"):
        # Of the alternatives, the one that came furthest is the one that was meant.
        fitting = [child for child in error.context if child.validator != "type" or len(child.path) > 0]
        nested = [
            child
            for child in fitting
            if child.validator != "required" or len(child.path) > 0 or error.validator == "allOf"
        ]
        if nested:
            deepest = max(len(child.absolute_path) for child in nested)
            for child in nested:
                if len(child.absolute_path) == deepest:
                    yield from _translate(document, child, prefix)
            return
    path = (*prefix, *error.absolute_path)
    schema: Any = error.schema
    instance: Any = error.instance
    if error.validator == "additionalProperties":
        known = schema["properties"]
        for key in dict(instance):
            if key not in known:
                hint = _where_it_belongs(path, str(key)) or did_you_mean(str(key), known)
                yield document.problem("DAG002", (*path, key), f"unknown key {str(key)!r}", hint, key=True)
    elif error.validator == "required" or (error.validator == "anyOf" and isinstance(error.instance, dict)):
        wanted = [name for part in schema.get("anyOf", [schema]) for name in part.get("required", [])]
        misspelt = _meant_for(instance, wanted) if isinstance(instance, dict) else ""
        if misspelt and wanted == ["tasks"]:
            return  # told as an unknown key already
        if misspelt:
            hint = did_you_mean(misspelt, wanted)
            yield document.problem("DAG002", (*path, misspelt), f"unknown key {misspelt!r}", hint, key=True)
            return
        message = f"{' or '.join(map(repr, wanted))} is missing" if wanted else error.message
        hint = ""
        if wanted == ["__type__"]:
            hint = f"say what it is, as in {_as_yaml(schema.get('examples', [A_TIMEDELTA])[0])}"
        elif wanted == ["tasks"] and path and did_you_mean(str(path[-1]), ["default"]):
            hint = "did you mean 'default'?"
        yield document.problem("DAG003", path, message, hint, key=True)
    elif error.validator == "dependentRequired":
        for key, needed in schema["dependentRequired"].items():
            for name in needed:
                if key in instance and name not in instance:
                    yield document.problem("DAG003", (*path, key), f"{key!r} needs {name!r}", key=True)
    else:
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        where = f"{key!r}: " if key else ""
        described = isinstance(schema, dict) and error.validator != "enum"
        hint = schema.get("description", "") if described else ""
        yield document.problem("DAG003", path, f"{where}{_plain(error)}", hint)


A_TIMEDELTA = {"__type__": "datetime.timedelta", "minutes": 5}


def _as_yaml(value: Any) -> str:
    """Return a value as a line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000).strip()


# Keys of Airflow 2 and of dag-factory that are no more, or that it drops.
OLD_KEYS = {
    "depends_on": "it is dependencies",
    "name": "it is task_id, or group_name",
    "sla": "Airflow 3 has deadline, on the DAG, in its place",
    "variables_as_arguments": "write a template: {{ var.value.NAME }}",
    "auto_register": "every DAG of a file is registered; remove it",
    "concurrency": "it is max_active_tasks now",
    "dagrun_timeout_sec": "write dagrun_timeout: {__type__: datetime.timedelta, seconds: 600}",
    "datasets": "list the assets' URIs, as in schedule: ['s3://bucket/key']",
    "assets": "list the assets' URIs, as in schedule: ['s3://bucket/key']",
    "execution_timeout_secs": "write execution_timeout: {__type__: datetime.timedelta, seconds: 600}",
    "retry_delay_sec": "it is retry_delay, in seconds",
    "schedule_interval": "it is schedule now",
    "sla_miss_callback": "Airflow 3 has deadline in its place",
    "timetable": "write schedule: {__type__: the timetable's class}",
}


def _where_it_belongs(path: KeyPath, key: str) -> str:
    """Return where a key goes that is known, but not here, or an empty text."""
    if key in OLD_KEYS:
        return OLD_KEYS[key]
    if key in DAG_KEYS and path and path[-1] == "default_args":
        return f"{key} is a key of the DAG: move it one level up"
    if key in load_schema()["$defs"]["default_args"]["properties"] and len(path) <= 1:
        return f"{key} is a task's: move it into default_args, or into a task"
    return ""


def _meant_for(instance: dict, wanted: list[str]) -> str:
    """Return the key that was probably meant for a wanted one, or an empty text."""
    known = {*DAG_KEYS, *ARGUMENT_TYPES}
    close = (str(key) for name in wanted for key in instance if did_you_mean(str(key), [name]))
    return next((key for key in close if key not in known), "")


# JSON's types as a person who writes YAML calls them.
TYPE_NAMES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "number": "a number",
    "object": "a mapping",
    "string": "text",
}


def _or(types: Iterable[str | list[str]]) -> str:
    names = (name for kind in types for name in (kind if isinstance(kind, list) else [kind]))
    return " or ".join(TYPE_NAMES[name] for name in names)


def _kind_of(value: Any) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    name = names.get(type(value))
    return TYPE_NAMES[name] if name else "empty" if value is None else "a date"


def _plain(error: ValidationError) -> str:
    value = "it" if error.instance is None else repr(error.instance)
    expected: Any = error.validator_value
    schema: Any = error.schema
    shown = value if len(value) <= 60 else f"{value[:57]}…"
    match error.validator:
        case "type":
            return f"{shown} is {_kind_of(error.instance)}, not {_or([expected])}"
        case "enum":
            hint = did_you_mean(str(error.instance), map(str, expected))
            if len(expected) > 20:
                return f"{shown} is not one of the {len(expected)} that there are" + (
                    f"; {hint}" if hint else ""
                )
            return f"{shown} is not one of {', '.join(map(str, expected))}" + (f"; {hint}" if hint else "")
        case "minProperties" | "minItems":
            return "is empty"
        case "pattern" if schema == TEMPLATE:
            return f"{shown} is {_kind_of(error.instance)}, which only a template may be here"
        case "anyOf":
            kinds = [kind for kind in expected if kind not in (JOINED, TEMPLATE)]
            if kinds and all({*kind} <= {"type", "description"} for kind in kinds):
                return f"{shown} is {_kind_of(error.instance)}, not {_or(kind['type'] for kind in kinds)}"
            return f"{shown} is of no kind that is allowed here"
        case _:
            return error.message if len(error.message) <= 200 else f"{error.message[:197]}…"
