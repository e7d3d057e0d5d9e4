"""References: what a template, an ``expand`` or a ``+task`` names is there when the task runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from schemas.diagnostics import WARNING, Diagnostic
from schemas.documents import Document, KeyPath
from schemas.operators import did_you_mean
from schemas.schema import load_schema
from schemas.tasks import Tasks, ancestors, full_ids, tasks_of, upstream_of
from schemas.text_checks import is_template, parse_template, texts

if TYPE_CHECKING:
    import jinja2.nodes

PLUS_TASK = re.compile(r"""\+(?P<task>[\w.-]+)(\[['"].*['"]\])?""")
OUTPUT = re.compile(r"""(?P<task>[\w.-]+)\.output\b.*|XcomArg\((?P<argument>[\w.-]+)\)""")
# Jinja's own, which are no variables of Airflow's.
JINJA_NAMES = ("cycler", "dict", "joiner", "lipsum", "namespace", "range")
# What Airflow 2 gave and 3 does not, and what says the same.
OLD_NAMES = {
    "conf": "dag_run.conf, or var.value.NAME",
    "execution_date": "logical_date",
    "next_ds": "data_interval_end | ds",
    "next_execution_date": "data_interval_end",
    "prev_ds": "macros.ds_add(ds, -1)",
    "prev_execution_date": "prev_data_interval_start_success",
    "tomorrow_ds": "macros.ds_add(ds, 1)",
    "yesterday_ds": "macros.ds_add(ds, -1)",
}
# A run that an asset starts has no logical date, and so none of these.
DATED = frozenset(
    {
        *("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "logical_date", "task_instance_key_str"),
        *("data_interval_start", "data_interval_end"),
    }
)
# Airflow renders these with more names than a task's templates have, or not as a template.
NOT_RENDERED = frozenset({"doc", "doc_md", "doc_json", "doc_rst", "doc_yaml", "map_index_template"})


def check_pulls(document: Document) -> Iterator[Diagnostic]:
    """What a template pulls from another task comes from one that exists and runs before."""
    for dag_id, tasks, paths in tasks_of(document):
        known = full_ids(document, dag_id, tasks)
        upstream = upstream_of(document, dag_id, tasks)
        for task_id, task in tasks.items():
            before: set[str] | None = None
            for path, text in texts(task, paths[task_id]):
                if "xcom_pull" not in text or (tree := parse_template(text)) is None:
                    continue
                for pulled in _pulled(tree):
                    if pulled not in known:
                        message = f"the template pulls from task {pulled!r}, which does not exist"
                        yield document.problem("DAG111", path, message, did_you_mean(pulled, known))
                        continue
                    before = ancestors(upstream, task_id) | {task_id} if before is None else before
                    if known[pulled] not in before:
                        message = (
                            f"the template pulls from {pulled!r}, which need not have run before {task_id!r}"
                        )
                        hint = f"add {known[pulled]} to dependencies"
                        yield document.problem("DAG111", path, message, hint, severity=WARNING)


def _pulled(tree: jinja2.nodes.Template) -> Iterator[str]:
    """Yield the tasks that a template names in ``xcom_pull``, alone or in a list."""
    from jinja2 import nodes

    for call in tree.find_all(nodes.Call):
        if getattr(call.node, "attr", getattr(call.node, "name", "")) != "xcom_pull":
            continue
        given = [*call.args[:1], *(pair.value for pair in call.kwargs if pair.key == "task_ids")]
        for node in given:
            items = node.items if isinstance(node, nodes.List | nodes.Tuple) else [node]
            yield from (
                item.value for item in items if isinstance(item, nodes.Const) and isinstance(item.value, str)
            )


def check_results(document: Document) -> Iterator[Diagnostic]:
    """``+task`` in a decorated task and ``task.output`` in ``expand`` name a task that runs before.

    dag-factory leaves either as plain text where it does not know it, and hands over the task itself, in
    place of its result, where ``+task`` names an operator's.
    """
    for dag_id, tasks, paths in tasks_of(document):
        upstream = upstream_of(document, dag_id, tasks)
        for task_id, task in tasks.items():
            for path, text in texts(task, paths[task_id]):
                found = _result(document, dag_id, tasks, task, path[len(paths[task_id]) :], text)
                if found is None:
                    continue
                name, problem, hint = found
                if not problem and name not in ancestors(upstream, task_id):
                    problem, hint = f"{name!r} need not have run before", f"add {name} to dependencies"
                if problem:
                    yield document.problem("DAG111", path, f"{text!r}: {problem}", hint)


def _result(
    document: Document, dag_id: str, tasks: Tasks, task: dict[str, Any], path: KeyPath, text: str
) -> tuple[str, str, str] | None:
    """Return (task named, what is wrong, hint) if ``text`` is a reference in dag-factory's notation."""
    decorated = "decorator" in task
    if match := PLUS_TASK.fullmatch(text):
        name = match["task"]
        if name not in tasks:
            # Anyone may begin a text with a plus; where dag-factory looks for a task it must be one.
            looked_at = decorated and (len(path) == 1 or path[0] in ("expand", "partial"))
            return (name, "there is no such task", did_you_mean(name, tasks)) if looked_at else None
        pull = f"write \"{{{{ ti.xcom_pull(task_ids='{name}') }}}}\""
        if not decorated:
            return name, "only a decorated task can take a result like this; it is read as text", pull
        if "decorator" not in tasks[name]:
            return name, f"{name!r} is not decorated: its operator would be handed over, not its result", pull
        return name, "", ""
    if path[:1] == ("expand",) and len(path) == 2 and (match := OUTPUT.fullmatch(text)):
        name = match["task"] or match["argument"]
        known = full_ids(document, dag_id, tasks)
        if name not in known:
            return name, "there is no such task", did_you_mean(name, known)
        if decorated:
            return known[name], "a decorated task takes this as text", f"write '+{known[name]}'"
        return known[name], "", ""
    if path[:1] == ("expand",) and len(path) == 2 and not is_template(text):
        return text, "a text cannot be mapped over", "write a list, or task.output"
    return None


def check_template_names(document: Document) -> Iterator[Diagnostic]:
    """A template uses only what Airflow, the DAG's macros, filters and params give."""
    schema = load_schema()
    for dag_id, tasks, paths in tasks_of(document):
        config = document.config_of(dag_id)
        strict = config.get("template_undefined", "jinja2.StrictUndefined") == "jinja2.StrictUndefined"
        names = [*schema["x-template-names"], *JINJA_NAMES, *(config.get("user_defined_macros") or {})]
        filters = [*schema["x-template-filters"], *(config.get("user_defined_filters") or {})]
        undated = isinstance(config.get("schedule"), list)
        for task_id, task in tasks.items():
            params = _params(config, task)
            for path, text in texts(task, paths[task_id]):
                if path[-1] in NOT_RENDERED or any(str(key).endswith("_callback") for key in path):
                    continue
                if (tree := parse_template(text)) is None:
                    continue
                yield from _check_filters(document, path, tree, filters)
                if strict:  # otherwise the DAG's author wants what does not exist to be nothing
                    excused = _excused(tree)
                    yield from _check_names(document, path, tree, names, undated, excused)
                    yield from _check_params(document, path, tree, params, excused)


def _params(config: dict[str, Any], task: dict[str, Any]) -> set[str]:
    places = (config, config.get("default_args"), task)
    given = [place.get("params") for place in places if isinstance(place, dict)]
    return {str(name) for found in given if isinstance(found, dict) for name in found}


def _excused(tree: jinja2.nodes.Template) -> set[str]:
    """Return the names that a template is prepared to find missing: ``x is defined``, ``x | default(…)``."""
    from jinja2 import nodes

    tests = [node.node for node in tree.find_all(nodes.Test) if node.name in ("defined", "undefined")]
    filters = [node.node for node in tree.find_all(nodes.Filter) if node.name in ("default", "d")]
    return {str(getattr(node, "attr", getattr(node, "name", ""))) for node in [*tests, *filters]}


def _check_filters(
    document: Document, path: KeyPath, tree: jinja2.nodes.Template, filters: list[str]
) -> Iterator[Diagnostic]:
    from jinja2 import nodes
    from jinja2.defaults import DEFAULT_TESTS

    for kind, known, what in ((nodes.Filter, filters, "filter"), (nodes.Test, [*DEFAULT_TESTS], "test")):
        for name in sorted({node.name for node in tree.find_all(kind)} - {*known}):
            message, hint = (
                f"the template uses {what} {name!r}, which does not exist",
                did_you_mean(name, known),
            )
            yield document.problem("DAG115", path, message, hint)


def _check_names(
    document: Document,
    path: KeyPath,
    tree: jinja2.nodes.Template,
    names: list[str],
    undated: bool,
    excused: set[str],
) -> Iterator[Diagnostic]:
    from jinja2.meta import find_undeclared_variables

    for name in sorted(find_undeclared_variables(tree) - excused):
        if name not in names:
            old = OLD_NAMES.get(name)
            hint = f"Airflow 3 has {old}" if old else did_you_mean(name, names)
            message = f"the template uses {name!r}, which Airflow does not give"
            yield document.problem("DAG115", path, message, hint)
        elif undated and name in DATED:
            message = f"the template uses {name!r}, which a run that an asset starts does not have"
            hint = "use dag_run.run_after, which every run has"
            yield document.problem("DAG115", path, message, hint, severity=WARNING)
    macros = load_schema()["x-template-macros"]
    for name in sorted(_members(tree, "macros") - {*macros}):
        message = f"the template uses macros.{name}, which does not exist"
        yield document.problem("DAG115", path, message, did_you_mean(name, macros))


def _check_params(
    document: Document, path: KeyPath, tree: jinja2.nodes.Template, params: set[str], excused: set[str]
) -> Iterator[Diagnostic]:
    """Yield a warning for a param that is not declared: a run may be given it by hand, and fails without."""
    for name in sorted(_members(tree, "params") - params - excused - {"get", "items", "keys", "values"}):
        message = f"the template uses params.{name}, which the DAG does not declare"
        hint = did_you_mean(name, params) or "add it to the DAG's params, with a default"
        yield document.problem("DAG115", path, message, hint, severity=WARNING)


def _members(tree: jinja2.nodes.Template, of: str) -> set[str]:
    """Return what a template takes from the variable ``of``: ``of.member`` or ``of['member']``."""
    from jinja2 import nodes

    dotted = {node.attr for node in tree.find_all(nodes.Getattr) if getattr(node.node, "name", "") == of}
    return dotted | {
        str(node.arg.value)
        for node in tree.find_all(nodes.Getitem)
        if getattr(node.node, "name", "") == of and isinstance(node.arg, nodes.Const)
    }
