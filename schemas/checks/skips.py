"""Tasks that skip others: branches with their targets and joins, and short circuits."""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

from batch_serving.shared.suggestions import suggest
from schemas.catalog.lookup import facts_of_task, skips
from schemas.checks.examples import EMPTY
from schemas.documents.arguments import given_to
from schemas.documents.graph import Graph, graphs_of
from schemas.documents.reading import Document
from schemas.problems import WARNING, KeyPath, Problem, Rule, fix_of

_CHOOSE = """\
choose:
  operator: airflow.providers.standard.operators.python.BranchPythonOperator
  python_callable: callables.promotion.choose
  op_kwargs: {verdict: promote, better_task: PROMOTE, otherwise_task: keep}
promote: {OPERATOR, dependencies: [choose]}
keep: {OPERATOR, dependencies: [choose]}""".replace("OPERATOR", EMPTY)
NOT_DOWNSTREAM = Rule(
    "DAG106",
    "a branch to a task that is not directly downstream",
    why="A branch chooses between tasks that depend on it; another name fails when the task runs.",
    bad=_CHOOSE.replace("PROMOTE", "promot"),
    good=_CHOOSE.replace("PROMOTE", "promote"),
    scope="tasks",
)
_JOIN = f"{_CHOOSE.replace('PROMOTE', 'promote')}\nreport: {{{EMPTY}, dependencies: [promote, keep]"
SKIPPED_JOIN = Rule(
    "DAG112",
    "a join that is skipped with one side of a branch",
    why="A skipped task skips those after it: the join never runs, and the run is green.",
    bad=f"{_JOIN}}}",
    good=f"{_JOIN}, trigger_rule: none_failed_min_one_success}}",
    severity=WARNING,
    scope="tasks",
)
_WORK = f"""\
work: {{{EMPTY}, dependencies: [gate]}}
cleanup: {{{EMPTY}, dependencies: [work], trigger_rule: all_done}}"""
_GATE = """\
gate:
  operator: airflow.providers.standard.operators.python.ShortCircuitOperator
  python_callable: callables.promotion.choose
  op_kwargs: {verdict: promote, better_task: a, otherwise_task: b}
"""
SHORT_CIRCUITED = Rule(
    "DAG141",
    "a task that a short circuit skips although its trigger rule says otherwise",
    why="A short circuit skips all tasks after it, whatever their trigger rules say, and the run is green.",
    bad=f"{_GATE}{_WORK}",
    good=f"{_GATE}  ignore_downstream_trigger_rules: false\n{_WORK}",
    severity=WARNING,
    scope="tasks",
)
BRANCH_ARGUMENTS = ("better_task", "otherwise_task", "follow_task_ids_if_true", "follow_task_ids_if_false")
# Rules under which one skipped task skips the next, and those under which only all do. Under the others the
# next one runs, or waits for a failure. Source: Airflow 3.3's trigger_rule_dep.py.
SKIPPED_BY_ONE = ("all_success", "none_skipped", "all_done_min_one_success")
SKIPPED_BY_ALL = ("one_success", "one_done", "none_failed_min_one_success")
ALL_SUCCESS = "all_success"


def check_branches(document: Document) -> Iterator[Problem]:
    """The tasks and groups that a branch chooses between are directly downstream of it."""
    for graph in graphs_of(document):
        ids, groups = graph.full_ids, graph.full_group_ids
        for task_id in _skipping(graph, "branch"):
            following = [full for full, name in ids.items() if task_id in graph.upstream[name]]
            following += [
                full
                for full, name in groups.items()
                if any(task_id in graph.upstream[first] for first in graph.first_of(name))
            ]
            for path, target in _targets(graph.tasks[task_id], graph.paths[task_id]):
                if "{{" in target or target in following or ids.get(target) in graph.uncertain:
                    continue  # it may follow, once its own dependencies are right
                if target in groups and graph.uncertain & graph.first_of(groups[target]):
                    continue
                others = [full for full, name in ids.items() if name != task_id]
                found = suggest(target, following) or suggest(target, others)
                message = f"branch target {target!r} is not directly downstream of {task_id!r}"
                hint = found.hint if found else f"name a task that depends on {task_id}"
                fix = fix_of(target, found)
                if target in ids:  # a task of the DAG: which of the two is wrong is not known
                    hint, fix = f"add {task_id} to the dependencies of {target}", None
                    if ids[target] == task_id:
                        hint = f"name a task that depends on {task_id}: it cannot follow itself"
                yield document.problem(NOT_DOWNSTREAM, path, message, hint, fix=fix)


def _skipping(graph: Graph, how: str) -> list[str]:
    return [name for name, task in graph.tasks.items() if skips(task) == how]


