"""Runs of DAGs written in YAML, in a process of their own with a metadata database, without a scheduler."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pages import ROOT

DAY = "2026-01-05"
SCRIPT = """
import json, runpy, sys
import pendulum
dags = runpy.run_path("dags/load_all.py")
for dag_id in sys.argv[3:]:
    run = dags[dag_id].test(logical_date=pendulum.parse(sys.argv[1]), run_conf=json.loads(sys.argv[2]))
    print("STATES", {dag_id: {task.task_id: str(task.state) for task in run.get_task_instances()}}, flush=True)
"""


@dataclass
class Project:
    """A folder with ``dags/`` and ``dag_configs/``, and an Airflow home with a new database."""

    folder: Path
    home: Path
    conf: dict[str, Any] = field(default_factory=dict)  # what the next runs are triggered with
    output: str = field(default="", repr=False)

    def add(self, name: str, text: str) -> None:
        """Write a file into ``dag_configs/``."""
        (self.folder / "dag_configs" / name).write_text(text, encoding="utf-8")

    def run(self, *dag_ids: str, **connections: str) -> dict[str, dict[str, str]]:
        """Run DAGs for DAY with these connections; return the state of each task, by dag_id and task_id."""
        variables = {f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()}
        command = [sys.executable, "-c", SCRIPT, DAY, json.dumps(self.conf), *dag_ids]
        found = subprocess.run(
            command,
            cwd=self.folder,
            env={**environment(self), **variables},
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        self.output = found.stdout + found.stderr
        assert found.returncode == 0, self.output[-6000:]
        states: dict[str, dict[str, str]] = {}
        for line in self.output.splitlines():
            if line.startswith("STATES "):
                states |= ast.literal_eval(line.removeprefix("STATES "))
        return states


def environment(project: Project) -> Mapping[str, str]:
    """Return the environment of the processes of a project."""
    return {
        **os.environ,
        "AIRFLOW_HOME": str(project.home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project.folder / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DAG_FACTORY__ENABLE_TELEMETRY": "False",
        "BATCH_OUTPUT": str(project.folder / "output"),
        "PYTHONPATH": str(ROOT),
        "NO_PROXY": "127.0.0.1",
        "COLUMNS": "500",
    }


def new_project(folder: Path) -> Project:
    """Make a project with the loader, without a DAG, and its database."""
    for name in ("dags", "dag_configs"):
        (folder / name).mkdir(parents=True)
    shutil.copy(ROOT / "dags" / "load_all.py", folder / "dags")
    (folder / "dag_configs" / "defaults.yml").write_text(
        "timezone: UTC\ndefault_args: {retries: 0}\n", encoding="utf-8"
    )
    project = Project(folder, folder / "home")
    migrate = [str(Path(sys.executable).with_name("airflow")), "db", "migrate"]
    subprocess.run(migrate, env=environment(project), check=True, capture_output=True)
    return project
