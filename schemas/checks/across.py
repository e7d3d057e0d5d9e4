"""What only several files together show: a dag_id that is taken, and names that no file has."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from batch_serving.shared.suggestions import Suggestion, suggest
from schemas.checks.examples import EMPTY
from schemas.checks.paths import resolved
from schemas.documents.arguments import arguments_of
from schemas.documents.graph import graphs_of
from schemas.documents.reading import Document, DocumentError, display_name, read_document
from schemas.documents.tasks import configs_of, tasks_of
from schemas.documents.texts import is_template, texts
from schemas.problems import INFORMATION, WARNING, KeyPath, Problem, Rule, fix_of

TAKEN = Rule(
    "DAG107",
    "a dag_id that another file has already",
    why="Airflow would take the one that it reads last, and which that is depends on chance.",
    bad="predict:  # in two files",
    good="predict_hourly:  # its own name",
    scope="file",
    can_be_ignored=False,
)
_MAKES = (
    f"one:\n  schedule: '@daily'\n  tasks:\n    first: {{{EMPTY}, outlets: ['model://digits/challenger']}}"
)
NEARLY_THERE = Rule(
    "DAG143",
    "a DAG, task or asset that no file has, while one is called nearly so",
    why="A DAG whose asset no task makes never starts; what waits for a DAG or a task waits for ever.",
    bad=f"{_MAKES}\ntwo:\n  schedule: ['model://digits/chalenger']\n  tasks:\n    first: {{{EMPTY}}}",
    good=f"{_MAKES}\ntwo:\n  schedule: ['model://digits/challenger']\n  tasks:\n    first: {{{EMPTY}}}",
    severity=WARNING,
    scope="file",
)
_DRAW = """\
NAME:
  schedule: '@daily'
  tasks:
    draw:
      operator: airflow.providers.standard.operators.python.PythonOperator
      python_callable: callables.prediction.draw_rows
      op_kwargs:
        dataset: data/digits.csv
        row_id: row_id
        rows: incremental
        cursor_column: row_id
        model: digits
        watermark: MARK
        run_id: '{{ dag.dag_id }}.{{ run_id }}'
