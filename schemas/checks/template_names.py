"""Names in templates: variables, macros, filters, tests and params that Airflow gives, or the DAG."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_serving.shared.suggestions import meant, suggest
from schemas.catalog.lookup import load_schema
from schemas.catalog.old_names import MEMBER_NAMES, OBJECTS, TEMPLATE_ADVICE, TEMPLATE_NAMES
from schemas.checks.examples import BASH
from schemas.checks.rendered import Text, with_contents
from schemas.checks.template_members import OF_A_MAPPING, Types, Use, members_missing
from schemas.documents.reading import Document
from schemas.documents.texts import parse_template, undeclared_names
from schemas.problems import WARNING, Fix, KeyPath, Problem, Rule

if TYPE_CHECKING:
    import jinja2.nodes

UNKNOWN_NAME = Rule(
    "DAG115",
    "a template uses a name that it is not given",
    why="Airflow 3 fails a task whose template uses a name that does not exist, when the task runs.",
    bad=f"{BASH}\nbash_command: echo {{{{ execution_date }}}}",
    good=f"{BASH}\nbash_command: echo {{{{ logical_date }}}}",
    scope="task",
)
NO_LOGICAL_DATE = Rule(
    "DAG138",
    "a template uses a date that a run may not have",
    why="A run that an asset starts has no logical date, and the task would fail when it renders.",
    bad=(f"schedule: ['s3://bucket/key']\ntasks:\n  first:\n    {BASH}\n    bash_command: echo {{{{ ds }}}}"),
    good=(
        "schedule: ['s3://bucket/key']\ntasks:\n  first:\n"
        f"    {BASH}\n    bash_command: echo {{{{ dag_run.run_after }}}}"
    ),
    severity=WARNING,
)
_PARAM = f"params: {{model: digits}}\ntasks:\n  first:\n    {BASH}"
UNDECLARED_PARAM = Rule(
    "DAG139",
    "a template uses a param that the DAG does not declare",
    why="Only a run that is given the param by hand has it; every other one fails.",
    bad=f"{_PARAM}\n    bash_command: echo {{{{ params.modle }}}}",
    good=f"{_PARAM}\n    bash_command: echo {{{{ params.model }}}}",
    severity=WARNING,
)
# Jinja's own, which are no variables of Airflow's.
JINJA_NAMES = ("cycler", "dict", "joiner", "lipsum", "namespace", "range")
# A run that an asset starts has no logical date, and so none of these.
DATED = frozenset(
    {
        *("ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz", "logical_date"),
        *("data_interval_start", "data_interval_end"),
        *("prev_data_interval_start_success", "prev_data_interval_end_success"),
    }
)


@dataclass(frozen=True)
class Names:
    """What a template may use. ``strict``: a name that does not exist fails the task."""

    variables: list[str]
    filters: list[str]
    params: set[str] | None  # None: not known, because of a mistake that is reported
    strict: bool
    no_date: str  # how a run without a logical date may start, empty if none can


def check_template_names(document: Document) -> Iterator[Problem]:
    """A template uses only what Airflow, the DAG's macros, filters and params give."""
    for found in with_contents(document):
        if found.rendered is not False:
            yield from map(found.problem, _check_text(document, found))


def _check_text(document: Document, found: Text) -> Iterator[Problem]:
    tree = parse_template(found.text)
    if tree is None:
        return
    names = _names(document, found)
    yield from _check_filters(document, found.path, tree, names)
    if names.strict:  # otherwise the DAG's author wants what does not exist to be nothing
        excused = _excused(tree)
        used = undeclared_names(found.text)
        yield from _check_variables(document, found.path, used - excused, names)
        yield from _check_members(document, found, tree, names, excused)


def _names(document: Document, found: Text) -> Names:
    schema = load_schema()
    dag_id = found.dag_id
    config = document.config_of(dag_id) if dag_id in document.dags else {}
    macros, filters = (
        given if isinstance(given, dict) else {}
        for given in (config.get("user_defined_macros"), config.get("user_defined_filters"))
    )
    params: set[str] | None = _params(config, found.task)
    unknown = {(dag_id, "params"), (*found.task_path, "params")} & document.left_out
    return Names(
        [*_variables(config, found), *JINJA_NAMES, *macros],
        [*schema["x-template-filters"], *filters],
        params if config and found.task and not unknown else None,
        config.get("template_undefined", "jinja2.StrictUndefined") == "jinja2.StrictUndefined",
        why_no_date(config) if config else "",
    )


def _variables(config: dict[str, Any], found: Text) -> Iterator[str]:
    """Yield what Airflow gives a template: the store of assets' states only to a task that has assets."""
    defaults = config.get("default_args")
    places = [place for place in (found.task, defaults) if isinstance(place, dict)]
    has_assets = any(place.get(key) for place in places for key in ("inlets", "outlets"))
    for name in (*load_schema()["x-template-names"], *found.also):
        if name != "asset_state_store" or has_assets or not found.task:
            yield name


def why_no_date(config: dict[str, Any]) -> str:
    """Return how a run of this DAG may start without a logical date, empty if the schedule gives each one."""
    schedule = config.get("schedule")
    if schedule is None or schedule == "none":
        return "started by hand or through the API without a date"
    kind = str(schedule.get("__type__", "")).rpartition(".")[2] if isinstance(schedule, dict) else ""
    joined = isinstance(schedule, dict) and {"__and__", "__or__"} & {*schedule}
    return "that an asset starts" if isinstance(schedule, list) or joined or "Asset" in kind else ""


