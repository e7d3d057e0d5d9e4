"""The texts of a document that may be templates: where each stands, and whether Airflow renders it."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from schemas.catalog.lookup import facts_of_task, find_definition, load_schema
from schemas.checks.examples import BASH
from schemas.checks.paths import resolved
from schemas.documents.defaults import is_callback
from schemas.documents.files import find_template, search_path
from schemas.documents.graph import graphs_of, members
from schemas.documents.reading import Document
from schemas.documents.tasks import configs_of, group_path, tasks_of
from schemas.documents.texts import is_template, parse_template, texts
from schemas.problems import KeyPath, Problem, Rule

NOT_TEMPLATED = Rule(
    "DAG142",
    "a template in a value that Airflow does not render",
    why="Airflow renders what the operator lists in template_fields; elsewhere the braces stay in the text.",
    bad=f"{BASH}\nbash_command: date\npool: '{{{{ params.pool }}}}'",
    good=f"{BASH}\nbash_command: date {{{{ params.pool }}}}\nparams: {{pool: default_pool}}",
    scope="task",
)
# Airflow renders these with more names than a task's templates have, or they are texts for people.
TEXTS_FOR_PEOPLE = frozenset(
    {"doc", "doc_md", "doc_json", "doc_rst", "doc_yaml", "map_index_template", "task_display_name"}
)
# What dag-factory or the checker resolves: a template there is not one of its names, which is reported.
NAMES_THINGS = frozenset(
    {
        *("operator", "decorator", "python_callable", "dependencies", "task_group_name", "task_id"),
        *("trigger_rule", "weight_rule", "mode", "execution_date_fn", "start_date", "end_date"),
    }
)


@dataclass(frozen=True)
class Text:
    """A text of a task, of ``default_args`` or of a callback.

    ``rendered``: whether Airflow renders it, None where that is not known. ``of`` is what takes it: a class
    or a function. ``task`` is the task that it is of, empty for one of ``default_args`` or of a DAG's
    callback. ``file``: the text is the content of this file, which the YAML names. ``also``: the variables
    that a callback is given beside a task's.
    """

    dag_id: str
    path: KeyPath
    text: str
    rendered: bool | None
    of: str
    task_path: KeyPath = ()
    task: dict[str, Any] = field(default_factory=dict)
    file: str = ""
    also: tuple[str, ...] = ()

    def problem(self, found: Problem) -> Problem:
        """Return a problem of this text; where the text is a file's content, the message says so."""
        return replace(found, message=f"{self.file}: {found.message}", fix=None) if self.file else found

    @property
    def key(self) -> str:
        """The argument that the text is in."""
        return next((str(part) for part in reversed(self.path) if isinstance(part, str)), "")


def rendered_texts(document: Document) -> Iterator[Text]:
    """Yield every text that may be a template."""
    for dag_id, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            yield from _of_task(dag_id, paths[task_id], task)
    yield from _of_default_args(document)
    yield from _of_callbacks(document)


def with_contents(document: Document) -> Iterator[Text]:
    """Yield every text that may be a template, with the content of the file in place of a file's name.

    The files that a template includes follow it.
    """
    for found in rendered_texts(document):
        file = template_file(document, found)
        text = found if file is None else _content(found, file, found.text)
        if text is not None:
            yield from _withincluded(document, text, frozenset())


def _content(found: Text, file: Path, name: str) -> Text | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return replace(found, text=file.read_text(encoding="utf-8"), file=name)
    return None


def _withincluded(document: Document, found: Text, seen: frozenset[str]) -> Iterator[Text]:
    yield found
    if found.rendered is False:
        return
    for name in sorted(included(found.text) - seen):
        file = find_template(name, search_path(document.path, document.config_of(found.dag_id)))
        text = _content(found, file, name) if file else None
        if text is not None:
            yield from _withincluded(document, text, seen | {name})


def included(text: str, *, needed: bool = False) -> set[str]:
    """Return the files that a template names in include, import or extends; ``needed``: it fails without."""
    from jinja2 import nodes

    tree = parse_template(text)
    kinds = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
    found: list[Any] = [*tree.find_all(kinds)] if tree else []
    named = [one for one in found if not (needed and getattr(one, "ignore_missing", False))]
    names = [getattr(one.template, "value", None) for one in named]
    return {name for name in names if isinstance(name, str)}