def _targets(task: dict[str, Any], path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    for where, mapping in ((path, task), ((*path, "op_kwargs"), task.get("op_kwargs"))):
        if not isinstance(mapping, dict):
            continue
        for name in BRANCH_ARGUMENTS:
            value = mapping.get(name)
            for index, target in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(target, str):
                    yield (*where, name, index) if isinstance(value, list) else (*where, name), target


def check_joins(document: Document) -> Iterator[Problem]:
    """What a branch chooses, and what follows that, waits for no other side of the branch."""
    for graph in graphs_of(document):
        try:
            order = [*TopologicalSorter(graph.upstream).static_order()]
        except CycleError:
            continue  # reported: nothing of it runs
        rules, choosing = _rules(document, graph), _skipping(graph, "branch")
        reached = {name: graph.before(name) for name in order} if choosing else {}
        for branch in choosing:
            sides = [name for name in order if branch in graph.upstream[name]]
            choices = _choices(graph, branch) or [{side} for side in sides]
            for task_id, missing in _lost(graph, rules, reached, sides, choices).items():
                if not graph.is_certain(task_id):
                    continue
                if task_id in sides:
                    named = " and ".join(map(repr, sorted(missing)))
                    message = (
                        f"{task_id!r} follows {named} too: skipped when {branch!r} chooses {task_id!r} alone"
                    )
                else:
                    both = " and ".join(map(repr, _met(graph, sides, task_id)))
                    message = f"{task_id!r} joins {both} after {branch!r}: skipped with the side not taken"
                hint = "write trigger_rule: none_failed_min_one_success"
                yield document.problem(SKIPPED_JOIN, graph.paths[task_id], message, hint, key=True)


def _choices(graph: Graph, branch: str) -> list[set[str]]:
    """Return the tasks that each outcome of a branch chooses, where its arguments say both; else nothing."""
    task, found = graph.tasks[branch], []
    for key in ("follow_task_ids_if_true", "follow_task_ids_if_false"):
        value = task.get(key)
        chosen: set[str] = set()
        for target in value if isinstance(value, list) else [value]:
            if not isinstance(target, str):
                return []  # not given, or a mistake that is reported
            if target in graph.full_ids:
                chosen.add(graph.full_ids[target])
            elif target in graph.full_group_ids:
                chosen |= graph.first_of(graph.full_group_ids[target])
            else:
                return []  # a template, or a mistake that is reported
        found.append(chosen)
    return found


def _rules(document: Document, graph: Graph) -> dict[str, str]:
    """Return each task's trigger rule, that of default_args where it has none of its own."""
    return {
        name: str(given_to(document, graph, name).get("trigger_rule") or ALL_SUCCESS) for name in graph.tasks
    }


def _lost(
    graph: Graph,
    rules: dict[str, str],
    reached: dict[str, set[str]],
    sides: list[str],
    choices: list[set[str]],
) -> dict[str, set[str]]:
    """Return the tasks that one choice skips although something on the chosen side leads to them.

    For each: which of the tasks before it are skipped. Each of ``choices`` is tried; what is found counts as
    running then, so that what only follows from it is not found too. ``reached`` has the tasks in order,
    with all that run before each.
    """
    found: dict[str, set[str]] = {}
    for chosen in choices:
        after = {name for name, before in reached.items() if chosen & before} | chosen
        skipped = {side for side in sides if side not in after}
        for name in reached:
            before = graph.upstream[name]
            if name in skipped or not before & skipped or not _is_skipped(rules[name], before, skipped):
                continue
            if name in chosen or (before - skipped) & after:
                found.setdefault(name, before & skipped)
            else:
                skipped.add(name)
    return found


def _is_skipped(rule: str, before: set[str], skipped: set[str]) -> bool:
    return rule in SKIPPED_BY_ONE or (rule in SKIPPED_BY_ALL and before <= skipped)


def _met(graph: Graph, sides: list[str], task_id: str) -> list[str]:
    """Return the sides of a branch that a task follows, in the order of the YAML."""
    reached = {task_id, *graph.before(task_id)}
    return [name for name in graph.tasks if name in sides and name in reached]


def check_short_circuits(document: Document) -> Iterator[Problem]:
    """No trigger rule promises a run that a short circuit prevents."""
    for graph in graphs_of(document):
        rules = _rules(document, graph)
        for gate in _skipping(graph, "short circuit"):
            task = graph.tasks[gate]
            given = given_to(document, graph, gate)
            all_of_them = given.get("ignore_downstream_trigger_rules", facts_of_task(task).get("x-skips-all"))
            for task_id in graph.tasks:
                directly = gate in graph.upstream[task_id]
                if rules[task_id] in SKIPPED_BY_ONE or not (directly or gate in graph.before(task_id)):
                    continue
                if not directly and not all_of_them:
                    continue
                message = f"{gate!r} skips {task_id!r} too, whatever its trigger rule {rules[task_id]!r} says"
                hint = f"write ignore_downstream_trigger_rules: false in {gate}"
                if directly:
                    hint = f"put another task between: what follows {gate} directly is always skipped"
                yield document.problem(SHORT_CIRCUITED, graph.paths[task_id], message, hint, key=True)
