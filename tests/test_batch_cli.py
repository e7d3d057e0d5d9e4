"""``batch``: the command lines of the modules under one name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import batch_cli

ROOT = Path(__file__).resolve().parent.parent
BATCH = Path(sys.executable).with_name("batch")
MISTAKE = "tests/configs/invalid/unknown_dag_key.yaml"


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False)


def test_help_lists_every_command_with_one_line_each() -> None:
    found = run(BATCH, "--help")
    assert found.returncode == 0
    text = " ".join(found.stdout.split())
    for name, about in batch_cli.COMMANDS.items():
        assert f"{name} {about}" in text


def test_help_imports_neither_airflow_nor_the_checker() -> None:
    code = (
        "import sys, contextlib, batch_cli\n"
        "with contextlib.suppress(SystemExit):\n    batch_cli.main(['--help'])\n"
        "sys.exit(any(name in sys.modules for name in ('airflow', 'schemas', 'callables', 'pandas')))"
    )
    assert run(sys.executable, "-c", code).returncode == 0


@pytest.mark.parametrize("name", batch_cli.COMMANDS)
def test_each_command_has_its_own_help_under_its_name(name: str) -> None:
    found = run(BATCH, name, "--help")
    assert found.returncode == 0
    assert found.stdout.startswith(f"usage: batch {name} ")


@pytest.mark.parametrize(
    ("arguments", "module"),
    [
        (["check", MISTAKE], "schemas"),
        (["check", "--no-build", "--format", "json", MISTAKE], "schemas"),
        (["explain", "DAG101"], "schemas"),
        (["explain", "DAG999"], "schemas"),
        (["graph", "dag_configs/promote_model.yaml"], "schemas"),
        (["models", "list"], "callables.models"),
        (["models", "show", "nonsense"], "callables.models"),
    ],
)
def test_it_does_what_the_module_does(
    arguments: list[str], module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BATCH_OUTPUT", str(tmp_path))
    of_module = arguments if module == "schemas" else arguments[1:]
    found, same = run(BATCH, *arguments), run(sys.executable, "-m", module, *of_module)
    assert (found.returncode, found.stdout, found.stderr) == (same.returncode, same.stdout, same.stderr)


@pytest.mark.parametrize("arguments", [[], ["chek"], ["models"], ["weather", "rebild"]])
def test_wrong_usage_ends_with_2_and_the_usage(arguments: list[str]) -> None:
    found = run(BATCH, *arguments)
    assert found.returncode == 2
    assert found.stderr.startswith("usage: batch ")