"""
TAKEN_TWICE = Rule(
    "DAG147",
    "something that two DAGs use and only one may",
    why="Two DAGs with one watermark take rows from each other: each predicts a part of them.",
    bad=f"{_DRAW.replace('NAME', 'one')}{_DRAW.replace('NAME', 'two')}".replace("MARK", "orders"),
    good=f"{_DRAW.replace('NAME', 'one').replace('MARK', 'orders')}"
    f"{_DRAW.replace('NAME', 'two').replace('MARK', 'returns')}",
    severity=WARNING,
    scope="file",
)
NOT_HERE = Rule(
    "DAG304",
    "a DAG, task or asset that must come from elsewhere",
    why="No file of the folder has it. `check --information` lists what must come from elsewhere.",
    bad="schedule: ['s3://bucket/key']",
    good="schedule: '@daily'",
    severity=INFORMATION,
)
DIGITS = re.compile(r"\d+")
DAG_KEYS = ("trigger_dag_id", "external_dag_id")
TASK_KEYS = ("external_task_id", "external_task_ids", "external_task_group_id")


def check_taken(document: Document, owners: dict[str, Path]) -> Iterator[Problem]:
    """Yield a problem for each dag_id that is in ``owners`` (dag_id → file) already; add the others to it."""
    for dag_id in document.dags:
        owner = owners.setdefault(dag_id, document.path)
        if owner != document.path:
            message = f"dag_id {dag_id!r} is in {_place(owner, dag_id)} already"
            yield document.problem(TAKEN, (dag_id,), message, "rename one of the two", key=True)


def _place(path: Path, dag_id: str) -> str:
    try:
        span = read_document(path).positions.keys[(dag_id,)]
    except (DocumentError, KeyError):
        return display_name(path)
    return f"{display_name(path)}:{span.line}"


@dataclass
class Known:
    """What the files of a folder have: the ids of each DAG's tasks and groups, and the assets that tasks
    make."""

    dags: dict[str, list[str]] = field(default_factory=dict)
    assets: set[str] = field(default_factory=set)
    claims: dict[str, tuple[str, str]] = field(default_factory=dict)  # the first file and DAG with each
    complete: bool = True  # no file is damaged

    def add(self, document: Document) -> None:
        """Add what one file has."""
        self.complete &= not document.damaged and not document.problems
        for dag_id in document.dags:
            self.dags.setdefault(dag_id, [])
        for graph in graphs_of(document):
            self.dags[graph.dag_id] += [*graph.full_ids, *graph.full_group_ids]
        for dag_id, tasks, _ in tasks_of(document):
            outlets = [task.get("outlets") for task in tasks.values()]
            for given in (*outlets, document.default_args_of(dag_id).get("outlets")):
                self.assets |= {name for _, name in _assets(given, ())}


def check_claims(document: Document, known: Known) -> Iterator[Problem]:
    """What a function has alone, such as a watermark, is named in one DAG only."""
    for dag_id, tasks, paths in tasks_of(document):
        for task_id, task in tasks.items():
            function, given = resolved(task.get("python_callable")), task.get("op_kwargs")
            claimed = getattr(function, "alone_with", None)
            if not callable(claimed) or not isinstance(given, dict):
                continue
            for argument, what in claimed(given).items():
                file, other = known.claims.setdefault(what, (document.name, dag_id))
                if (file, other) != (document.name, dag_id):
                    message = f"{other!r} ({file}) has {what} already: each would take rows from the other"
                    hint = f"leave {argument} out, or name another"
                    yield document.problem(
                        TAKEN_TWICE, (*paths[task_id], "op_kwargs", argument), message, hint
                    )


def check_known(document: Document, known: Known, *, information: bool) -> Iterator[Problem]:
    """Yield what a file takes from others and no file has; without a near name only as information."""
    for path, what, name, there in _taken_from_others(document, known):
        if name in there or is_template(name):
            continue
        near = _near(name, there)
        if near is not None:
            message = f"no file here has {what} {name!r}"
            yield document.problem(NEARLY_THERE, path, message, near.hint, fix=fix_of(name, near))
        elif information:
            message = f"{what} {name!r} must come from elsewhere: no file here has it"
            yield document.problem(NOT_HERE, path, message, "check that it exists")


def _near(name: str, there: Iterable[str]) -> Suggestion | None:
    """Return the name that is meant: one of its parts is nearly the same, and all others are equal.

    The parts are those of a URI: two files of one bucket are not near each other, nor are names that differ
    in digits alone.
    """
    parts = name.split("/")
    near: dict[str, str] = {}  # the differing part, by whole name
    for other in sorted(there):
        pairs = [*zip(parts, other.split("/"), strict=False)]
        different = [pair for pair in pairs if pair[0] != pair[1]]
        if len(different) == 1 and other.count("/") == name.count("/"):
            mine, its = different[0]
            if DIGITS.sub("0", mine) != DIGITS.sub("0", its) and suggest(mine, [its]):
                near[other] = its
    if len(near) != 1:
        return suggest(name, sorted(near)) if near else None
    found = next(iter(near))
    return Suggestion(found, certain=True)


def _taken_from_others(document: Document, known: Known) -> Iterator[tuple[KeyPath, str, str, Iterable[str]]]:
    """Yield (path, what it is, its name, the names that there are)."""
    for path, config in configs_of(document):
        for at, name in _assets(config.get("schedule"), (*path, "schedule")):
            yield at, "asset", name, known.assets
    arguments = [*arguments_of(document)]
    waited_for = {
        one.task_path: one.value
        for one in arguments
        if one.key == "external_dag_id" and one.place != "expand"
    }
    for one in arguments:
        if one.key in DAG_KEYS and isinstance(one.value, str):
            yield one.path, "DAG", one.value, known.dags
        dag_id = waited_for.get(one.task_path)
        if one.key in TASK_KEYS and isinstance(dag_id, str) and dag_id in known.dags:
            for at, name in texts(one.value, one.path):
                yield at, f"task of {dag_id}", name, known.dags[dag_id]


def _assets(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield the URI, or else the name, of each asset in a schedule or in outlets."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, str):
                yield (*path, index), item
            else:
                yield from _assets(item, (*path, index))
    elif isinstance(value, dict):
        kind = str(value.get("__type__", "")).rpartition(".")[2]
        if kind and ("Asset" not in kind or kind == "AssetAlias"):
            return  # a timetable, or what names its assets when it runs
        if kind == "Asset":
            key = "uri" if "uri" in value else "name"
            given = value.get("__args__")
            if isinstance(value.get(key), str):
                yield (*path, key), value[key]
            elif isinstance(given, list) and given and isinstance(given[0], str):
                yield (*path, "__args__", 0), given[0]
            return
        for key, item in value.items():
            yield from _assets(item, (*path, key))
