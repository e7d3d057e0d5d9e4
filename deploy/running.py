"""One run of a DAG, started by hand and watched to its end."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import quote

from project import LocalError
from rest import Api

from batch_serving.shared.suggestions import did_you_mean

FINAL = ("success", "failed")
SHOWN = ("success", "failed", "skipped", "up_for_retry", "upstream_failed", "deferred", "awaiting_input")
LOG_LINES = 20  # of a failed task
KNOWN_WITHIN_S = 15  # Airflow loads a new file within some seconds


def run_dag(api: Api, dag_id: str, conf: str = "{}") -> int:
    """Turn a DAG on, run it, print each task's state as it changes; 0 if the run succeeded, else 1.

    ``conf`` is JSON: what the trigger form would give. Raises LocalError for a DAG that is not there and for
    a text that is not a JSON object.
    """
    given = _conf(conf)
    _check_known(api, dag_id)
    was_off = bool(api.get(f"/dags/{quote(dag_id, safe='')}")["is_paused"])
    run_id = api.trigger(dag_id, given)
    print(f"run: {dag_id} {run_id}", flush=True)
    path = f"/dags/{dag_id}/dagRuns/{run_id}"
    shown: dict[str, str] = {}
    while True:
        run = api.get(path)
        tasks = api.get(f"{path}/taskInstances", limit=200)["task_instances"]
        for task in tasks:
            _show(task, shown)
        if run["state"] in FINAL:
            break
        time.sleep(0.5)
    for task in tasks:
        if task["state"] == "failed":
            _show_log(api, path, task)
    print(f"run: {run['state']}")
    if was_off:
        _show_scheduled(api, dag_id)
    return 0 if run["state"] == "success" else 1


def _show_scheduled(api: Api, dag_id: str) -> None:
    """Say which run the schedule has started as soon as the DAG was on: it may have done the work first."""
    for run in api.runs(dag_id):
        if run["run_type"] == "scheduled":
            started = f"{run['dag_run_id']} ({run['state']})"
            print(f"run: {dag_id} is on now, and its schedule has started {started}")


def _conf(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise LocalError(f"CONF is not JSON ({error}); write it as CONF='{{\"days\": 3}}'") from None
    if not isinstance(found, dict):
        raise LocalError("CONF must be a JSON object, as in CONF='{\"days\": 3}'")
    return found


def _check_known(api: Api, dag_id: str) -> None:
    if not dag_id:
        raise LocalError("name a DAG: make run DAG=hello_world")
    deadline = time.monotonic() + KNOWN_WITHIN_S
    while not _is_known(api, dag_id):
        if time.monotonic() > deadline:
            known = sorted(dag["dag_id"] for dag in api.get("/dags", limit=100)["dags"])
            hint = did_you_mean(dag_id, known) or f"there are {', '.join(known)}"
            raise LocalError(f"there is no DAG {dag_id!r}; {hint}; examples need: make up EXAMPLES=1")
        time.sleep(1)


def _is_known(api: Api, dag_id: str) -> bool:
    try:
        api.get(f"/dags/{quote(dag_id, safe='')}")
    except LocalError as error:
        if "HTTP 404" in str(error):
            return False
        raise
    return True


def _show(task: dict[str, Any], shown: dict[str, str]) -> None:
    index = task.get("map_index", -1)
    name = task["task_id"] if index < 0 else f"{task['task_id']}[{index}]"
    if task["state"] in SHOWN and shown.get(name) != task["state"]:
        shown[name] = task["state"]
        print(f"  {name:<40} {task['state']}", flush=True)


def _show_log(api: Api, path: str, task: dict[str, Any]) -> None:
    """Print the end of a failed task's log."""
    place = f"{path}/taskInstances/{task['task_id']}/logs/{task['try_number']}"
    answer = api.get(place, full_content=True, map_index=task.get("map_index", -1))
    lines = [str(line.get("event", "")) for line in answer["content"] if isinstance(line, dict)]
    print(f"\nthe end of the log of {task['task_id']}:")
    for line in "\n".join(lines).splitlines()[-LOG_LINES:]:
        print(f"    {line}")
