"""What all command lines have in common: an output that cannot be written, wrong words, and the help."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
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
        (BATCH, "name a command: new, check, diff, graph, explain, generate, models, status, serve, weather"),
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


WAITS = """
import sys, time
from batch_serving.shared.command_line import end_in_order
end_in_order()
try:
    print("ready", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    print("ending", flush=True)
    time.sleep(0.5)  # a second signal does not interrupt this
    print("ended", flush=True)
"""


def waiting(before: str = "") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", before + WAITS]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_to_end_closes_what_is_open_and_a_second_one_does_not_interrupt_that(number: int) -> None:
    process = waiting()
    process.send_signal(number)
    assert process.stdout
    assert process.stdout.readline() == "ending\n"
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=30)
    assert (output, errors, process.returncode) == ("ended\n", "", 0)


def test_under_nohup_a_closed_terminal_ends_nothing() -> None:
    process = waiting("import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n")
    process.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=30)[0] == "ending\nended\n"


def test_no_benchmark_leaves_a_folder_when_it_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "tests/benchmarks/bench_loading.py"]
    environment = {
        **os.environ,
        "TMPDIR": str(tmp_path),
        "PYTHONPATH": f"{ROOT}:{ROOT}/tests/support:{ROOT}/deploy",
    }
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not [*tmp_path.iterdir()] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert [*tmp_path.iterdir()], "the benchmark makes a folder"
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    assert [*tmp_path.iterdir()] == []
