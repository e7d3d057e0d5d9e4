"""The make targets as a new user runs them, in a separate copy of the files that git has."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import local
import pytest
from mariadb import MariaDb
from rest import new_session
from running_airflow import wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent.parent
# Airflow notices that a DAG is gone when its file is loaded and it has not been for 50 s; it looks each 60 s.
SOON_GONE = {
    "AIRFLOW__DAG_PROCESSOR__STALE_DAG_THRESHOLD": "5",
    "AIRFLOW__SCHEDULER__PARSING_CLEANUP_INTERVAL": "2",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "8",
}


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
    settings = {**local.free_ports(), **SOON_GONE}
    (folder / ".env").write_text(
        "".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8"
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


def password_of(name: str, *arguments: str, folder: Path) -> str:
    """Add a user and return the password that was printed."""
    found = re.search(r"password  (\S+)", make(folder, "user", f"NAME={name}", *arguments).stdout)
    assert found
    return found[1]


def running_in(folder: Path) -> local.Instance:
    """Return the Airflow of the clone, which an earlier test has started if it ran."""
    found = instance_of(folder)
    if not found.processes():
        make(folder, "up")
    return found


class Browser:
    """Who has logged in through the API of one instance."""

    def __init__(self, instance: local.Instance, name: str, password: str) -> None:
        self._base = f"{instance.address}/api/v2"
        login = {"username": name, "password": password}
        self._session = new_session()
        self.answer = self._session.post(f"{instance.address}/auth/token", json=login, timeout=30)
        if self.answer.ok:
            self._session.headers["Authorization"] = f"Bearer {self.answer.json()['access_token']}"

    def reads(self, path: str) -> int:
        """Return the HTTP status of a GET."""
        return self._session.get(self._base + path, timeout=30).status_code

    def triggers(self, dag_id: str) -> int:
        """Return the HTTP status of a request to start a run."""
        path = f"{self._base}/dags/{dag_id}/dagRuns"
        return self._session.post(path, json={"logical_date": None}, timeout=30).status_code


EARLY: dict[str, str] = {}  # the password of the user who was added before Airflow was there


def test_a_user_can_be_added_before_the_first_start(clone: Path) -> None:
    EARLY["early"] = password_of("early", "ROLE=viewer", folder=clone)
    listed = make(clone, "user").stdout
    assert re.search(r"^ +early +viewer +added by `make user`$", listed, re.MULTILINE)
    assert re.search(r"^ +admin +admin +in AIRFLOW__CORE", listed, re.MULTILINE)
    assert EARLY["early"] not in listed


def test_up_prints_address_and_login(clone: Path) -> None:
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


def test_users_come_and_go_while_airflow_runs(clone: Path) -> None:
    early = EARLY.get("early") or password_of("early", "ROLE=viewer", folder=clone)
    instance = running_in(clone)
    viewer = Browser(instance, "early", early)  # has been there through two starts
    assert viewer.reads("/dags") == 200
    assert viewer.triggers("train_model") == 403
    assert Browser(instance, "early", "wrong").answer.status_code == 401

    user = Browser(instance, "kim", password_of("kim", "ROLE=user", folder=clone))
    assert user.triggers("train_model") == 200
    assert user.reads("/connections") == 403
    op = Browser(instance, "lee", password_of("lee", "ROLE=op", folder=clone))
    assert op.reads("/connections") == 200
    admin = Browser(instance, "park", password_of("park", "ROLE=admin", folder=clone))
    assert admin.reads("/connections") == 200

    again = make(clone, "user", "NAME=kim", "ROLE=op", check=False)
    assert "user: kim is there already, as user; " in again.stderr
    assert "user: kim is removed, and logged out" in make(clone, "user", "NAME=kim", "DELETE=1").stdout
    assert user.reads("/dags") == 403  # with the token of before
    promoted = Browser(instance, "kim", password_of("kim", "ROLE=op", folder=clone))
    assert promoted.reads("/connections") == 200
    assert user.reads("/connections") == 403

    password_file = clone / ".airflow" / "simple_auth_manager_passwords.json.generated"
    assert oct(password_file.stat().st_mode & 0o777) == "0o600"
    output = instance.log_file.read_text(encoding="utf-8")
    assert not [one for one in (instance.password(), early) if one in output]


def test_users_of_the_env_file_are_changed_there(clone: Path) -> None:
    file = clone / ".env"
    before = file.read_text(encoding="utf-8")
    setting = "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"
    file.write_text(f"{before}{setting}=admin:admin,choi:op\n", encoding="utf-8")
    try:
        refused = make(clone, "user", "NAME=choi", "ROLE=viewer", check=False)
        assert f"choi is there already, as op: {setting} has it; change it there" in refused.stderr
        assert re.search(rf"choi +op +in {setting}", make(clone, "user").stdout)
    finally:
        file.write_text(before, encoding="utf-8")


def test_demo_runs_beside_it_and_shows_what_was_written(clone: Path) -> None:
    running = {process.pid for process in running_in(clone).processes()}
    found = make(clone, "demo")
    assert re.search(r"(\d+) of \1 runs succeeded", found.stdout)
    for line in ("Written to output/demo/", "The champion: ", "종로구"):
        assert line in found.stdout
    assert local.Instance(clone / ".airflow" / "demo", {}).processes() == []
    leaders = {process.pid for process in instance_of(clone).processes()}
    assert running & leaders  # what `make up` started goes on
    assert not (clone / "output" / "demo" / "output").exists()


@pytest.mark.needs("mariadb")
def test_down_and_up_keep_the_history_and_examples_are_chosen_loaded_off_and_run(clone: Path) -> None:
    unknown = make(clone, "up", "EXAMPLES=hello_wrld", check=False)
    assert "there is no example 'hello_wrld'; did you mean 'hello_world'?" in unknown.stderr

    instance = running_in(clone)
    api = local.Api(instance)
    api.patch("/dags/predict", {"is_paused": True})
    before = {run["dag_run_id"] for run in api.runs("collect_weather")}
    assert "down: stopped" in make(clone, "down").stdout
    assert instance.processes() == []
    assert "nothing was running" in make(clone, "down").stdout

    first = make(clone, "up", "EXAMPLES=hello_world building_blocks").stdout
    assert "paused in the UI: predict" in first
    assert f"password  {instance.password()}" in first
    assert before <= {run["dag_run_id"] for run in local.Api(instance).runs("collect_weather")}
    assert "examples: building_blocks, hello_world" in first
    store = MariaDb(clone / ".airflow" / "feature_store", "feature_store")
    assert f"a MariaDB on port {store.port()} of this machine" in first
    assert {path.stat().st_mode & 0o077 for path in (store.folder, store.folder / "password")} == {0}
    listed = local.Api(instance).get("/dags?limit=100&tags=example")["dags"]
    assert {"hello_world", "building_blocks_sql"} <= {dag["dag_id"] for dag in listed}
    on = {dag["dag_id"] for dag in listed if not dag["is_paused"]}
    assert on == {"building_blocks_called"}  # which runs only when another DAG calls it

    ran = make(clone, "run", "DAG=building_blocks_sql").stdout
    assert "run: success" in ran
    assert "is on now" not in ran  # it has no schedule
    scheduled = make(clone, "run", "DAG=hello_world").stdout
    assert "run: hello_world is on now, and its schedule has started scheduled__" in scheduled
    failed = make(clone, "run", "DAG=hello_world", "CONF=[1]", check=False)
    assert (failed.returncode, "CONF must be a JSON object" in failed.stderr) == (2, True)
    near = make(clone, "run", "DAG=hello_wrld", check=False)
    assert "there is no DAG 'hello_wrld'; did you mean 'hello_world'?" in near.stderr

    make(clone, "up", "EXAMPLES=")
    api = local.Api(instance)  # with the login of this start
    wait_until(lambda: not api.get("/dags?limit=100&tags=example")["dags"], "their end", 90)
    make(clone, "down")
    assert store.process() is None


@pytest.mark.parametrize(
    ("command", "number"),
    [(("deploy/demo.py",), signal.SIGHUP), (("deploy/local.py", "up"), signal.SIGTERM)],
    ids=["closed terminal", "up"],
)
def test_a_command_that_is_ended_while_it_starts_leaves_nothing(
    clone: Path, command: tuple[str, ...], number: int
) -> None:
    make(clone, "down")
    environment = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = subprocess.Popen(
        [str(clone / ".venv" / "bin" / "python"), *command],
        cwd=clone,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        if "waiting for the API server" in line:
            break
    process.send_signal(number)
    output, _ = process.communicate(timeout=120)
    assert "waiting for" not in output
    assert process.returncode == 130
    for home in (clone / ".airflow", clone / ".airflow" / "demo"):
        assert local.Instance(home, {}).processes() == []


def test_setup_changes_nothing_that_is_installed(clone: Path) -> None:
    stamp = clone / ".venv" / ".installed"
    make(clone, "setup")
    before = stamp.read_text(encoding="utf-8"), stamp.stat().st_mtime_ns
    assert make(clone, "setup").stdout == ""
    assert (stamp.read_text(encoding="utf-8"), stamp.stat().st_mtime_ns) == before


def test_check_is_clean(clone: Path) -> None:
    assert make(clone, "check").stdout == "no problems found\n"


def test_extras_bring_providers_stay_and_go(clone: Path) -> None:
    operator = "airflow.providers.http.operators.http.HttpOperator"
    shown = clone / "dag_configs" / "http.yaml"
    shown.write_text(f"get:\n  tasks:\n    one: {{operator: {operator}, endpont: a}}\n", encoding="utf-8")
    schema = clone / ".venv" / "dag_config.schema.json"

    make(clone, "setup", "EXTRAS=")
    unknown = make(clone, "setup", "EXTRAS=htttp", check=False)
    assert unknown.returncode
    assert "no extra htttp; there are cluster, database, examples, http, " in unknown.stderr
    missing = make(clone, "check", check=False).stdout
    assert "it needs the provider http, which is not installed: make setup EXTRAS=http" in missing

    make(clone, "setup", "EXTRAS=http")
    assert operator in schema.read_text(encoding="utf-8")
    assert "unknown key 'endpont' for HttpOperator" in make(clone, "check", check=False).stdout
    assert "installing" not in make(clone, "setup").stdout

    removed = make(clone, "setup", "EXTRAS=")
    assert "setup: removing the extras http\n" in removed.stdout
    assert "Deprecated" not in removed.stdout + removed.stderr
    assert not schema.exists()
    assert make(clone, "check", check=False).stdout == missing
    shown.unlink()
