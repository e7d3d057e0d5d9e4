"""From a checked document to DAGs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, NamedTuple

from airflow.sdk import DAG, get_parsing_context
from airflow.sdk.exceptions import AirflowTaskTimeout

from batch_serving.shared.suggestions import suggest
from schemas.airflow_internals import task_at_fault, try_to_store
from schemas.catalog.signatures import converted_arguments
from schemas.dag_factory import build_dag, make_values, part_being_built
from schemas.documents.defaults import merge, merge_files
from schemas.documents.documentation import documented
from schemas.documents.files import search_path
from schemas.documents.graph import graphs_of
from schemas.documents.reading import Document, DocumentError
from schemas.documents.rules import REFUSED
from schemas.documents.tasks import group_path
from schemas.problems import KeyPath, Problem

EMPTY_OPERATOR = "airflow.providers.standard.operators.empty.EmptyOperator"
CONVERTED_BY_DAG_FACTORY = ("python_callable", "execution_date_fn")
MOST_FAULTS = 20  # of one DAG; each takes one more build
HINT = "correct what Airflow names"
Fault = tuple[KeyPath, BaseException]


def build_dags(document: Document, defaults: list[Document], *, store: bool = True) -> list[DAG]:
    """Return the DAGs of a checked document, with ``defaults`` applied, the last of which wins.

    Raises DocumentError for what Airflow refuses, now or, if ``store``, when it would store the DAG.
    """
    built, problems = [], []
    for dag_id in document.dags:
        building = _Building(dag_id, document, defaults, store and get_parsing_context().dag_id is None)
        found = building.attempt()
        if isinstance(found, DAG):
            built.append(found)
        else:
            problems += building.problems(found)
    if problems:
        raise DocumentError(*problems)
    return built


class _Building(NamedTuple):
    """One DAG of a document: how it is built, and which of its parts are at fault if it cannot be."""

    dag_id: str
    document: Document
    defaults: list[Document]
    store: bool

    def attempt(self, empty_tasks: Iterable[str] = ()) -> DAG | BaseException:
        """Return the DAG, with these tasks replaced by empty ones, or the error that prevented it."""
        try:
            return self._build(empty_tasks)
        except (KeyboardInterrupt, AirflowTaskTimeout):
            raise
        except BaseException as error:  # a callable may raise anything while its module is imported
            return error

    def _build(self, empty_tasks: Iterable[str]) -> DAG:
        config = self._config()
        for task_id in empty_tasks:
            _empty(config, task_id)
        dag = build_dag(self.dag_id, config)
        _set_template_options(dag, config)
        dag.doc_md = documented(dag.doc_md or "", self.document.name, self.document.text)
        if self.store:
            try_to_store(dag)
        return dag

    def _config(self) -> dict[str, Any]:
        """Return the DAG with all defaults. Each call makes new values: no two DAGs share a part."""
        config: dict[str, Any] = {}
        for found in self.defaults:
            config = merge_files(make_values(found.data), config)
        for level in self._own_levels().values():
            config = merge(make_values(level), config)
        groups = _by_name(config.get("task_groups"), "group_name")
        for task in _mappings(config.get("tasks")):
            _convert_arguments(task, _defaults_of(task, groups, config.get("default_args")))
        config["template_searchpath"] = [str(folder) for folder in search_path(self.document.path, config)]
        return config

    def _own_levels(self) -> dict[KeyPath, dict[str, Any]]:
        default = self.document.data.get("default") or {}
        return {("default",): default, (self.dag_id,): self.document.dags[self.dag_id]}

    def problems(self, error: BaseException) -> list[Problem]:
        """Return one problem for each part at fault, with the key path of that part."""
        levels = self._own_levels().items()
        faults = [fault for path, level in levels for fault in _values_at_fault(level, path)]
        return [self._problem(*fault) for fault in faults or self._parts_at_fault(error)]

    def _problem(self, path: KeyPath, error: BaseException) -> Problem:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        hint = HINT
        if isinstance(error, KeyError) and (found := self._key_meant(path, str(error.args[0]))):
            path, hint = found, f"did you mean {error.args[0]!r}?"
        return self.document.problem(REFUSED, path, f"Airflow refuses it: {reason}", hint, key=True)

    def _key_meant(self, path: KeyPath, wanted: str) -> KeyPath | None:
        """Return the path of the one key below ``path`` that is nearly the one that Airflow looked for."""
        below = [
            key for key in self.document.positions.keys if key[: len(path)] == path and len(key) > len(path)
        ]
        near = [key for key in below if suggest(str(key[-1]), [wanted])]
        return near[0] if len(near) == 1 else None

    def _parts_at_fault(self, error: BaseException) -> list[Fault]:
        """Return every part at fault. Airflow stops at the first, so the next is found without that one."""
        faults: dict[str, Fault] = {}
        found: DAG | BaseException = error
        while isinstance(found, BaseException) and len(faults) < MOST_FAULTS:
            path, task_id = self._part_at_fault(found)
            if task_id is None:
                return [*faults.values(), (path, found)]
            if task_id in faults:  # an empty task in its place is refused, too
                del faults[task_id]
                return [*faults.values(), ((self.dag_id, "default_args"), found)]
            faults[task_id] = path, found
            found = self.attempt(faults)
        return [*faults.values()]

    def _part_at_fault(self, error: BaseException) -> tuple[KeyPath, str | None]:
        """Return the path of the part that an error is about, and the task if it can be replaced."""
        part = part_being_built(error)
        name = part.name if part else task_at_fault(error)
        graph = next((one for one in graphs_of(self.document) if one.dag_id == self.dag_id), None)
        if graph is None:
            return (self.dag_id,), None
        task_id = graph.full_ids.get(name or "", name)
        if task_id in graph.tasks:
            return graph.paths[task_id], None if part and part.kind == "dependencies" else task_id
        if task_id in graph.groups:
            return group_path(self.document, self.dag_id, task_id), None
        return (self.dag_id,), None


def _mappings(tasks: Any) -> list[dict[str, Any]]:
    entries = tasks.values() if isinstance(tasks, dict) else tasks
    return [task for task in entries if isinstance(task, dict)] if isinstance(entries, Iterable) else []


def _by_name(entries: Any, key: str) -> dict[str, dict[str, Any]]:
    """Return tasks or groups by name, whether they are a mapping or a list."""
    if isinstance(entries, dict):
        return {name: entry for name, entry in entries.items() if isinstance(entry, dict)}
    return {str(entry.get(key)): entry for entry in _mappings(entries)}


def _defaults_of(task: dict[str, Any], groups: dict[str, dict[str, Any]], own: Any) -> dict[str, Any]:
    """Return the default_args that a task gets: those of its groups, innermost first, and of its DAG."""
    found: dict[str, Any] = {}
    name, seen = task.get("task_group_name"), set[str]()
    while isinstance(name, str) and name in groups and name not in seen:
        seen.add(name)
        given = groups[name].get("default_args")
        found = {**given, **found} if isinstance(given, dict) else found
        name = groups[name].get("parent_group_name")
    return {**own, **found} if isinstance(own, dict) else found


def _convert_arguments(task: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Make what a task's operator takes of what YAML can give: functions of dotted paths, timedeltas of
    seconds. What is made of ``defaults`` becomes the task's own."""
    from schemas.catalog.imports import resolve

    if not isinstance(task.get("operator"), str):
        return
    cls = resolve(task["operator"])
    arguments = converted_arguments(cls) if isinstance(cls, type) else {}
    if not arguments:
        return
    partial, expand = (
        task[part] if isinstance(task.get(part), dict) else {} for part in ("partial", "expand")
    )
    for name in arguments.keys() & defaults.keys() - {*task, *partial, *expand}:
        made = _converted(defaults[name], arguments[name], name)
        if made is defaults[name]:
            continue  # Airflow takes it from default_args as it is
        (partial if expand else task)[name] = made
        if expand:
            task["partial"] = partial
    for given in (task, partial):
        for name in arguments.keys() & given.keys():
            given[name] = _converted(given[name], arguments[name], name)
    for name in arguments.keys() & expand.keys():
        if isinstance(expand[name], list):
            expand[name] = [_converted(value, arguments[name], name) for value in expand[name]]


