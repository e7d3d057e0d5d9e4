"""What all command lines have in common: an output that cannot be written, wrong words, and the help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BATCH = ("-c", "import sys; from batch_cli import main; sys.exit(main())")
COMMANDS = {
    "check": ("-m", "schemas", "check", "--no-build", "dag_configs/predict.yaml"),
    "list of codes": ("-m", "schemas", "explain"),
    "graph": ("-m", "schemas", "graph", "dag_configs/predict.yaml"),
    "models": ("-m", "callables.models", "list"),
    "help": (*BATCH, "--help"),
    "help of a command": ("-m", "schemas", "check", "--help"),
}


def shell(arguments: tuple[str, ...], redirection: str) -> subprocess.CompletedProcess[str]:
    script = f'exec "$@" {redirection}'
    command = ["sh", "-c", script, "sh", sys.executable, *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("name", COMMANDS)
def test_an_output_on_a_full_disk_is_one_line_and_exit_code_2(name: str) -> None:
    found = shell(COMMANDS[name], ">/dev/full")
    assert found.stderr == "the output cannot be written: No space left on device\n"
    assert found.returncode == 2


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&-"])
def test_a_closed_output_is_no_error(name: str, redirection: str) -> None:
    found = shell(COMMANDS[name], redirection)
    assert (found.returncode, found.stderr) == (0, "")


def test_a_missing_file_is_still_reported_as_one() -> None:
    found = shell(("-m", "schemas", "check", "nowhere.yaml"), "")
    assert (found.returncode, found.stderr) == (2, "nowhere.yaml does not exist\n")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("-m", "schemas", "check", "--formatt", "json"),
            "unrecognized arguments: --formatt; did you mean '--format'?",
        ),
        (("-m", "schemas", "check", "--selekt=DAG1"), "did you mean '--select'?"),
        (
            ("-m", "schemas"),
            "name a command: check, diff, graph, explain, generate, schema; --help says what each does",
        ),
        (("-m", "callables.weather"), "name a command: rebuild; --help says what each does"),
        (BATCH, "name a command: new, check, diff, graph, explain, generate, models, serve, weather"),
    ],
)
def test_wrong_usage_says_what_is_meant(arguments: tuple[str, ...], expected: str) -> None:
    found = shell(arguments, "")
    assert found.returncode == 2
    assert expected in found.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (*BATCH, "--help"),
        ("-m", "schemas", "--help"),
        ("-m", "schemas", "check", "--help"),
        ("-m", "schemas", "graph", "--help"),
        ("-m", "callables.models", "--help"),
        ("-m", "callables.models", "promote", "--help"),
        ("-m", "callables.weather", "--help"),
        ("-m", "callables.weather", "rebuild", "--help"),
    ],
)
def test_the_help_is_plain_text_and_has_an_example(arguments: tuple[str, ...]) -> None:
    found = shell(arguments, "")
    assert found.returncode == 0
    assert "``" not in found.stdout
    assert "P4" not in found.stdout
    assert "example: " in found.stdout
    if len(arguments) > 3:
        assert "exit code: 0 " in found.stdout
