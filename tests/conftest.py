"""What all tests share."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from buckets import new_bucket, s3_server
from pytest_httpserver import HTTPServer

ROOT = Path(__file__).resolve().parent.parent

# Airflow reads its settings when it is imported: no test may see those of the shell, nor write to a home.
for _name in [name for name in os.environ if name.startswith(("AIRFLOW_", "BATCH_"))]:
    del os.environ[_name]

# As deploy/local.env has it: on few cores, more threads wait for each other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


@pytest.fixture(scope="session", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home for the tests' own process, made before anything imports Airflow."""
    home = tmp_path_factory.mktemp("airflow_home")
    os.environ["AIRFLOW_HOME"] = str(home)
    os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
    return home


class Server(HTTPServer):
    """A server that stops at once: the library's own takes half a second, two hundred times."""

    def thread_target(self) -> None:
        assert self.server is not None
        self.server.serve_forever(poll_interval=0.01)


@pytest.fixture
def httpserver() -> Iterator[HTTPServer]:
    """A server on 127.0.0.1 of the test's own: one that answers slowly holds up no other test."""
    # It would log each request, with what is secret in it, among the lines that the tests look at.
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    with Server(host="127.0.0.1", threaded=True) as server:
        yield server


@pytest.fixture
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty output folder that the callables write to."""
    folder = tmp_path / "output"
    monkeypatch.setenv("BATCH_OUTPUT", str(folder))
    return folder


@pytest.fixture(scope="session")
def s3_settings() -> Iterator[dict[str, str]]:
    """The environment that names a running S3 server."""
    with s3_server() as settings:
        yield settings


@pytest.fixture(params=["disk", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where output goes, set up and empty: a local disk by URL, fsspec's memory store, a real S3 server."""
    if request.param == "disk":
        found = f"file://{tmp_path}/output"
    elif request.param == "memory":
        found = f"memory://{uuid.uuid4().hex}"
    else:
        settings = request.getfixturevalue("s3_settings")
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        found = new_bucket(settings)
    monkeypatch.setenv("BATCH_OUTPUT", found)
    return found
