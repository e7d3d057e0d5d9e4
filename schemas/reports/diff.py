"""What an edit changes: DAGs, schedules and next runs, tasks and edges, defaults resolved."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.shared.suggestions import did_you_mean
from schemas.catalog.cron import next_runs
from schemas.documents.reading import Document, find_defaults, find_files, read_document
from schemas.documents.tasks import dependencies_of, tasks_of
from schemas.reports.mermaid import readable

LONGEST = 100  # characters of a value
CONTEXT = 20  # of those before the first difference


def describe(folder_or_file: Path) -> dict[str, dict[str, Any]]:
    """Return every DAG below a path by dag_id, with its defaults merged in; raises DocumentError."""
    root = folder_or_file if folder_or_file.is_dir() else folder_or_file.parent
    found: dict[str, dict[str, Any]] = {}
    for path in find_files(root) if folder_or_file.is_dir() else [folder_or_file]:
        document = readable(path).with_defaults(map(read_document, find_defaults(path, root)))
        if document.is_defaults:
            found[path.name] = {**document.data, "tasks": {}}
        for dag_id in document.dags:
            found[dag_id] = {**document.config_of(dag_id), "tasks": _tasks(document, dag_id)}
    return found


def _tasks(document: Document, dag_id: str) -> dict[str, dict[str, Any]]:
    return next((tasks for name, tasks, _ in tasks_of(document) if name == dag_id), {})


def compare(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]], now: datetime) -> Iterator[str]:
    """Yield one line per change between two descriptions; nothing where they mean the same."""
    for dag_id in sorted({*old, *new}):
        if dag_id not in new:
            yield f"- DAG {dag_id}"
        elif dag_id not in old:
            config = new[dag_id]
            yield f"+ DAG {dag_id}: {len(config['tasks'])} tasks, schedule {config.get('schedule')!r}"
            yield from _next_runs(new[dag_id], now)
        else:
            lines = list(_compare_dag(old[dag_id], new[dag_id], now))
            if lines:
                yield f"~ DAG {dag_id}"
                yield from (f"    {line}" for line in lines)


def _compare_dag(old: dict[str, Any], new: dict[str, Any], now: datetime) -> Iterator[str]:
    before, after = ({key: value for key, value in one.items() if key != "tasks"} for one in (old, new))
    yield from _values(before, after, "")
    if any(old.get(key) != new.get(key) for key in ("schedule", "timezone", "start_date", "end_date")):
        yield from _next_runs(new, now)
    for task_id in [*old["tasks"], *(name for name in new["tasks"] if name not in old["tasks"])]:
        if task_id not in new["tasks"]:
            yield f"- task {task_id}"
        elif task_id not in old["tasks"]:
            yield f"+ task {task_id}"
            yield from (
                f"+ edge {upstream} → {task_id}" for upstream in dependencies_of(new["tasks"][task_id])
            )
        else:
            yield from _compare_task(task_id, old["tasks"][task_id], new["tasks"][task_id])


def _compare_task(task_id: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    before, after = dependencies_of(old), dependencies_of(new)
    yield from (f"- edge {upstream} → {task_id}" for upstream in before if upstream not in after)
    yield from (f"+ edge {upstream} → {task_id}" for upstream in after if upstream not in before)
    before_values, after_values = (
        {key: value for key, value in one.items() if key != "dependencies"} for one in (old, new)
    )
    yield from (f"  task {task_id}: {line}" for line in _values(before_values, after_values, ""))


def _values(old: dict[str, Any], new: dict[str, Any], prefix: str) -> Iterator[str]:
    for key in [*old, *(name for name in new if name not in old)]:
        if old.get(key) == new.get(key) and (key in old) == (key in new):
            continue
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            yield from _values(old[key], new[key], f"{prefix}{key}.")
        elif key not in new:
            yield f"- {prefix}{key}: {_short(old[key])}"
        elif key not in old:
            yield f"+ {prefix}{key}: {_short(new[key])}"
        else:
            begin = _same_beginning(old[key], new[key])
            yield f"~ {prefix}{key}: {_short(old[key], begin)} → {_short(new[key], begin)}"


def _same_beginning(old: Any, new: Any) -> int:
    """Return how many characters two long values may lose at their beginning, because both have them."""
    texts = [repr(old), repr(new)]
    if max(map(len, texts)) <= LONGEST:
        return 0
    pairs = enumerate(zip(*texts, strict=False))
    same = next((place for place, (one, other) in pairs if one != other), min(map(len, texts)))
    return max(0, same - CONTEXT)


def _short(value: Any, begin: int = 0) -> str:
    """Return a value on one line that can be read: a page of documentation is cut."""
    text = repr(value)
    shown = f"…{text[begin:]}" if begin else text
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _next_runs(config: dict[str, Any], now: datetime) -> Iterator[str]:
    if runs := next_runs(config, now):
        shown = ", ".join(f"{run:%Y-%m-%d %H:%M}" for run in runs)
        yield f"  next runs ({runs[0].tzinfo}): {shown}"


def locate(text: str, scratch: Path) -> Path:
    """Return the path that ``text`` means: a file or folder, or dag_configs of a git revision.

    Raises FileNotFoundError if it is neither. A revision's files are written below ``scratch``.
    """
    if Path(text).exists():
        return Path(text)
    listed = _git("ls-tree", "-r", "--name-only", "-z", text, "--", "dag_configs/", cwd=PROJECT_ROOT)
    if listed is None:
        names = (_git("for-each-ref", "--format=%(refname:short)", cwd=PROJECT_ROOT) or "").split()
        hint = did_you_mean(text, [*names, "HEAD"]) or "name one such as HEAD~1, main or dag_configs/"
        raise FileNotFoundError(f"{text!r} is neither a file or folder nor a git revision; {hint}")
    folder = Path(tempfile.mkdtemp(dir=scratch))
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(_git("show", f"{text}:{name}", cwd=PROJECT_ROOT) or "", encoding="utf-8")
    return folder / "dag_configs"


def _git(*arguments: str, cwd: Path) -> str | None:
    found = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, encoding="utf-8", check=False)
    return None if found.returncode else found.stdout
