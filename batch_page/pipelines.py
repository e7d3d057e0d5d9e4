"""Which DAG belongs to which YAML file, model and part of the page: read from the YAML itself."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from batch_page.queries import Expiring, Remembered
from batch_serving.notices.deadlines import STALE_CALLBACK
from batch_serving.shared.root import PROJECT_ROOT

LOOK_AGAIN_S = 2.0
WEATHER = "callables.weather."
ROLL_BACK = "roll_back"  # the field of a trigger form by which a DAG promotes


@dataclass(frozen=True)
class Limit:
    """How old an output may be."""

    output: str
    interval: timedelta


@dataclass(frozen=True)
class Pipeline:
    """A DAG as its YAML has it."""

    dag_id: str
    file: Path
    models: frozenset[str]
    is_weather: bool
    promotes: bool  # its trigger form takes a version, and rolls back
    names_rows: str  # the dataset that it predicts, empty if there is none
    districts: str  # the list of those whose weather it collects, empty if there is none
    deadlines: tuple[Limit, ...] = ()


def pipelines() -> list[Pipeline]:
    """Return the DAGs of ``dag_configs/`` and of the chosen examples; a file that cannot be read has none."""
    return _LISTED.get(lambda: list(_read_all()))


def config_files() -> list[Path]:
    """Return the YAML files that Airflow loads, by path."""
    from schemas.documents.examples import chosen_examples
    from schemas.documents.reading import find_files

    folders = [PROJECT_ROOT / "dag_configs"]
    with contextlib.suppress(OSError):
        folders += chosen_examples(PROJECT_ROOT / "examples")
    return [file for folder in folders for file in find_files(folder)]


def dags_of_model(model: str) -> set[str]:
    """Return the DAGs whose YAML names a model."""
    return {one.dag_id for one in pipelines() if model in one.models}


def weather_dags() -> set[str]:
    """Return the DAGs that collect weather."""
    return {one.dag_id for one in pipelines() if one.is_weather}


def weather_districts() -> list[str]:
    """Return the lists of districts whose weather is collected, without those of a DAG that has none."""
    return sorted({one.districts for one in pipelines() if one.is_weather and one.districts})


def promoting_dags(model: str) -> list[str]:
    """Return the DAGs whose trigger form promotes versions of a model."""
    return [one.dag_id for one in pipelines() if one.promotes and model in one.models]


_LISTED = Expiring(LOOK_AGAIN_S)
_FILES = Remembered()


def _read_all() -> Iterator[Pipeline]:
    for file in config_files():
        with contextlib.suppress(OSError):
            status = file.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
            yield from _FILES.get(file, seen, partial(_listed_in, file))


def _listed_in(file: Path) -> list[Pipeline]:
    return list(_in_file(file))


def _in_file(file: Path) -> Iterator[Pipeline]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        found = yaml.load(file.read_bytes(), loader)  # noqa: S506 - both are safe loaders
    except (yaml.YAMLError, UnicodeError, ValueError, RecursionError):
        return
    for dag_id, dag in found.items() if isinstance(found, dict) else ():
        if dag_id != "default" and isinstance(dag, dict):
            yield _pipeline(str(dag_id), file, dag)


def _pipeline(dag_id: str, file: Path, dag: dict[str, Any]) -> Pipeline:
    models, callables, datasets, districts = set(), [], [], []
    for task in _mappings(dag.get("tasks")):
        callables.append(str(task.get("python_callable", "")))
        given = task.get("op_kwargs")
        if isinstance(given, dict):
            if isinstance(given.get("model"), str) and "{" not in given["model"]:
                models.add(given["model"])
            if isinstance(given.get("dataset"), str) and "{" not in given["dataset"]:
                datasets.append(given["dataset"])
            if isinstance(given.get("districts"), str) and "{" not in given["districts"]:
                districts.append(given["districts"])
    params = dag.get("params")
    return Pipeline(
        dag_id,
        file,
        frozenset(models),
        any(name.startswith(WEATHER) for name in callables),
        isinstance(params, dict) and ROLL_BACK in params and "version" in params,
        datasets[0] if datasets and any("predict" in name for name in callables) else "",
        districts[0] if districts else "",
        tuple(_limits(dag.get("deadline"))),
    )


def _limits(given: Any) -> Iterator[Limit]:
    """Yield the limits in ``deadline``; what is not valid there, the checker reports."""
    for one in _mappings(given if isinstance(given, list) else [given]):
        output, interval = one.get("output"), one.get("interval")
        parts: dict[str, Any] = interval if isinstance(interval, dict) else {"seconds": interval}
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            delta = timedelta(**{name: value for name, value in parts.items() if name != "__type__"})
            if one.get("callback") == STALE_CALLBACK and isinstance(output, str):
                yield Limit(output, delta)


def _mappings(value: object) -> Iterator[dict[str, Any]]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield from (item for item in items if isinstance(item, dict))


def shown_name(file: Path) -> str:
    """Return a file's path as shown to people: from the project."""
    return os.path.relpath(file, PROJECT_ROOT)
