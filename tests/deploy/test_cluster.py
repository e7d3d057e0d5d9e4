"""What `make cluster` refuses, what it keeps secret, and what each part gets; tests/cluster runs one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import checkouts
import pytest
from cluster import REFUSED, Cluster
from cluster_checks import check_clocks, check_secrets
from cluster_settings import CONTROL_ONLY, FERNET_KEY, JWT_SECRET, SECRET_KEY, WORKERS, ClusterSettings
from project import LocalError, read_env_file
from running_airflow import ROOT, wait_until

GOOD = {JWT_SECRET: "j" * 64, SECRET_KEY: "s" * 32}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project."""
    folder = tmp_path / "project"
    for part in checkouts.FOLDERS:
        (folder / part).mkdir(parents=True)
        (folder / part / "file.py").write_text(f"# {part}\n", encoding="utf-8")
    for name in ("pyproject.toml", "uv.lock"):
        (folder / name).write_text(f"# {name}\n", encoding="utf-8")
    (folder / "output").mkdir()
    (folder / ".env").write_text("SECRET=1\n", encoding="utf-8")
    (folder / "deploy" / "secrets").mkdir()
    (folder / "deploy" / "secrets" / "jwt_secret").write_text("secret", encoding="utf-8")
    return folder


@pytest.fixture
def settings(tmp_path: Path) -> ClusterSettings:
    home = tmp_path / "home"
    home.mkdir()
    return ClusterSettings(home, {})


def test_a_copy_is_the_same_and_has_no_secret(project: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    for _ in range(2):  # over the one before
        checkouts.copy(project, copy)
        checkouts.check_same(project, {"w1": copy})
    assert not (copy / ".env").exists()
    assert not (copy / "output").exists()
    assert not (copy / "deploy" / "secrets").exists()
    assert not list(tmp_path.glob("copy.*"))


@pytest.mark.parametrize(
    ("file", "text", "what"),
    [
        ("uv.lock", "# other packages\n", "uv.lock"),
        ("callables/file.py", "# other code\n", "files that tasks read"),
        ("dag_configs/more.yaml", "a: 1\n", "files that tasks read"),
        (checkouts.IDENTITY, '{"commit": "0123456"}', "the commit"),
    ],
)
def test_a_checkout_that_differs_is_refused(
    project: Path, tmp_path: Path, file: str, text: str, what: str
) -> None:
    copy = tmp_path / "copy"
    checkouts.copy(project, copy)
    (copy / file).write_text(text, encoding="utf-8")
    with pytest.raises(
        LocalError, match=f"the checkout of w1 .* differs in {what} from this one.*\n.*\n?.*to do:"
    ):
        checkouts.check_same(project, {"w1": copy})


@pytest.mark.parametrize("name", [JWT_SECRET, SECRET_KEY])
@pytest.mark.parametrize("value", [None, "", "short"])
def test_a_secret_that_is_missing_or_short_is_refused(name: str, value: str | None) -> None:
    given = {key: text for key, text in GOOD.items() if key != name}
    with pytest.raises(LocalError, match=f"{name} is missing or has fewer than") as caught:
        check_secrets(given if value is None else {**given, name: value}, {})
    assert "short'" not in str(caught.value)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({SECRET_KEY: "x" * 32}, f"{SECRET_KEY} of w1 is not that of the API server"),
        ({}, f"{SECRET_KEY} of w1 is not that of the API server"),
        ({SECRET_KEY: "s" * 32, JWT_SECRET: "x" * 64}, f"{JWT_SECRET} of w1 is not that of the API server"),
        (
            {SECRET_KEY: "s" * 32, "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://"},
            "w1 has AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, which a worker does not need",
        ),
    ],
)
def test_a_worker_with_other_secrets_is_refused(own: dict[str, str], said: str) -> None:
    with pytest.raises(LocalError, match=said) as caught:
        check_secrets(GOOD, {"w1": own})
    assert "xxxx" not in str(caught.value)


def test_clocks_that_differ_are_refused() -> None:
    check_clocks({"a": time.time, "b": lambda: float(int(time.time()))})
    for apart in (-3600, 3600):
        with pytest.raises(LocalError, match="the clock of PostgreSQL is (3600|3599) s from this machine's"):
            check_clocks({"PostgreSQL": lambda apart=apart: time.time() + apart})


def test_what_the_background_refuses_is_said_by_the_command(settings: ClusterSettings) -> None:
    found = Cluster(settings.home, settings.control, parts=settings)
    (settings.home / REFUSED).write_text("the clock of Redis is 3600 s from this machine's")
    with pytest.raises(LocalError, match="the clock of Redis is 3600 s"):
        found._missing()


