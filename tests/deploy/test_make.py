"""The make targets as a new user runs them, in a separate copy of the files that git has."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import local
import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The project's files, without what git ignores, and with free ports."""
    folder = tmp_path_factory.mktemp("clone") / "batch serving"  # a folder with a space is common
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    ports = local.free_ports()
    (folder / ".env").write_text(
        "".join(f"{name}={port}\n" for name, port in ports.items()), encoding="utf-8"
    )
    yield folder
    make(folder, "down", check=False)


def make(folder: Path, target: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run one make target without this process's environment, as in a new terminal."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "PIP_CERT")
    environment = {name: os.environ[name] for name in kept if name in os.environ}
    found = subprocess.run(
        ["make", target, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if check:
        assert found.returncode == 0, found.stdout + found.stderr
    return found


def instance_of(folder: Path) -> local.Instance:
    settings = {
        **local.read_env_file(folder / "deploy" / "local.env"),
        **local.read_env_file(folder / ".env"),
    }
    return local.Instance(folder / ".airflow", settings)


def test_up_prints_address_and_login_and_down_and_up_keep_the_history(clone: Path) -> None:
    first = make(clone, "up")
    instance = instance_of(clone)
    assert instance.address in first.stdout
    password = re.search(r"password  (\S+)", first.stdout)
    assert password
    assert password[1] == instance.password()
    assert local.Api(instance).get("/dags")["total_entries"] == len(
        list((clone / "dag_configs").glob("*.yaml"))
    )

    again = make(clone, "up")
    assert "Airflow is already running" in again.stdout
    assert password[1] in again.stdout

    api = local.Api(instance)
    api.patch("/dags/predict", {"is_paused": True})
    before = {run["dag_run_id"] for run in api.runs("collect_weather")}
    assert "down: stopped" in make(clone, "down").stdout
    assert instance.processes() == []
    assert "nothing was running" in make(clone, "down").stdout

    third = make(clone, "up")
    assert "paused in the UI: predict" in third.stdout
    assert password[1] in third.stdout
    assert before <= {run["dag_run_id"] for run in local.Api(instance).runs("collect_weather")}


def test_demo_runs_beside_it_and_shows_what_was_written(clone: Path) -> None:
    running = {process.pid for process in instance_of(clone).processes()}
    found = make(clone, "demo")
    assert re.search(r"(\d+) of \1 runs succeeded", found.stdout)
    for line in ("Written to output/demo/", "The champion: ", "종로구"):
        assert line in found.stdout
    assert local.Instance(clone / ".airflow" / "demo", {}).processes() == []
    leaders = {process.pid for process in instance_of(clone).processes()}
    assert running & leaders  # what `make up` started goes on
    assert not (clone / "output" / "demo" / "output").exists()


def test_check_is_clean(clone: Path) -> None:
    assert make(clone, "check").stdout == "no problems found\n"


def test_extras_bring_providers_stay_and_go(clone: Path) -> None:
    operator = "airflow.providers.http.operators.http.HttpOperator"
    shown = clone / "dag_configs" / "http.yaml"
    shown.write_text(f"get:\n  tasks:\n    one: {{operator: {operator}, endpont: a}}\n", encoding="utf-8")
    schema = clone / ".venv" / "dag_config.schema.json"

    make(clone, "setup")
    unknown = make(clone, "setup", "EXTRAS=htttp", check=False)
    assert unknown.returncode
    assert "no extra htttp; there are database, http, " in unknown.stderr
    missing = make(clone, "check", check=False).stdout
    assert "it needs the provider http, which is not installed: make setup EXTRAS=http" in missing

    make(clone, "setup", "EXTRAS=http")
    assert operator in schema.read_text(encoding="utf-8")
    assert "unknown key 'endpont' for HttpOperator" in make(clone, "check", check=False).stdout
    assert "installing" not in make(clone, "setup").stdout

    make(clone, "setup", "EXTRAS=")
    assert not schema.exists()
    assert make(clone, "check", check=False).stdout == missing
    shown.unlink()
