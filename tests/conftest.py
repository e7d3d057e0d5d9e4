"""What all tests share."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import programs
import psutil
import pytest
from buckets import new_bucket, s3_server
from databases import Database, database
from pytest_httpserver import HTTPServer
from thorough import tries
from xdist.scheduler import LoadScopeScheduling

from batch_serving.shared.command_line import end_in_order
from schemas.catalog.providers import extras, installed_providers

STOP_TIMEOUT_S = 60  # an Airflow and its tasks
ROOT = Path(__file__).resolve().parent.parent

# Airflow reads its settings when it is imported: no test may see those of the shell, nor write to a home.
for _name in [name for name in os.environ if name.startswith(("AIRFLOW_", "BATCH_"))]:
    del os.environ[_name]

# Its home is read then, too, and tests import it at their top.
AIRFLOW_HOME = Path(tempfile.mkdtemp(prefix="airflow_home_"))
atexit.register(shutil.rmtree, AIRFLOW_HOME, ignore_errors=True)
os.environ["AIRFLOW_HOME"] = str(AIRFLOW_HOME)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

# As deploy/local.env has it: on few cores, more threads wait for each other.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def pytest_configure() -> None:
    """Let a run that is told to end stop the servers that it started."""
    end_in_order()


def pytest_keyboard_interrupt() -> None:
    """Let the processes stop what they have started, before pytest-xdist kills them after ten seconds."""
    workers = psutil.Process().children()
    for worker in workers:
        with contextlib.suppress(psutil.Error):
            worker.terminate()
    end = time.monotonic() + STOP_TIMEOUT_S
    while any(map(_has_children, workers)) and time.monotonic() < end:
        time.sleep(0.2)


def _has_children(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.children())
    return False


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that ``make test`` uses."""
    parser.addoption(
        "--install-programs",
        action="store_true",
        help="install the programs that the selected tests need, where apt-get and root or sudo allow it, "
        "and run no test",
    )


# With several processes (pytest-xdist), the tests of one of these folders run in one of them: they share an Airflow,
# or the ports and the environment of this checkout. All others are shared out by file.
TOGETHER = {
    "tests/integration/test_failures.py": "failures",  # an Airflow of its own
    "tests/cluster/": "cluster",
    "tests/deploy/": "commands",
    "tests/docs/": "commands",
    "tests/examples/": "examples",
    "tests/integration/": "integration",
}
# They begin, side by side: they mostly wait for an Airflow, which is slow beside tests that only compute.
FIRST = ("tests/examples", "tests/integration", "tests/cluster", "tests/deploy", "tests/docs")


class ByFolder(LoadScopeScheduling):  # type: ignore[misc]
    """Gives a process all tests of a file, or of the folders that belong together."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return next((name for folder, name in TOGETHER.items() if file.startswith(folder)), file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFolder:
    """Share the tests out."""
    return ByFolder(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the tests begin that wait most, and what is short fill up the end."""

    def place(item: pytest.Item) -> int:
        folders = [number for number, name in enumerate(FIRST) if item.path.is_relative_to(ROOT / name)]
        return folders[0] if folders else len(FIRST)

    if hasattr(config, "workerinput"):
        items.sort(key=place)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Count an installation as a success: it selects no test to run."""
    if session.config.option.install_programs and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
        session.exitstatus = pytest.ExitCode.OK


@pytest.hookimpl(trylast=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Install, or report, the programs that the selected tests need: ``@pytest.mark.needs("chromium")``."""
    _require_extras(session)
    wanted = {name for item in session.items for mark in item.iter_markers("needs") for name in mark.args}
    lacking = programs.missing(wanted)
    if session.config.option.install_programs:
        session.items.clear()
    if not lacking or session.config.option.collectonly:
        return
    leave_out = "  or leave out the tests that need them: make test ARGS=\"-m 'not needs'\""
    if not session.config.option.install_programs:
        install = f"  to do: make test installs them, as does: python3 deploy/programs.py {' '.join(lacking)}"
        text = f"the selected tests need programs that are missing:\n{programs.report(lacking)}\n{install}"
        raise pytest.UsageError(f"{text}\n{leave_out}")
    capture = session.config.pluginmanager.getplugin("capturemanager")
    capture.suspend_global_capture(in_=True)  # sudo may ask for a password
    try:
        programs.install(lacking, lambda text: print(f"test: {text}", flush=True))
    except programs.ProgramsError as error:
        raise pytest.UsageError(f"{error}\n{leave_out}") from None
    finally:
        capture.resume_global_capture()


def _require_extras(session: pytest.Session) -> None:
    """Report the extras that the selected tests need and the environment lacks: ``@pytest.mark.extra("http")``."""
    wanted = {name for item in session.items for mark in item.iter_markers("extra") for name in mark.args}
    lacking = [name for name in sorted(wanted) if not extras()[name] <= installed_providers()]
    if lacking and not session.config.option.collectonly:
        raise pytest.UsageError(
            f"the selected tests need extras that are not installed: {', '.join(lacking)}\n"
            f'  to do: make test installs them, as does: make setup EXTRAS="{" ".join(extras())}"\n'
            "  or leave out the tests that need them: -m 'not extra'"
        )


@pytest.fixture(scope="session")
def airflow_home() -> Path:
    """The home of the tests' own process."""
    return AIRFLOW_HOME


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


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("postgres", marks=[pytest.mark.slow, pytest.mark.needs("postgres")]),
        pytest.param("mysql", marks=[pytest.mark.slow, pytest.mark.needs("mariadb")]),
        "sqlite",
    ],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The value of a connection to a running database."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        yield f'{{"conn_type": "sqlite", "host": "{folder}/store.db"}}'
        return
    with database(request.param, folder) as found:
        assert isinstance(found, Database)
        yield found.connection


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


@pytest.fixture(scope="session")
def trained_champion(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A model of the digits that is the champion: its version, and the output folder with it, to be copied."""
    from predicting import train_champion

    folder = tmp_path_factory.mktemp("champion") / "output"
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("BATCH_OUTPUT", str(folder))
        return train_champion(), folder


@pytest.fixture
def champion(output: Path, trained_champion: tuple[str, Path]) -> str:
    """A model of the digits that is the champion; its version. It is a copy: a training takes half a second."""
    version, folder = trained_champion
    shutil.copytree(folder, output, dirs_exist_ok=True)
    return version


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """A paired bootstrap of a clear difference needs a fifth of the draws; with THOROUGH=1 it has all of them."""
    from batch_serving.promotion import paired_tests

    monkeypatch.setattr(paired_tests, "SAMPLES", tries(200, paired_tests.SAMPLES))