def test_secrets_are_made_once_and_only_this_user_can_read_them(settings: ClusterSettings) -> None:
    first = settings.secrets
    assert ClusterSettings(settings.home, {}).secrets == first
    assert (settings.home / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(set(first.values())) == len(first)
    check_secrets(settings.control, {name: settings.worker(name) for name in WORKERS})


def test_a_worker_knows_no_secret_of_the_control_plane(settings: ClusterSettings) -> None:
    for name in WORKERS:
        worker = settings.worker(name)
        assert not set(CONTROL_ONLY) & set(worker)
        known = " ".join(worker.values())
        assert not [key for key in ("postgres", JWT_SECRET, FERNET_KEY) if settings.secrets[key] in known]
    hosts = {settings.worker(name)["BATCH_WORKER_HOST"] for name in WORKERS}
    assert len(hosts) == len(WORKERS)


def test_a_port_that_is_taken_is_said(settings: ClusterSettings) -> None:
    settings.check_ports()
    said = f"port {settings.ports['redis']}, for redis, cannot be used"
    with socket.create_server(("127.0.0.1", settings.ports["redis"])), pytest.raises(LocalError, match=said):
        settings.check_ports()


def test_the_parts_get_nothing_that_the_shell_has_for_others(
    settings: ClusterSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of another cloud")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "https://elsewhere")
    monkeypatch.setenv("SOME_TOKEN", "secret")
    control = {**read_env_file(ROOT / "deploy" / "local.env"), **settings.control}
    found = Cluster(settings.home, control, parts=settings)
    workers = {name: {**control, **settings.worker(name)} for name in WORKERS}
    for component in found._components(workers):
        environment = component.environment or {}
        assert not {"AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_S3", "SOME_TOKEN"} & set(environment)


def test_a_worker_can_have_settings_of_its_own(settings: ClusterSettings) -> None:
    settings.worker_folder("w1").mkdir()
    (settings.worker_folder("w1") / "worker.env").write_text("AIRFLOW__CELERY__WORKER_CONCURRENCY=7\n")
    assert settings.worker("w1")["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "7"
    assert settings.worker("w2")["AIRFLOW__CELERY__WORKER_CONCURRENCY"] == "2"


WARM = """
import sys
sys.argv = ["airflow", *{command!r}]
import airflow_local_settings
print("pandas" in sys.modules)
"""


@pytest.mark.parametrize(
    ("executor", "command", "is_warm"),
    [
        ("LocalExecutor", ["scheduler"], True),
        ("CeleryExecutor", ["scheduler"], False),
        ("CeleryExecutor", ["celery", "worker"], True),
        ("KubernetesExecutor", ["scheduler"], False),
        ("CeleryExecutor", ["api-server"], False),
    ],
)
def test_what_forks_tasks_has_their_libraries_and_nothing_else_has(
    executor: str, command: list[str], is_warm: bool, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__CORE__EXECUTOR": executor,
        "PYTHONPATH": str(ROOT / "deploy" / "settings"),
    }
    found = subprocess.run(
        [sys.executable, "-c", WARM.format(command=command)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert found.stdout.split()[-1] == str(is_warm)


LISTENS = """
import os, socket, time
server = socket.create_server(("127.0.0.1", {port}))
if os.fork() == 0:
    time.sleep(300)
print("listens", flush=True)
time.sleep(300)
"""


def test_parts_come_in_their_order_and_what_is_left_of_a_killed_one_is_ended(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    python = [sys.executable, "-c"]
    parts = [
        {"name": "service", "command": [*python, "import time; time.sleep(300)"]},
        {
            "name": "prepare",
            "command": [*python, "import time; time.sleep(1); print('is ready')"],
            "once": True,
        },
        {
            "name": "server",
            "command": [*python, LISTENS.format(port=port)],
            "address": f"127.0.0.1:{port}",
            "after": "prepare",
        },
    ]
    (tmp_path / "parts.json").write_text(json.dumps(parts), encoding="utf-8")
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "components.py", "--parts", str(tmp_path / "parts.json")],
            cwd=ROOT / "deploy", stdout=file, stderr=file, start_new_session=True,
        )  # fmt: skip

    def said() -> str:
        return output.read_text(encoding="utf-8")

    try:
        wait_until(lambda: "server        | listens" in said(), "the start", 30)
        assert said().index("is ready") < said().index("server is process")
        number = int(said().partition("server is process ")[2].split()[0])
        os.kill(number, signal.SIGKILL)  # its child keeps the port
        wait_until(lambda: said().count("server        | listens") == 2, "the second start", 30)
        assert f"which still listens on 127.0.0.1:{port}" in said()
        assert said().count("prepare is process") == 1
    finally:
        process.terminate()
        process.wait(40)
