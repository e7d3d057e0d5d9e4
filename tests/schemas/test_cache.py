"""What is remembered of texts that passed the checks, and that it never changes what is loaded."""

from __future__ import annotations

import ast
import datetime
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from airflow.serialization.serialized_objects import DagSerialization

from schemas import loading
from schemas.airflow_internals import BrokenConfig
from schemas.cache import Passed, pass_file
from schemas.documents.yaml_loader import YamlLoader

ROOT = Path(__file__).resolve().parent.parent.parent
VALID = sorted((ROOT / "tests/configs/valid").glob("*.yaml"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("AIRFLOW_HOME", str(folder))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """All valid files, each with dag_ids of its own, and defaults."""
    found = tmp_path / "dag_configs"
    for number, path in enumerate(VALID):
        text = path.read_text(encoding="utf-8")
        (found / str(number % 3)).mkdir(parents=True, exist_ok=True)
        names = [name for name in yaml.safe_load(text) if name != "default"]
        for name in names:
            text = text.replace(f"\n{name}:", f"\n{name}_{number}:")
            text = text.replace(f"{name}:", f"{name}_{number}:", 1) if text.startswith(f"{name}:") else text
        (found / str(number % 3) / path.name).write_text(text, encoding="utf-8")
    for number in range(3):  # what these files name
        shutil.copytree(
            ROOT / "tests/configs/valid/sql_of_templates", found / str(number) / "sql_of_templates"
        )
    for path in (ROOT / "dag_configs").glob("*.yaml"):
        shutil.copy(path, found)
    shared = "default_args:\n  owner: someone\n  retry_delay: {__type__: datetime.timedelta, minutes: 3}\n"
    (found / "defaults.yml").write_text(shared, encoding="utf-8")
    return found


def load(folder: Path) -> dict[str, Any]:
    """Return all DAGs as Airflow stores them, and the texts of broken files."""
    found: dict[str, Any] = {}
    loading.load_dags(folder, found)
    return {
        dag_id: dag.relative_fileloc if isinstance(dag, BrokenConfig) else DagSerialization.to_dict(dag)
        for dag_id, dag in found.items()
    }


def saved(home: Path) -> Path:
    return home / "dag_configs_loaded.cache"


def test_what_passed_before_gives_the_same_dags(folder: Path, home: Path) -> None:
    first = load(folder)
    assert len(first) > len(VALID)
    assert saved(home).exists()
    assert load(folder) == first


def test_a_corrupt_byte_never_changes_a_dag(folder: Path, home: Path) -> None:
    first = load(folder)
    good = saved(home).read_bytes()
    chance = random.Random(11)
    for _ in range(20):
        bad = bytearray(good)
        for place in chance.sample(range(len(bad)), chance.choice([1, 1, 40])):
            bad[place] ^= 1 << chance.randrange(8)
        saved(home).write_bytes(bad[: chance.choice([len(bad), len(bad), chance.randrange(len(bad))])])
        assert load(folder) == first
        assert saved(home).read_bytes() == good


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\0" * 1000, b"\n\n\n", b"places", b"x" * 200_000])
def test_any_other_content_costs_time_only(folder: Path, home: Path, content: bytes) -> None:
    first = load(folder)
    saved(home).write_bytes(content)
    assert load(folder) == first


def test_a_file_that_other_users_can_write_to_is_not_read(home: Path) -> None:
    passed = Passed("test")
    passed.add("key", {"a": 1})
    passed.save()
    file = home / "dag_configs_test.cache"
    assert file.stat().st_mode & 0o777 == 0o600
    assert "key" in Passed("test")
    for mode in (0o620, 0o602, 0o666):
        file.chmod(mode)
        assert "key" not in Passed("test")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_not_read(home: Path) -> None:
    passed = Passed("test")
    passed.add("key", {"a": 1})
    passed.save()
    os.chown(home / "dag_configs_test.cache", 12345, 12345)
    assert "key" not in Passed("test")


HELD = [
    "a: [1, 2.5, -0.0, true, null, '1', 'null', \"\\u00e9 한국어 \\x00\", 123456789012345678901234567890]",
    "a: {start_date: 2026-01-01, at: 2026-01-01 03:04:05.678, utc: 2026-01-01T00:00:00Z, kst: 2026-01-01T00:00:00+09:00}",
    "base: &b {x: [1]}\na: {<<: *b, y: *b}",
]
NOT_HELD = [
    "a: {1: one}",
    "a: {true: yes}",
    "a: {2026-01-01: x}",
    "a: !!set {x, y}",
    "a: !!binary aGVsbG8=",
    "a: .nan",
    "a: [.inf]",
    "a: {__date__: 2026-01-01}",
    "a: {__date__: 5}",
    "a: {__date__: {}}",
]


def parse(text: str) -> dict[str, Any]:
    data: dict[str, Any] = yaml.load(text, YamlLoader)
    return data


@pytest.mark.parametrize("text", HELD)
def test_what_json_can_hold_comes_back_exactly(home: Path, text: str) -> None:
    data = parse(text)
    passed = Passed("test")
    passed.add("key", data)
    passed.save()
    again = Passed("test")
    assert "key" in again
    assert repr(again.data("key")) == repr(data)
    first, second = again.data("key"), again.data("key")
    assert first is not second


@pytest.mark.parametrize("text", NOT_HELD)
def test_what_json_cannot_hold_is_left_to_the_yaml(home: Path, text: str) -> None:
    passed = Passed("test")
    passed.add("key", parse(text))
    passed.save()
    again = Passed("test")
    assert "key" in again
    assert again.data("key") is None


def test_dates_are_dates() -> None:
    passed = Passed("test")
    passed.add("key", parse(HELD[1]))
    data = passed.data("key")
    assert data is not None
    assert {name: type(value) for name, value in data["a"].items()} == {
        "start_date": datetime.date,
        "at": datetime.datetime,
        "utc": datetime.datetime,
        "kst": datetime.datetime,
    }


def test_a_pass_over_all_files_is_noted_and_a_task_is_not(
    folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(folder)
    first = pass_file().stat().st_mtime_ns
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "predict")
    load(folder)
    assert pass_file().stat().st_mtime_ns == first


LOAD = """
import sys, runpy
found = runpy.run_path("dags/load_all.py")
from airflow.sdk import DAG
dags = {name: dag for name, dag in found.items() if isinstance(dag, DAG)}
print("RESULT", sorted(dags), sorted(name for name in NAMES if name in sys.modules))
"""
CHECKS = ("schemas.validation", "schemas.checks.registry")
# What takes 40 to 130 ms to import, and a task that runs a pipeline does not need.
HEAVY = (
    *CHECKS,
    "airflow.providers.common.sql.sensors.sql",
    "airflow.serialization.serialized_objects",
    "pandas",
)


def run(
    project: Path, home: Path, names: tuple[str, ...] = CHECKS, **environment: str
) -> tuple[list[str], list[str]]:
    """Load a project in a new process; return the DAGs, and which of some modules it imported."""
    found = subprocess.run(
        [sys.executable, "-c", LOAD.replace("NAMES", repr(names))],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project), "AIRFLOW_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in found.stdout.splitlines() if line.startswith("RESULT"))
    dags, _, imported = line.removeprefix("RESULT ").partition("] ")
    return ast.literal_eval(f"{dags}]"), ast.literal_eval(imported)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("dags", "dag_configs", "callables", "batch_serving", "schemas"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "uv.lock"):
        shutil.copy(ROOT / name, folder)
    return folder


FOUR = ["collect_weather", "predict", "promote_model", "train_model"]


def test_only_what_changed_is_checked_and_nothing_is_loaded_unchecked(project: Path, home: Path) -> None:
    assert run(project, home) == (FOUR, list(CHECKS[::-1]))
    assert run(project, home) == (FOUR, [])

    # A change of a function that YAML names: what passed with the old one is checked again.
    function = project / "callables" / "prediction.py"
    code = function.read_text(encoding="utf-8")
    function.write_text(code.replace("def draw_rows(", "def draw_row(", 1), encoding="utf-8")
    dags, imported = run(project, home)
    assert [name.split(".")[0] for name in dags] == [
        "collect_weather",
        "config_error",
        "promote_model",
        "train_model",
    ]
    assert imported
    function.write_text(code, encoding="utf-8")
    assert run(project, home)[0] == FOUR

    # A change of defaults: each file below them is checked again.
    defaults = project / "dag_configs" / "defaults.yml"
    text = defaults.read_text(encoding="utf-8")
    defaults.write_text(text.replace("default_args:", "default_argz:", 1), encoding="utf-8")
    dags, imported = run(project, home)
    assert {name.split(".")[0] for name in dags} == {"config_error"}
    defaults.write_text(text, encoding="utf-8")
    assert run(project, home)[0] == FOUR
    assert run(project, home) == (FOUR, [])


def test_a_task_imports_little(project: Path, home: Path) -> None:
    run(project, home)
    found = run(project, home, HEAVY, _AIRFLOW_PARSING_CONTEXT_DAG_ID="predict")
    assert found == (["predict"], [])
