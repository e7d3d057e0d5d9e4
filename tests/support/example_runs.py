"""Examples with PostgreSQL as their feature store, run without a scheduler."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dag_runs import Project, new_project
from databases import Database, database
from running_airflow import ROOT

from batch_serving.shared.airflow import database_engine


@dataclass
class OnPostgres:
    """A project with examples, whose feature store is a PostgreSQL."""

    project: Project
    server: Database

    def run(self, dag_id: str, conf: dict[str, Any] | None = None) -> dict[str, str]:
        """Run a DAG and return the state of each task; ``project.output`` has the logs."""
        self.project.conf = conf or {}
        return self.project.run(dag_id, feature_store=self.server.connection)[dag_id]

    def execute(self, sql: str) -> list[tuple[Any, ...]]:
        """Execute one statement in the feature store and return its rows."""
        engine = database_engine("feature_store")
        try:
            with engine.begin() as connection:
                result = connection.exec_driver_sql(sql)
                return [tuple(row) for row in result] if result.returns_rows else []
        finally:
            engine.dispose()


@contextlib.contextmanager
def on_postgres(folder: Path, *names: str) -> Iterator[OnPostgres]:
    """Make a project with these examples, and start its database; mark the test ``needs("postgres")``."""
    project = new_project(folder / "project")
    for name in names:
        shutil.copytree(ROOT / "examples" / name, project.folder / "examples" / name)
    shutil.copy(ROOT / "examples" / "defaults.yml", project.folder / "examples")
    with database("postgres", folder / "postgres") as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCH_EXAMPLES", "1")
        patch.setenv("AIRFLOW_CONN_FEATURE_STORE", server.connection)
        yield OnPostgres(project, server)
