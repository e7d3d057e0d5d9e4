"""From files to diagnostics: read → schema → checks. Nothing here prints or exits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.cache import Passed
from schemas.checks import CHECKS
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
from schemas.operators import did_you_mean
from schemas.schema import ARGUMENT_TYPES, DAG_KEYS, find_definition, load_schema
from schemas.tasks import tasks_of

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


def check_paths(paths: Iterable[Path], *, build: bool = True) -> list[Diagnostic]:
    """Return every problem of the files and folders given, sorted; OSError for a path that is not there.

    What passes all checks is built as Airflow would build it, unless ``build`` is off; without that Airflow
    is imported only where a path in the YAML needs it. What has passed before is not checked again.
    """
    found: list[Diagnostic] = []
    owners: dict[str, str] = {}
    passed = Passed("checked" if build else "checked_unbuilt")
    for path, root in _expand(paths):
        name = display_name(path)
        try:
            raw = path.read_bytes()
            key = Passed.key(name, [raw, *(file.read_bytes() for file in find_defaults(path, root))])
            document = decode_document(path, name, raw)
            if key not in passed:
                problems = _check(document, root, build)
                found += problems
                if not problems:
                    passed.add(key)
            found += duplicate_dags(document, owners)
        except DocumentError as error:
            found += error.diagnostics
        except Exception as error:  # one file that the checks cannot cope with hides no other
            reason = f"it cannot be checked: {type(error).__name__}: {error}"
            found.append(Diagnostic(name, 1, 1, "DAG108", ERROR, reason))
    passed.save()
    return sorted(set(found))


def _check(document: Document, root: Path, build: bool) -> list[Diagnostic]:
    problems = check_document(document)
    if build and not any(problem.severity == ERROR for problem in problems):
        problems += build_problems(document, root)
    return problems


def build_problems(document: Document, root: Path) -> list[Diagnostic]:
    """Return what Airflow refuses of a document that passed the checks; defaults have their own check."""
    from schemas.loading import build_dags

    defaults = [read_document(path) for path in find_defaults(document.path, root)]
    if document.is_defaults or any(check_document(found) for found in defaults):
        return []
    try:
        build_dags(document, defaults)
    except DocumentError as error:
        return list(error.diagnostics)
    return []


def _expand(paths: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Yield (file, folder whose defaults apply) for each file meant."""
    for path in paths:
        if path.is_dir():
            found = [*sorted(file for name in DEFAULTS_NAMES for file in path.rglob(name)), *find_files(path)]
            yield from ((file, path) for file in found)
        elif path.exists():
            yield path, path.parent
        else:
            raise FileNotFoundError(f"{path} does not exist")


def check_document(document: Document) -> list[Diagnostic]:
    """Return the problems of one document: the schema's, and if it keeps that, those of each check."""
    problems = [*check_names(document), *check_schema(document)]
    if not problems:
        problems = [problem for check in CHECKS for problem in check(document)]
    return problems


def duplicate_dags(document: Document, owners: dict[str, str]) -> Iterator[Diagnostic]:
    """Yield a problem for each dag_id that is in ``owners`` (dag_id → file) already; add the others to it."""
    for dag_id in document.dags:
        owner = owners.setdefault(dag_id, document.name)
        if owner != document.name:
            message = f"dag_id {dag_id!r} is in {owner} already"
            yield document.problem("DAG107", (dag_id,), message, "rename one of the two", key=True)


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
    for key in task:
        if key not in known:
            message, hint = f"unknown key {str(key)!r} for {name}", did_you_mean(str(key), known)
            yield document.problem("DAG002", (*path, key), message, hint, key=True)
    given = {key: value for key, value in task.items() if key in own["properties"]}
    for error in _operator_validator(str(operator)).iter_errors(given):
        yield from _translate(document, error, path)
    mapped = {**(task.get("expand") or {}), **(task.get("partial") or {})}
    for key, kind in own["properties"].items():
        if not kind.get("x-required") or key in {*task, *mapped, *defaults}:
            continue
        if not any(did_you_mean(str(wrong), [key]) for wrong in task if wrong not in known):
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
        schema = {**schema, "properties": {}, "additionalProperties": True, "$ref": "#/$defs/defaults"}
    return jsonschema.Draft202012Validator(schema)


@cache
def _operator_validator(operator: str) -> Any:
    import jsonschema

    return jsonschema.Draft202012Validator(load_schema()["$defs"]["operators"][operator])


def _translate(document: Document, error: ValidationError, prefix: KeyPath) -> Iterator[Diagnostic]:
    """Turn a validator's error into diagnostics a person understands, at the most telling place."""
    if error.context and error.validator in ("anyOf", "allOf"):
        # Of the alternatives, the one that came furthest is the one that was meant.
        fitting = [child for child in error.context if child.validator != "type" or len(child.path) > 0]
        nested = [child for child in fitting if child.validator != "required" or error.validator == "allOf"]
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
                hint = did_you_mean(str(key), known)
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
        yield document.problem("DAG003", path, message, key=True)
    else:
        where = f"{path[-1]!r}: " if path else ""
        hint = schema.get("description", "") if isinstance(schema, dict) else ""
        yield document.problem("DAG003", path, f"{where}{_plain(error)}", hint)


def _meant_for(instance: dict, wanted: list[str]) -> str:
    """Return the key that was probably meant for a wanted one, or an empty text."""
    known = {*DAG_KEYS, *ARGUMENT_TYPES}
    close = (str(key) for name in wanted for key in instance if did_you_mean(str(key), [name]))
    return next((key for key in close if key not in known), "")


def _plain(error: ValidationError) -> str:
    value = repr(error.instance)
    expected: Any = error.validator_value
    shown = value if len(value) <= 60 else f"{value[:57]}…"
    match error.validator:
        case "type":
            kinds = expected if isinstance(expected, list) else [expected]
            return f"{shown} is not of type {' or '.join(kinds)}"
        case "enum":
            hint = did_you_mean(str(error.instance), map(str, expected))
            return f"{shown} is not one of {', '.join(map(str, expected))}" + (f"; {hint}" if hint else "")
        case "minProperties" | "minItems":
            return "is empty"
        case "anyOf":
            return f"{shown} is of no kind that is allowed here"
        case _:
            return error.message if len(error.message) <= 200 else f"{error.message[:197]}…"
