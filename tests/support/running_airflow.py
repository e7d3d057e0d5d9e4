"""A real Airflow for tests: scheduler, DAG processor, triggerer, REST API, UI; on its own ports."""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from local import Api, Instance, free_ports, read_env_file
from pytest_httpserver import HTTPServer
from servers import Kma, Slack

ROOT = Path(__file__).resolve().parent.parent.parent
RUN_TIMEOUT_S = 120
PATIENCE = 3  # times what a machine needs that does nothing else


@dataclass
class Running:
    """The session's Airflow, the project that it runs, and the servers that it talks to."""

    instance: Instance
    api: Api
    project: Path
    output: Path
    slack: Slack
    kma: Kma

    def run(self, dag_id: str, conf: dict[str, Any] | None = None) -> dict[str, Any]:
        """Trigger a DAG and return its run once it has ended."""
        return self.ended(dag_id, self.api.trigger(dag_id, conf))

    def ended(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """Wait for a run to end and return it."""
        path = f"/dags/{dag_id}/dagRuns/{run_id}"
        return wait_until(lambda: _ended(self.api.get(path)), f"the end of {dag_id} {run_id}")

    def quiet(self, *dag_ids: str) -> None:
        """Wait until no run of these DAGs is active, and none follows within five seconds: an asset takes two."""

        def ended() -> bool:
            return all(_ended(run) for dag_id in dag_ids for run in self.api.runs(dag_id))

        wait_until(lambda: ended() and not time.sleep(5) and ended(), f"the end of all runs of {dag_ids}")

    @contextlib.contextmanager
    def alone(self, dag_id: str, seconds: float = 90) -> Iterator[None]:
        """Pause all other DAGs; begin when no run is active, and none of this DAG is due for so long."""
        others = [dag["dag_id"] for dag in self._unpaused() if dag["dag_id"] != dag_id]

        def pause(is_paused: bool) -> None:
            for name in others:
                self.api.patch(f"/dags/{name}", {"is_paused": is_paused})

        def are_paused() -> bool:
            pause(True)
            if all(_ended(run) for name in (dag_id, *others) for run in self.api.runs(name)):
                return True
            pause(False)  # their runs would never end
            time.sleep(3)
            return False

        def is_free() -> bool:
            due = self.api.get(f"/dags/{dag_id}")["next_dagrun_run_after"]
            return due is None or datetime.fromisoformat(due) > datetime.now(UTC) + timedelta(seconds=seconds)

        try:
            wait_until(lambda: is_free() and are_paused(), f"a time between two runs of {dag_id}", 200)
            yield
        finally:
            pause(False)

    def _unpaused(self) -> list[dict[str, Any]]:
        return [dag for dag in self.api.get("/dags?limit=100")["dags"] if not dag["is_paused"]]

    def tasks(self, run: dict[str, Any]) -> dict[str, str]:
        """Return the state of each task of a run."""
        path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
        return {task["task_id"]: task["state"] for task in self.api.get(path)["task_instances"]}

    def log(self, run: dict[str, Any], task_id: str, try_number: int = 1) -> str:
        """Return the log of one try of a task."""
        path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/{task_id}/logs/{try_number}"
        return str(self.api.get(path, full_content=True))

    def xcom(self, run: dict[str, Any], task_id: str) -> Any:
        """Return what a task returned."""
        task = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/{task_id}"
        return self.api.get(f"{task}/xcomEntries/return_value", deserialize=True)["value"]

    def clear(self, run: dict[str, Any]) -> dict[str, Any]:
        """Clear all tasks of a run, as in the UI, and return it once it has ended again."""
        self.api.post(f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/clear", {"dry_run": False})
        return self.ended(run["dag_id"], run["dag_run_id"])

    def import_errors(self) -> dict[str, str]:
        """Return what the UI's banner shows: text by path."""
        found = self.api.get("/importErrors")["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in found}


def wait_until(ask: Callable[[], Any], what: str, seconds: float = RUN_TIMEOUT_S) -> Any:
    """Repeat a question until the answer is true, and return the answer."""
    deadline = time.monotonic() + PATIENCE * seconds
    while time.monotonic() < deadline:
        if answer := ask():
            return answer
        time.sleep(0.3)
    pytest.fail(f"waited {PATIENCE * seconds} s for {what}")


def _ended(run: dict[str, Any]) -> dict[str, Any] | None:
    return run if run["state"] in ("success", "failed") else None


def copied(folder: Path, *names: str) -> Path:
    """Copy these parts of the project into a folder, and what the checker reads beside them; return the folder."""
    for name in names:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


@contextlib.contextmanager
def started(project: Path, more: dict[str, str], dag_ids: set[str]) -> Iterator[Running]:
    """A project under its own Airflow, all its DAGs paused, until these DAGs are loaded and the block has ended."""
    output = project / "output"
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    with HTTPServer(host="127.0.0.1", threaded=True) as server, contextlib.ExitStack() as stack:
        slack, kma = Slack(server), Kma(server)
        settings = {
            **read_env_file(ROOT / "deploy" / "local.env"),
            **free_ports(),
            "BATCH_OUTPUT": str(output),
            "PYTHONPATH": str(project),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW_CONN_SLACK_WEBHOOK": slack.connection,
            "AIRFLOW_CONN_KMA_LOOPBACK": kma.connection,
            **more,
        }
        instance = Instance(project / "home", settings, dags_folder=project / "dags", temporary=True)
        stack.callback(instance.stop)
        instance.start()
        api = Api(instance)
        wait_until(lambda: dag_ids <= {dag["dag_id"] for dag in api.get("/dags")["dags"]}, f"{dag_ids}")
        yield Running(instance, api, project, output, slack, kma)
