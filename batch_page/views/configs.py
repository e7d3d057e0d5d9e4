"""Configs: each YAML with its problems at their lines, its graph, its next runs, and what has changed."""

from __future__ import annotations

import difflib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException

from batch_page.access import asked, asked_about_dag
from batch_page.asked import Asked
from batch_page.checking import CHECKING, Checked
from batch_page.graphs import Drawing, drawing_of
from batch_page.pipelines import Pipeline, config_files, pipelines, shown_name
from batch_page.queries import Expiring
from batch_page.rendering import rendered
from batch_page.runs import import_errors, loaded_text, next_runs
from batch_page.upcoming import next_five
from batch_page.view import State, Tile, View
from batch_page.yaml_text import lines_of
from batch_serving.shared.root import PROJECT_ROOT

MOST_BYTES = 1_000_000
GIT_S = 5
Changes = list[tuple[str, str]]  # the lines of a diff, each with its kind


@dataclass(frozen=True)
class Config:
    """A YAML file in the list: how many problems it has, and what Airflow says of it."""

    name: str
    dag_ids: list[str]
    errors: int
    warnings: int
    is_refused: bool  # Airflow shows an import error for it


def readable_files(asking: Asked) -> list[Path]:
    """Return the files that the user may read: those whose DAGs they may, and those without a DAG if all."""
    by_file: dict[Path, list[Pipeline]] = {}
    for one in pipelines():
        by_file.setdefault(one.file, []).append(one)
    everything = {one.dag_id for one in pipelines() if _is_known(one)} <= asking.readable
    shown = []
    for file in config_files():
        known = [one.dag_id for one in by_file.get(file, ()) if one.dag_id in asking.readable]
        all_known = len(known) == len(by_file.get(file, ()))
        if (known and all_known) or everything:
            shown.append(file)
    return shown


def _is_known(one: Pipeline) -> bool:
    """Whether Airflow has the DAG: one of a file that it refuses has no permissions of its own."""
    return one.dag_id in _KNOWN.get(_known_dags)


_KNOWN = Expiring(2.0)


def _known_dags() -> set[str]:
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session(scoped=False) as session:
        return set(session.scalars(select(DagModel.dag_id)).all())


def listed(asking: Asked, checked: Checked | None) -> list[Config]:
    """Return the files in the list."""
    refused = set(import_errors())
    dags: dict[Path, list[str]] = {}
    for one in pipelines():
        dags.setdefault(one.file, []).append(one.dag_id)
    found = []
    for file in readable_files(asking):
        name = shown_name(file)
        problems = checked.of(name) if checked else []
        errors = sum(one.get("severity") == "error" for one in problems)
        found.append(Config(name, dags.get(file, []), errors, len(problems) - errors, name in refused))
    return found


def page(asking: Annotated[Asked, Depends(asked)]) -> str:
    """Return the list, and the file ``?file=``, otherwise the first one with a problem."""
    checked = CHECKING.result()
    configs = listed(asking, checked)
    worst = max(configs, key=lambda one: (one.errors, one.warnings), default=None)
    name = asking.query.get("file") or (worst.name if worst else "")
    if name and name not in {one.name for one in configs}:
        raise HTTPException(404, "this file does not exist, or you may not read its DAGs")
    values = {"current": VIEW, "checked": checked, "configs": configs, "name": name}
    return rendered("configs.html", asking, **values, **(_about(asking, name, checked) if name else {}))


def page_of_dag(dag_id: str, asking: Annotated[Asked, Depends(asked_about_dag)]) -> str:
    """Return the tab of a DAG: its YAML, and where its model or its weather is."""
    found = next((one for one in pipelines() if one.dag_id == dag_id), None)
    checked = CHECKING.result()
    values: dict[str, Any] = {
        "current": None,
        "checked": checked,
        "dag_id": dag_id,
        "pipeline": found,
        "name": "",
    }
    if found is not None and found.file in readable_files(asking):
        name = shown_name(found.file)
        values |= {"name": name, **_about(asking, name, checked)}
    return rendered("dag.html", asking, **values)


def _about(asking: Asked, name: str, checked: Checked | None) -> dict[str, Any]:
    text = _text(name)
    problems = checked.of(name) if checked else []
    own = [one for one in pipelines() if shown_name(one.file) == name]
    runs = {run.dag_id: run for run in next_runs(asking, [one.dag_id for one in own])}
    return {
        "lines": lines_of(text, problems),
        "problems": problems,
        "refusal": import_errors().get(name, ""),
        "running": _running(own, text),
        "dags": [(one.dag_id, runs.get(one.dag_id), _graph(one), next_five(one, asking.now)) for one in own],
        "changes": _changes_since_head(name, text),
    }


def _running(dags: list[Pipeline], text: str) -> Changes | None:
    """Return how a file differs from what Airflow runs of its DAGs; None if Airflow has none of them."""
    loaded = [found for one in dags if (found := loaded_text(one.dag_id)) is not None]
    differences = [_difference(found, text.strip()) for found in loaded]
    return next(filter(None, differences), []) if loaded else None


def _text(name: str) -> str:
    data = (PROJECT_ROOT / name).read_bytes()
    return data[:MOST_BYTES].decode("utf-8", "replace")


def _graph(one: Pipeline) -> Drawing | None:
    from schemas.documents.graph import graphs_of
    from schemas.documents.reading import DocumentError, read_document

    try:
        document = read_document(one.file)
        found = next((graph for graph in graphs_of(document) if graph.dag_id == one.dag_id), None)
    except (DocumentError, OSError):
        return None
    return None if found is None else drawing_of(found.upstream)


def _changes_since_head(name: str, text: str) -> Changes | None:
    """Return the lines of a diff against git's HEAD, each with its kind; None if git lacks the file."""
    try:
        ended = subprocess.run(
            ["git", "show", f"HEAD:./{name}"],
            cwd=PROJECT_ROOT,
            capture_output=True,
            timeout=GIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    if ended.returncode:
        return None
    return _difference(ended.stdout.decode("utf-8", "replace"), text)


def _difference(before: str, after: str) -> Changes:
    kinds = {"+": "added", "-": "removed", "@": "place"}
    diff = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2))[2:]
    return [(kinds.get(line[:1], "same"), line) for line in diff]


def tiles(asking: Asked) -> list[Tile]:
    """Return a tile: how many files have problems, and which."""
    href = asking.url("configs")
    title = asking.text("Configs")
    checked = CHECKING.result()
    configs = listed(asking, checked)
    refused = [one for one in configs if one.is_refused or one.errors]
    warned = [one for one in configs if one.warnings and one not in refused]
    value = asking.text("{count} with problems", count=len(refused) + len(warned))
    detail = asking.text("{count} files", count=len(configs))
    if checked is None or checked.is_old:
        detail += f" · {asking.text('being checked')}"
    if refused:
        first = refused[0].name
        advice = asking.text(
            "{file} has errors, and Airflow does not load it: correct the lines that are marked.", file=first
        )
        return [Tile(title, value, detail, asking.url("configs", file=first), State.WRONG, advice)]
    if warned:
        advice = asking.text("{file} has warnings: see the lines that are marked.", file=warned[0].name)
        return [Tile(title, value, detail, asking.url("configs", file=warned[0].name), State.NOTICE, advice)]
    return [Tile(title, value, detail, href)]


def _add_routes(router: APIRouter) -> None:
    router.add_api_route("/configs", page, methods=["GET"])
    router.add_api_route("/dags/{dag_id}", page_of_dag, methods=["GET"])


VIEW = View("configs", "Configs", _add_routes, tiles)