def names_a_file(found: Text) -> bool:
    """Return whether Airflow takes a text for the name of a file that holds the template."""
    endings = [*facts_of_task(found.task).get("x-template-ext", ())]
    given = found.task.get("templates_exts")
    endings += [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
    return bool(found.rendered and endings and found.text.endswith(tuple(endings))) and not is_template(
        found.text
    )


def template_file(document: Document, found: Text) -> Path | None:
    """Return the file that a text names, if it is there."""
    if not names_a_file(found):
        return None
    return find_template(found.text, search_path(document.path, document.config_of(found.dag_id)))


def check_rendering(document: Document) -> Iterator[Problem]:
    """No template stands where Airflow does not render it."""
    for found in rendered_texts(document):
        if found.rendered is False and is_template(found.text):
            message = f"{found.of} does not render {found.key}: {found.text!r} stays as it is"
            yield document.problem(NOT_TEMPLATED, found.path, message, _hint(found))


def _hint(found: Text) -> str:
    if found.key in load_schema()["$defs"]["task"]["properties"]:
        return "write the value itself"
    facts = facts_of_task(found.task)
    fields = ", ".join(facts.get("x-template-fields", ()))
    return f"write the value itself; templates work in {fields}" if fields else "write the value itself"


def _of_task(dag_id: str, path: KeyPath, task: dict[str, Any]) -> Iterator[Text]:
    of = str(task.get("operator") or task.get("decorator")).rpartition(".")[2]
    for where in ((), ("partial",), ("expand",)):
        given = task.get(where[0]) if where else task
        for key, value in given.items() if isinstance(given, dict) else ():
            if key in TEXTS_FOR_PEOPLE | NAMES_THINGS or key in ("partial", "expand") or is_callback(key):
                continue
            rendered = is_rendered(task, str(key))
            for at, text in texts(value, (*path, *where, key)):
                yield Text(dag_id, at, text, rendered, of, path, task)


def is_rendered(task: dict[str, Any], key: str) -> bool | None:
    """Return whether Airflow renders an argument of a task; None where nothing is known of its operator."""
    fields = facts_of_task(task).get("x-template-fields")
    if fields is None:
        return False if key in _base() else None
    if key in fields:
        return True
    if "decorator" in task and key not in _base():
        function = resolved(task.get("python_callable"))
        known = inspect.isfunction(function) and key in inspect.signature(function).parameters
        return True if known else None
    if key not in _base() and {*fields} - {*facts_of_task(task).get("properties", {}), *_base()}:
        return None  # the class makes a field of its other arguments, as sql is made of checks
    return False


def _base() -> dict[str, Any]:
    found: dict[str, Any] = load_schema()["$defs"]["default_args"]["properties"]
    base: dict[str, Any] = load_schema()["$defs"]["task"]["properties"]
    return {name: kind for name, kind in base.items() if name in found}


def _of_default_args(document: Document) -> Iterator[Text]:
    """Yield the texts of ``default_args``: rendered if an operator that takes them renders them."""
    for path, given, tasks in _default_args(document):
        dag_id = str(path[0]) if path and path[0] != "default" else next(iter(document.dags), "")
        for key, value in given.items():
            if is_callback(key) or key in TEXTS_FOR_PEOPLE | NAMES_THINGS:
                continue
            taken = [task for task in tasks if key not in task and _takes(task, str(key))]
            rendered = [is_rendered(task, str(key)) for task in taken]
            if key in _base():
                rendered, taken = [False], []
            elif not taken or None in rendered:
                continue
            of = str(taken[0].get("operator")).rpartition(".")[2] if taken else "Airflow"
            for at, text in texts(value, (*path, key)):
                yield Text(dag_id, at, text, any(rendered), of)


def _default_args(document: Document) -> Iterator[tuple[KeyPath, dict[str, Any], list[dict[str, Any]]]]:
    """Yield (path, mapping, the tasks that it is for) of each ``default_args``: of DAGs and of groups."""
    for path, config in configs_of(document):
        dag_ids = [str(path[0])] if path and path[0] != "default" else [*document.dags]
        for_tasks = [
            task for dag_id, tasks, _ in tasks_of(document) if dag_id in dag_ids for task in tasks.values()
        ]
        if isinstance(given := config.get("default_args"), dict):
            yield (*path, "default_args"), given, for_tasks
    for graph in graphs_of(document):
        for name, group in graph.groups.items():
            if isinstance(given := group.get("default_args"), dict):
                inner = [graph.tasks[one] for one in members(name, graph.tasks, graph.groups)]
                yield (*group_path(document, graph.dag_id, name), "default_args"), given, inner


def _takes(task: dict[str, Any], key: str) -> bool:
    return key in facts_of_task(task).get("properties", {})


def _of_callbacks(document: Document) -> Iterator[Text]:
    """Yield what callbacks are given: a notifier renders its template fields, a function gets the text
    itself."""
    for path, config in configs_of(document):
        yield from _of_callbacks_in(str(path[0]) if path else "", path, config, ("reason",))
    for path, given, _ in _default_args(document):
        yield from _of_callbacks_in(str(path[0]) if len(path) > 1 else "", path, given, ("exception",))
    for dag_id, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            yield from _of_callbacks_in(dag_id, paths[task_id], task, ("exception",), task)


def _of_callbacks_in(
    dag_id: str,
    path: KeyPath,
    mapping: Any,
    also: tuple[str, ...],
    task: dict[str, Any] | None = None,
) -> Iterator[Text]:
    for key, value in mapping.items() if isinstance(mapping, dict) else ():
        if not is_callback(key) or not isinstance(value, dict):
            continue
        callback = value.get("callback")
        notifier = find_definition("notifiers", callback)
        is_function = notifier is None and inspect.isfunction(resolved(callback))
        fields = notifier.get("x-template-fields", ()) if notifier else ()
        for name, item in value.items():
            if name == "callback":
                continue
            rendered = name in fields if notifier else False if is_function else None
            for at, text in texts(item, (*path, key, name)):
                of = str(callback).rpartition(".")[2] + ("()" if is_function else "")
                given = also if key != "on_success_callback" or "reason" in also else ()
                yield Text(dag_id, at, text, rendered, of, path if task else (), task or {}, also=given)
