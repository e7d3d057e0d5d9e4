"""A cluster of the tests' own, as `make cluster` starts it, and its processes."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import requests
from cluster import Cluster
from cluster_settings import ClusterSettings
from local import Api, free_ports, read_env_file
from machine_faults import SmallDisk, WallClock, small_disk
from project import LocalError
from pytest_httpserver import HTTPServer
from running_airflow import ROOT, Running, copied, wait_until
from s3_faults import OutOfOrder, proxy
from servers import Kma, Slack
from thorough import tries

PARTS = (
    "batch_cli", "batch_page", "batch_serving", "callables", "dag_configs", "dags", "data", "deploy", "examples",
    "plugins", "schemas",
)  # fmt: skip
DISK_MB = 900
QUICK = {  # a worker that is lost is noticed within half a minute
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "25",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
    # A message that Redis has lost: twice as long as many runs wait in the queue.
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": str(tries(50, 400)),
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "5",
}


class RunningCluster(Running):
    """Its processes, by part, the proxy before its storage, its machine's clock, and the disk with all but the database."""

    instance: Cluster
    storage: OutOfOrder
    clock: WallClock
    disk: SmallDisk

    def leader(self) -> psutil.Process:
        """Return the process that starts each part again."""
        running = json.loads((self.instance.home / "running.json").read_text(encoding="utf-8"))
        return psutil.Process(running["session"])

    def part(self, name: str) -> psutil.Process | None:
        """Return the main process of a part, None while it does not run."""
        said = self.instance.log_file.read_text(encoding="utf-8", errors="replace")
        numbers = re.findall(rf"^components +\| {re.escape(name)} is process (\d+)$", said, re.MULTILINE)
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(int(numbers[-1]))
            if found.status() != psutil.STATUS_ZOMBIE and found.ppid() == self.leader().pid:
                return found
        return None

    def kill(self, name: str, *, whole: bool = False, number: int = signal.SIGKILL) -> None:
        """Send a signal to a part's main process, or to all of its processes."""
        part = self.part(name)
        assert part is not None, f"{name} does not run"
        for process in [part, *(part.children(recursive=True) if whole else ())]:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)

    def jump(self, seconds: int) -> None:
        """Set the machine's clock to so many seconds after the true time, and log in again."""
        self.clock.jump(seconds)

        def logged_in() -> Api | None:
            with contextlib.suppress(LocalError, requests.RequestException):
                return Api(self.instance)
            return None

        self.api = wait_until(logged_in, "the login", 60)

    def tries(self, run: dict[str, str], task_id: str) -> list[dict[str, object]]:
        """Return the tries of a task, oldest first."""
        path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances/{task_id}/tries"
        found: list[dict[str, object]] = self.api.get(path)["task_instances"]
        return sorted(found, key=lambda one: str(one["try_number"]))


@contextlib.contextmanager
def started_cluster(folder: Path, more: dict[str, str], configs: dict[str, str]) -> Iterator[RunningCluster]:
    """A cluster with a copy of the project and more YAML files, whose DAGs are paused, until the block has ended."""
    project = copied(folder / "project", *PARTS)
    for name, text in configs.items():
        (project / "dag_configs" / name).write_text(text, encoding="utf-8")
    home = folder / "home"
    with HTTPServer(host="127.0.0.1", threaded=True) as server, contextlib.ExitStack() as stack:
        disk = stack.enter_context(small_disk(home, DISK_MB))
        clock = WallClock(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        stack.callback(os.environ.update, PATH=os.environ["PATH"])
        os.environ["PATH"] = f"{clock.folder}{os.pathsep}{os.environ['PATH']}"
        slack, kma = Slack(server), Kma(server)
        local = read_env_file(ROOT / "deploy" / "local.env")
        given = {
            **{
                name: value
                for name, value in local.items()
                if name not in ("AIRFLOW__CORE__EXECUTOR", "AIRFLOW__CORE__PARALLELISM")
            },
            **QUICK,
            **free_ports(),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
            "AIRFLOW_CONN_SLACK_WEBHOOK": slack.connection,
            **clock.settings,
            **more,
        }
        storage = OutOfOrder()
        endpoint = ClusterSettings(home, {}).services.s3_settings["AWS_ENDPOINT_URL"]
        given["AWS_ENDPOINT_URL"] = stack.enter_context(proxy(endpoint, storage))
        parts = ClusterSettings(home, given)
        control = {**parts.control, "PYTHONPATH": str(project)}
        cluster = Cluster(
            home, control, dags_folder=project / "dags", temporary=True, parts=parts, project=project
        )
        database = parts.services.postgres_folder()  # for root, not in this folder
        stack.callback(shutil.rmtree, database, ignore_errors=True)
        stack.callback(cluster.stop)
        cluster.start()
        found = RunningCluster(cluster, Api(cluster), project, Path(os.devnull), slack, kma)
        found.storage, found.clock, found.disk = storage, clock, disk
        yield found
