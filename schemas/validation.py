"""From files to diagnostics: read → schema → checks. Nothing here prints or exits."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.checks import CHECKS
from schemas.diagnostics import Diagnostic
from schemas.documents import (
    DEFAULTS_NAMES,
    Document,
    DocumentError,
    find_defaults,
    find_files,
    read_document,
)
from schemas.operators import did_you_mean
from schemas.schema import ARGUMENT_TYPES, DAG_KEYS, load_schema

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError


def check_paths(paths: Iterable[Path]) -> list[Diagnostic]:
    """Return every problem of the files and folders given, sorted; OSError for a path that is not there.

    What passes all checks is built as Airflow would build it.
    """
    found: list[Diagnostic] = []
    owners: dict[str, str] = {}
    for path, root in _expand(paths):
        try:
            document = read_document(path)
            problems = [*check_document(document), *duplicate_dags(document, owners)]
            if not problems:
                problems = build_problems(document, root)
            found += problems
        except DocumentError as error:
            found += error.diagnostics
    return sorted(set(found))


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
    problems = list(check_schema(document))
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
    import jsonschema

    schema = load_schema()
    if document.is_defaults:
        schema = {**schema, "properties": {}, "additionalProperties": True, "$ref": "#/$defs/defaults"}
    validator = jsonschema.Draft202012Validator(schema)
    for error in validator.iter_errors(document.data):
        yield from _translate(document, error)


def _translate(document: Document, error: ValidationError) -> Iterator[Diagnostic]:
    """Turn a validator's error into diagnostics a person understands, at the most telling place."""
    if error.context and error.validator in ("anyOf", "allOf"):
        # Of the alternatives, the one that came furthest is the one that was meant.
        fitting = [child for child in error.context if child.validator != "type" or len(child.path) > 0]
        nested = [child for child in fitting if child.validator != "required" or error.validator == "allOf"]
        if nested:
            deepest = max(len(child.absolute_path) for child in nested)
            for child in nested:
                if len(child.absolute_path) == deepest:
                    yield from _translate(document, child)
            return
    path = tuple(error.absolute_path)
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
        hint = f"is {misspelt!r} meant for it?" if misspelt else ""
        message = f"{' or '.join(map(repr, wanted))} is missing" if wanted else error.message
        yield document.problem("DAG003", path, message, hint, key=True)
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
