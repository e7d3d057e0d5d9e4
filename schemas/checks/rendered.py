"""The texts of a document that may be templates: where each stands, and whether Airflow renders it."""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.shared.suggestions import suggest
from schemas.catalog.lookup import facts_of_task, find_definition, load_schema
from schemas.checks.examples import BASH
from schemas.checks.paths import resolved
from schemas.documents.files import find_template, search_path
from schemas.documents.graph import graphs_of, members
from schemas.documents.reading import Document, display_name
from schemas.documents.tasks import configs_of, group_path, tasks_of
from schemas.documents.texts import is_template, parse_template, texts
from schemas.problems import WARNING, KeyPath, Problem, Rule, fix_of

NOT_TEMPLATED = Rule(
    "DAG142",
    "a template in a value that Airflow does not render",
    why="Airflow renders what the operator lists in template_fields; elsewhere the braces stay in the text.",
    bad=f"{BASH}\nbash_command: date\npool: '{{{{ params.pool }}}}'",
    good=f"{BASH}\nbash_command: date {{{{ params.pool }}}}\nparams: {{pool: default_pool}}",
    scope="task",
)
COMMAND_IS_A_FILE = Rule(
    "DAG133",
    "a command that Airflow takes for a file",
    why="Airflow reads a command that ends in .sh from a file of that name, as a template.",
    bad=f"{BASH}\nbash_command: /opt/report.sh",
    good=f"{BASH}\nbash_command: '/opt/report.sh '",
    severity=WARNING,
    scope="task",
)
_SQL = "operator: airflow.providers.common.sql.operators.sql.SQLExecuteQueryOperator\nconn_id: store"
NO_SUCH_FILE = Rule(
    "DAG144",
    "a template file that does not exist",
    why="Airflow reads a text with such an end from a file of that name; without it, the task fails.",
    bad=f"{_SQL}\nsql: no_such_file.sql",
    good=f"{_SQL}\nsql: SELECT 1",
    scope="task",
)
NO_SUCH_FOLDER = Rule(
    "DAG149",
    "a folder of template_searchpath that does not exist",
    why="No template is found there. A folder is relative to the YAML's own, or to the project.",
    bad="template_searchpath: sqll",
    good="template_searchpath: data",
    severity=WARNING,
)
_TWO = "DELETE FROM a; DELETE FROM b"
SEVERAL_STATEMENTS = Rule(
    "DAG145",
    "several statements in one SQL text",
    why="SQLite and MySQL refuse more than one statement at a time, unless the operator splits them.",
    bad=f"{_SQL}\nsql: {_TWO}",
    good=f"{_SQL}\nsql: {_TWO}\nsplit_statements: true",
    severity=WARNING,
    scope="task",
)
QUOTED_SQL = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"[^\"]*\"|`[^`]*`|\$(\w*)\$.*?\$\1\$", re.DOTALL)
# A trigger or a routine is one statement with its body, which has semicolons of its own.
BODY = re.compile(
    r"\bCREATE\b[^;]*?\b(?:TRIGGER|PROCEDURE|FUNCTION|EVENT)\b[^;]*?\bBEGIN\b.*?\bEND\s*(?=;\s*(?:CREATE\b|\Z)|\Z)",
    re.DOTALL | re.IGNORECASE,
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
            yield from _with_included(document, text, frozenset())


def _content(found: Text, file: Path, name: str) -> Text | None:
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return replace(found, text=file.read_text(encoding="utf-8"), file=name)
    return None


def _with_included(document: Document, found: Text, seen: frozenset[str]) -> Iterator[Text]:
    yield found
    if found.rendered is False:
        return
    for name in sorted(_included(found.text) - seen):
        file = find_template(name, search_path(document.path, document.config_of(found.dag_id)))
        text = _content(found, file, name) if file else None
        if text is not None:
            yield from _with_included(document, text, seen | {name})


def _included(text: str, *, needed: bool = False) -> set[str]:
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


def check_files(document: Document) -> Iterator[Problem]:
    """A file of a template is there, those that it includes too, and a command is not taken for one."""
    for found in with_contents(document):
        if found.rendered is False:
            continue
        folders = search_path(document.path, document.config_of(found.dag_id))
        for name in sorted(_included(found.text, needed=True)):
            if find_template(name, folders) is None:
                yield found.problem(_no_such_file(document, found, name, folders, "the template includes"))
    for found in rendered_texts(document):
        if not names_a_file(found) or template_file(document, found) is not None:
            continue
        folders = search_path(document.path, document.config_of(found.dag_id))
        if found.key == "bash_command" and found.text.endswith((".sh", ".bash")):
            message = "Airflow takes a command that ends in .sh for the file of a template"
            hint = "put a blank at its end, in quotes, or put the file where templates are searched"
            yield document.problem(COMMAND_IS_A_FILE, found.path, message, hint)
            continue
        yield _no_such_file(document, found, found.text, folders, f"{found.of} takes")


def check_searchpath(document: Document) -> Iterator[Problem]:
    """The folders in which templates are searched exist."""
    for path, config in configs_of(document):
        given = config.get("template_searchpath")
        for at, folder in texts(given, (*path, "template_searchpath")):
            places = [document.path.parent.resolve(), PROJECT_ROOT]
            if is_template(folder) or any((place / folder).is_dir() for place in places):
                continue
            others = [one.name for place in places for one in sorted(place.iterdir()) if one.is_dir()]
            near = suggest(folder, others)
            message = f"there is no folder {folder!r} beside the YAML or in the project"
            hint = near.hint if near else "create it, or remove it from template_searchpath"
            yield document.problem(NO_SUCH_FOLDER, at, message, hint, fix=fix_of(folder, near))


def _no_such_file(document: Document, found: Text, name: str, folders: list[Path], who: str) -> Problem:
    near = suggest(name, _files_in(folders[:-1], name))
    what = f"{who} {name!r}" if "includes" in who else f"{who} {name!r} for the name of a file"
    hint = near.hint if near else _where_to_put(document, name, folders)
    return document.problem(
        NO_SUCH_FILE, found.path, f"{what}, which does not exist", hint, fix=fix_of(name, near)
    )


def _where_to_put(document: Document, name: str, folders: list[Path]) -> str:
    """Return the places where the file is looked for: first the one beside the YAML."""
    beside = document.path.parent
    others = [folder for folder in folders if folder not in (beside.resolve(), PROJECT_ROOT)]
    places = [f"beside the YAML ({display_name(beside / name)})"]
    places += [f"into {display_name(folder)}" for folder in others]
    places += ["into the project's folder"]
    return f"put it {' or '.join(places)}, or name its folder in template_searchpath"


def _files_in(folders: list[Path], name: str) -> list[str]:
    """Return the files that a name of this folder and ending may be meant for."""
    parent, ending = Path(name).parent, Path(name).suffix
    found = [file for folder in folders for file in sorted((folder / parent).glob(f"*{ending}"))]
    return [(parent / file.name).as_posix() for file in found]


def check_statements(document: Document) -> Iterator[Problem]:
    """Several statements of SQL are split, where the operator can: most databases take one at a time."""
    for found in with_contents(document):
        facts = facts_of_task(found.task)
        can_split = "split_statements" in facts.get("properties", {})
        if found.key != "sql" or ".sql" not in facts.get("x-template-ext", ()):
            continue
        if can_split and "split_statements" in found.task:
            continue
        number = count_statements(found.text)
        if number > 1:
            message = f"{number} statements in one sql: most databases take one at a time"
            hint = "add split_statements: true, or give sql a list"
            if not can_split:
                hint = f"write one statement: {found.of} takes the result of one"
            yield found.problem(document.problem(SEVERAL_STATEMENTS, found.path, message, hint))


def count_statements(sql: str) -> int:
    """Return how many statements a text has: parts between semicolons, outside of quotes and comments."""
    bare = QUOTED_SQL.sub(lambda match: "" if match[0].startswith(("--", "/*")) else "x", sql)
    bare = BODY.sub("x", bare)
    return sum(1 for part in bare.split(";") if part.strip())


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
            if key in TEXTS_FOR_PEOPLE | NAMES_THINGS or key in ("partial", "expand") or _is_callback(key):
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


def _is_callback(key: object) -> bool:
    return str(key).endswith("_callback")


def _of_default_args(document: Document) -> Iterator[Text]:
    """Yield the texts of ``default_args``: rendered if an operator that takes them renders them."""
    for path, given, tasks in _default_args(document):
        dag_id = str(path[0]) if path and path[0] != "default" else next(iter(document.dags), "")
        for key, value in given.items():
            if _is_callback(key) or key in TEXTS_FOR_PEOPLE | NAMES_THINGS:
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
        if not _is_callback(key) or not isinstance(value, dict):
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