def _converted(value: Any, kind: str, name: str) -> Any:
    from schemas.catalog.imports import resolve

    if kind == "function" and isinstance(value, str) and name not in CONVERTED_BY_DAG_FACTORY:
        return resolve(value)
    if kind == "timedelta" and isinstance(value, int | float):
        return timedelta(seconds=value)
    return value


def _values_at_fault(value: Any, path: KeyPath) -> Iterator[Fault]:
    """Yield each innermost value that cannot be made, such as a ``__type__`` that refuses its arguments."""
    try:
        make_values(value)
    except (KeyboardInterrupt, AirflowTaskTimeout):
        raise
    except BaseException as error:
        items = value.items() if isinstance(value, dict) else enumerate(value)
        inner = [fault for key, item in items for fault in _values_at_fault(item, (*path, key))]
        yield from inner or [(path, error)]


def _empty(config: dict[str, Any], task_id: str) -> None:
    """Replace a task by one that does nothing, in the same place."""
    tasks = config["tasks"]
    index = task_id if isinstance(tasks, dict) else [task.get("task_id") for task in tasks].index(task_id)
    kept = ("task_id", "dependencies", "task_group_name")
    place = {name: value for name, value in tasks[index].items() if name in kept}
    tasks[index] = {"operator": EMPTY_OPERATOR, **place}


def _set_template_options(dag: DAG, config: dict[str, Any]) -> None:
    """Set what the YAML gives as a dotted path."""
    if filters := config.get("user_defined_filters"):
        from schemas.catalog.imports import resolve

        dag.user_defined_filters = {name: resolve(path) for name, path in filters.items()}
    if undefined := config.get("template_undefined"):
        import jinja2

        dag.template_undefined = getattr(jinja2, undefined.rpartition(".")[2])
