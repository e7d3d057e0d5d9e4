"""The pieces of ``make up`` that need no Airflow."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import local
import psutil
import pytest
from processes import identity

ROOT = Path(__file__).resolve().parent.parent.parent


def test_env_files_are_read_as_people_write_them(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    text = '\ufeff# a comment\n\nA=1 # one\nexport B="two words"\nC={"json": "a=b"}\nD=\'it # is\' # one\nexport\tE=x\t# y\n'
    file.write_text(text, encoding="utf-8")
    known = {"A": "1", "B": "two words", "C": '{"json": "a=b"}', "D": "it # is", "E": "x"}
    assert local.read_env_file(file) == known
    assert local.read_env_file(tmp_path / "none") == {}


def test_a_line_that_is_not_a_setting_is_named_but_not_shown(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\nhunter2\n", encoding="utf-8")
    with pytest.raises(local.LocalError, match=r"\.env:2: not of the form NAME=value") as error:
        local.read_env_file(file)
    assert "hunter2" not in str(error.value)


def test_the_shell_overrides_files_but_not_whose_data_is_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__PORT", "9999")
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://another/project")
    monkeypatch.setenv("AIRFLOW__CORE__FERNET_KEY_CMD", "cat /another/project")
    monkeypatch.setenv("BATCH_OUTPUT", "/another/project")
    said: list[str] = []
    settings = local.project_settings(said.append)
    assert settings["AIRFLOW__API__PORT"] == "9999"
    assert not {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__FERNET_KEY_CMD"} & settings.keys()
    assert settings.get("BATCH_OUTPUT") != "/another/project"
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" in said[0]
    assert "postgresql" not in said[0]


def test_a_taken_port_is_named_with_the_setting_that_moves_it(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = {**local.free_ports(), "AIRFLOW__API__HOST": "127.0.0.1", "AIRFLOW__API__PORT": str(port)}
        with pytest.raises(
            local.LocalError, match=rf"port {port}, for the UI .* in .env: AIRFLOW__API__PORT={port + 10}"
        ):
            local.Instance(tmp_path, settings).start()


def instance(home: Path, session: int, its_identity: str) -> local.Instance:
    home.mkdir(exist_ok=True)
    (home / "running.json").write_text(
        json.dumps({"session": session, "identity": its_identity}), encoding="utf-8"
    )
    return local.Instance(home, {})


@pytest.fixture
def stranger() -> psutil.Process:
    """A process with a session of its own, like one of ours."""
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield psutil.Process(child.pid)
    child.kill()
    child.wait()


def test_stopping_ends_a_session_of_ours(tmp_path: Path, stranger: psutil.Process) -> None:
    ours = instance(tmp_path, stranger.pid, identity(stranger.pid))
    assert [process.pid for process in ours.processes()] == [stranger.pid]
    assert ours.stop()
    assert ours.processes() == []
    assert not ours.stop()


def test_a_process_of_another_with_the_same_number_is_not_ended(
    tmp_path: Path, stranger: psutil.Process
) -> None:
    stale = instance(tmp_path, stranger.pid, identity(os.getpid()))
    assert stale.processes() == []
    assert not stale.stop()
    assert stranger.is_running()


def test_after_a_restart_of_the_machine_nothing_is_ours(tmp_path: Path, stranger: psutil.Process) -> None:
    ticks = identity(stranger.pid).partition("/")[2]
    assert instance(tmp_path, stranger.pid, f"another-boot/{ticks}").processes() == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"AIRFLOW__API__PORT": "http"}, "AIRFLOW__API__PORT='http' is not a port number"),
    ],
)
def test_a_wrong_setting_is_reported(tmp_path: Path, settings: dict[str, str], message: str) -> None:
    defaults = {**local.free_ports(), "AIRFLOW__API__HOST": "127.0.0.1"}
    with pytest.raises(local.LocalError, match=message):
        local.Instance(tmp_path, {**defaults, **settings}).start()


def test_with_no_state_nothing_is_stopped(tmp_path: Path) -> None:
    assert not local.Instance(tmp_path, {}).stop()


def test_an_old_python_gets_a_message_with_the_versions_needed() -> None:
    code = (
        "import sys, runpy; sys.version_info = (3, 8, 1, 'final', 0);"
        "sys.exit(runpy.run_path('deploy/setup.py')['main']())"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1
    assert found.stderr.startswith("setup: this is Python 3.8 (")
    assert "the project needs 3.11 to 3.14." in found.stderr
    assert "to do: install one of these versions and name it: make setup PYTHON=python3.12" in found.stderr


def test_without_a_python_make_prints_what_to_install() -> None:
    found = subprocess.run(
        ["make", "setup", "PYTHON=no-such-python"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert found.returncode == 2
    assert "no Python 3.11 or newer was found" in found.stderr
    assert "apt-get install python3 python3-venv" in found.stderr


def test_help_lists_every_command() -> None:
    found = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    listed = {line.split()[1] for line in found.stdout.splitlines() if line.startswith("  make")}
    wanted = "help setup up down cluster cluster-down run airflow user serve doctor demo check test lint graph bench"
    assert listed == set(wanted.split())
