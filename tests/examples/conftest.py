"""One real Airflow for all examples, with a MariaDB as feature store and a real S3 server as output."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from buckets import new_bucket
from mariadb import MariaDb
from running_airflow import ROOT, Running, copied, started

from schemas.documents.examples import example_names

NAMES = example_names(ROOT / "examples")
DAG_IDS = {"hello_world"}  # as soon as these are loaded, all are: one pass loads all files


@dataclass
class Gallery(Running):
    """An Airflow that has loaded all examples; its feature store is ``database``."""

    database: MariaDb

    @cached_property
    def engine(self) -> Any:
        """The feature store, as SQLAlchemy sees it."""
        import sqlalchemy

        place = {"host": "127.0.0.1", "port": self.database.port(), "database": self.database.name}
        login = {"username": self.database.name, "password": self.database.password()}
        return sqlalchemy.create_engine(sqlalchemy.URL.create("mysql+pymysql", **place, **login))

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Return what a query of the feature store gives."""
        import sqlalchemy

        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(sqlalchemy.text(sql))]

    def texts(self, folder: str) -> list[str]:
        """Return the text of each file that was written below a folder of the output."""
        import boto3

        settings = {name: value for name, value in self.instance.settings.items() if name.startswith("AWS_")}
        bucket, _, prefix = self.instance.settings["BATCH_OUTPUT"].removeprefix("s3://").partition("/")
        with mock.patch.dict(os.environ, settings):
            client = boto3.client("s3")
            found = client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/{folder}/").get("Contents", [])
            bodies = [client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read() for each in found]
        return [body.decode() for body in bodies]


STARTED = ExitStack()  # what the examples run in


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop it after the last test of this folder: the tests of other folders have an Airflow of their own."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        STARTED.close()


@pytest.fixture(scope="session")
def gallery(tmp_path_factory: pytest.TempPathFactory, s3_settings: dict[str, str]) -> Iterator[Gallery]:
    """A copy of the project with all examples, all paused, under Airflow; mark the test ``needs("mariadb")``."""
    parts = ("dags", "batch_serving", "callables", "examples", "schemas", "data")
    project = copied(tmp_path_factory.mktemp("gallery"), *parts)
    (project / "dag_configs").mkdir()
    shutil.copy(ROOT / "dag_configs" / "defaults.yml", project / "dag_configs")
    database = MariaDb(tmp_path_factory.mktemp("a database"), "feature_store")
    with STARTED as stack:
        database.start()
        stack.callback(database.stop)
        settings = {
            **s3_settings,
            "BATCH_EXAMPLES": "1",
            "BATCH_OUTPUT": f"{new_bucket(s3_settings)}/examples",
            "AIRFLOW_CONN_FEATURE_STORE": database.connection(),
            "AIRFLOW__CORE__PARALLELISM": "3",
        }
        running = stack.enter_context(started(project, settings, DAG_IDS))
        yield Gallery(**vars(running), database=database)