def _params(config: dict[str, Any], task: dict[str, Any]) -> set[str]:
    places = (config, config.get("default_args"), task)
    given = [place.get("params") for place in places if isinstance(place, dict)]
    return {str(name) for found in given if isinstance(found, dict) for name in found}


def _excused(tree: jinja2.nodes.Template) -> set[str]:
    """Return the names that a template is prepared to find missing: ``x is defined``, ``x | default(…)``."""
    from jinja2 import nodes

    tests = [node.node for node in tree.find_all(nodes.Test) if node.name in ("defined", "undefined")]
    defaults = ("default", "d")
    filters = [node.node for node in tree.find_all(nodes.Filter) if meant(node.name, defaults)]
    return {str(getattr(node, "attr", getattr(node, "name", ""))) for node in [*tests, *filters]}


def _check_filters(
    document: Document, path: KeyPath, tree: jinja2.nodes.Template, names: Names
) -> Iterator[Problem]:
    from jinja2 import nodes
    from jinja2.defaults import DEFAULT_TESTS

    used = (
        ("filter", {node.name for node in tree.find_all(nodes.Filter)}, names.filters),
        ("test", {node.name for node in tree.find_all(nodes.Test)}, [*DEFAULT_TESTS]),
    )
    for what, found, known in used:
        for name in sorted(found - {*known}):
            message = f"the template uses {what} {name!r}, which does not exist"
            yield _unknown(document, path, message, name, known)


def _unknown(
    document: Document, path: KeyPath, message: str, name: str, known: list[str], of: str = ""
) -> Problem:
    """Return the problem of a name that does not exist; ``of`` is what it is taken from, with its dot."""
    found = suggest(name, known)
    fix = Fix(f"{of}{name}", f"{of}{found.name}") if found and found.certain else None
    shown = ", ".join([one for one in sorted(known) if one.isidentifier() and one.islower()][:20])
    hint = found.hint if found else f"use one of these: {shown}"
    return document.problem(UNKNOWN_NAME, path, message, hint, fix=fix)


def _check_variables(
    document: Document, path: KeyPath, used: frozenset[str], names: Names
) -> Iterator[Problem]:
    for name in sorted(used):
        message = f"the template uses {name!r}, which Airflow does not give"
        if name in names.variables:
            if name in DATED and names.no_date:
                yield _no_date(document, path, name, names)
        elif new := TEMPLATE_NAMES.get(name):
            yield document.problem(UNKNOWN_NAME, path, message, f"write {new}", fix=Fix(name, new))
        elif name in TEMPLATE_ADVICE:
            yield document.problem(UNKNOWN_NAME, path, message, TEMPLATE_ADVICE[name])
        else:
            yield _unknown(document, path, message, name, names.variables)


def _no_date(document: Document, path: KeyPath, name: str, names: Names) -> Problem:
    message = f"the template uses {name!r}, which a run {names.no_date} does not have"
    return document.problem(NO_LOGICAL_DATE, path, message, "use dag_run.run_after, which every run has")


def _check_members(
    document: Document, found: Text, tree: jinja2.nodes.Template, names: Names, excused: set[str]
) -> Iterator[Problem]:
    """Yield what a template takes from a variable, or from what that gives, and is not there."""
    free = undeclared_names(found.text)
    for use in members_missing(tree, free, Types(found.task, names.params)):
        if use.member in excused:
            continue
        if use.kind == "params":
            yield _undeclared(document, found.path, use)
        else:
            yield from _missing(document, found.path, use)
    if names.no_date:
        for member in sorted(_dates_of_run(tree) - excused):
            yield _no_date(document, found.path, f"dag_run.{member}", names)


def _missing(document: Document, path: KeyPath, use: Use) -> Iterator[Problem]:
    message = f"the template uses {use.expression}, which does not exist"
    new = MEMBER_NAMES.get((OBJECTS.get(use.kind, use.kind), use.member))
    if new:
        fix = Fix(use.expression, new)
        yield document.problem(UNKNOWN_NAME, path, message, f"write {new}", fix=fix)
    elif use.kind == "datetime" and use.member in load_schema()["x-template-types"]["date"]:
        hint = (
            f"{use.of} is a datetime of Python: it has strftime, astimezone and replace, but not {use.member}"
        )
        yield document.problem(UNKNOWN_NAME, path, message, hint)
    elif not use.member.startswith("_"):
        yield _unknown(document, path, message, use.member, [*use.known], f"{use.of}.")


def _undeclared(document: Document, path: KeyPath, use: Use) -> Problem:
    """Return a warning for a param that is not declared: a run may be given it by hand, and fails without."""
    known = [name for name in use.known if name not in OF_A_MAPPING]
    found = suggest(use.member, known)
    fix = Fix(f"{use.of}.{use.member}", f"{use.of}.{found.name}") if found and found.certain else None
    message = f"the template uses {use.expression}, which the DAG does not declare"
    hint = found.hint if found else "add it to the DAG's params, with a default"
    return document.problem(UNDECLARED_PARAM, path, message, hint, fix=fix)


def _dates_of_run(tree: jinja2.nodes.Template) -> set[str]:
    """Return the dates of ``dag_run`` that a template takes something from, which fails where it has none."""
    from jinja2 import nodes

    return {
        node.node.attr
        for node in tree.find_all(nodes.Getattr)
        if isinstance(node.node, nodes.Getattr)
        and getattr(node.node.node, "name", "") == "dag_run"
        and node.node.attr in DATED
    }
