"""References to results: what a template or an ``expand`` takes from another task is there when it runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from batch_serving.shared.suggestions import Suggestion, suggest
from schemas.checks.examples import BASH, EMPTY
from schemas.documents.graph import Graph, graphs_of
from schemas.documents.reading import Document
from schemas.documents.texts import is_template, parse_template, texts
from schemas.problems import Fix, KeyPath, Problem, Rule, fix_of

if TYPE_CHECKING:
    import jinja2.nodes

NOT_BEFORE = Rule(
    "DAG111",
    "a template that pulls from a task that does not run before",
    why="The value would be None: nothing of that name has run before this task.",
    bad=(
        f"first: {{{EMPTY}}}\nsecond:\n  {BASH}\n  dependencies: [first]\n"
        "  bash_command: echo {{ ti.xcom_pull(task_ids='frist') }}"
    ),
    good=(
        f"first: {{{EMPTY}}}\nsecond:\n  {BASH}\n  dependencies: [first]\n"
        "  bash_command: echo {{ ti.xcom_pull(task_ids='first') }}"
    ),
    scope="tasks",
)
TEXT_IN_EXPAND = Rule(
    "DAG137",
    "a text that cannot be mapped over",
    why="expand makes one task for each item; a text has none.",
    bad=f"{BASH}\nexpand: {{bash_command: echo 1}}",
    good=f"{BASH}\nexpand: {{bash_command: [echo 1, echo 2]}}",
    scope="task",
)
PLUS_TASK = re.compile(r"""\+(?P<task>[\w.-]+)(\[['"].*['"]\])?""")
OUTPUT = re.compile(r"""(?P<task>[\w.-]+)\.output\b.*|XcomArg\((?P<argument>[\w.-]+)\)""")


def check_pulls(document: Document) -> Iterator[Problem]:
    """What a template pulls from another task comes from one that exists and runs before."""
    for graph in graphs_of(document):
        known = graph.full_ids
        for task_id, task in graph.tasks.items():
            for path, text in texts(task, graph.paths[task_id]):
                if "xcom_pull" not in text or (tree := parse_template(text)) is None:
                    continue
                for pulled in dict.fromkeys(_pulled(tree)):
                    if pulled in known:
                        yield from _not_before(document, graph, path, pulled, task_id)
                        continue
                    within = [one for one in known if one.endswith(f".{pulled}")]
                    found = suggest(pulled, known)
                    if len(within) == 1:
                        found = Suggestion(within[0], certain=True)
                    incomplete = any(
                        path == (graph.dag_id, "tasks") or path[:2] == (graph.dag_id, "task_groups")
                        for path in document.damaged
                    )
                    if incomplete and not (found and found.certain):
                        continue  # its line may not have been readable
                    message = f"the template pulls from task {pulled!r}, which does not exist"
                    hint = found.hint if found else "name a task of this DAG"
                    yield document.problem(NOT_BEFORE, path, message, hint, fix=fix_of(pulled, found))


def _not_before(
    document: Document, graph: Graph, path: KeyPath, pulled: str, task_id: str
) -> Iterator[Problem]:
    name = graph.full_ids[pulled]
    if name in {task_id, *graph.before(task_id)} or not graph.is_certain(task_id):
        return
    message = f"the template pulls from {pulled!r}, which may not have run before {task_id!r}"
    hint = f"add {name} to dependencies"
    yield document.problem(NOT_BEFORE, path, message, hint).as_warning()


def _pulled(tree: jinja2.nodes.Template) -> Iterator[str]:
    """Yield the tasks that a template names in ``xcom_pull``, alone or in a list."""
    from jinja2 import nodes

    for call in tree.find_all(nodes.Call):
        if getattr(call.node, "attr", getattr(call.node, "name", "")) != "xcom_pull":
            continue
        if {pair.key for pair in call.kwargs} & {"dag_id", "include_prior_dates", "run_id"}:
            continue  # from another DAG or run
        given = [*call.args[:1], *(pair.value for pair in call.kwargs if pair.key == "task_ids")]
        for node in given:
            items = node.items if isinstance(node, nodes.List | nodes.Tuple) else [node]
            yield from (
                item.value for item in items if isinstance(item, nodes.Const) and isinstance(item.value, str)
            )


def check_results(document: Document) -> Iterator[Problem]:
    """``+task`` in a decorated task and ``task.output`` in ``expand`` name a task that runs before.

    dag-factory leaves either as plain text where it does not know it, and hands over the task itself, in
    place of its result, where ``+task`` names an operator's.
    """
    for graph in graphs_of(document):
        for task_id in graph.tasks:
            for path, text in texts(graph.tasks[task_id], graph.paths[task_id]):
                inner = path[len(graph.paths[task_id]) :]
                if inner[:1] in (("doc",), ("doc_md",)):
                    continue
                if match := PLUS_TASK.fullmatch(text):
                    yield from _plus_task(document, graph, task_id, path, inner, match["task"])
                elif inner[:1] == ("expand",) and len(inner) == 2:
                    yield from _expanded(document, graph, task_id, path, text)


def _plus_task(
    document: Document, graph: Graph, task_id: str, path: KeyPath, inner: KeyPath, name: str
) -> Iterator[Problem]:
    decorated = "decorator" in graph.tasks[task_id]
    pull = f"write \"{{{{ ti.xcom_pull(task_ids='{name}') }}}}\""
    if name not in graph.tasks:
        # Any text may begin with a plus; where dag-factory looks for a task it must be one.
        if decorated and (len(inner) == 1 or inner[0] in ("expand", "partial")):
            yield from _no_such_task(document, path, f"+{name}", name, [*graph.tasks])
    elif not decorated:
        message = f"'+{name}': only a decorated task can take a result like this; it is read as text"
        yield document.problem(NOT_BEFORE, path, message, pull)
    elif "decorator" not in graph.tasks[name]:
        message = f"'+{name}': {name!r} is not decorated: its operator would be handed over, not its result"
        yield document.problem(NOT_BEFORE, path, message, pull)
    else:
        yield from _result_not_before(document, graph, path, f"+{name}", name, task_id)


def _expanded(document: Document, graph: Graph, task_id: str, path: KeyPath, text: str) -> Iterator[Problem]:
    known = graph.full_ids
    if match := OUTPUT.fullmatch(text):
        name = match["task"] or match["argument"]
        if name not in known:
            yield from _no_such_task(document, path, text, name, [*known])
        elif "decorator" in graph.tasks[task_id]:
            message = f"{text!r}: a decorated task takes this as text"
            yield document.problem(NOT_BEFORE, path, message, f"write '+{known[name]}'")
        else:
            yield from _result_not_before(document, graph, path, text, known[name], task_id)
    elif not is_template(text):
        hint = "write a list, or task.output"
        yield document.problem(TEXT_IN_EXPAND, path, f"{text!r}: a text cannot be mapped over", hint)


def _no_such_task(
    document: Document, path: KeyPath, text: str, name: str, known: list[str]
) -> Iterator[Problem]:
    found = suggest(name, known)
    fix = Fix(text, text.replace(name, found.name, 1)) if found and found.certain else None
    hint = found.hint if found else "name a task of this DAG"
    yield document.problem(NOT_BEFORE, path, f"{text!r}: there is no such task", hint, fix=fix)


def _result_not_before(
    document: Document, graph: Graph, path: KeyPath, text: str, name: str, task_id: str
) -> Iterator[Problem]:
    if name not in graph.before(task_id) and graph.is_certain(task_id):
        message = f"{text!r}: {name!r} may not have run before"
        yield document.problem(NOT_BEFORE, path, message, f"add {name} to dependencies")
