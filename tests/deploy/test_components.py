"""The components of an Airflow run all the time: one that ends is started again, and all end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import components
import psutil
import pytest
from running_airflow import ROOT, wait_until

STAYS = "import time; print('is up', flush=True); time.sleep(300)"
ENDS = "print('was up'); raise SystemExit(3)"
SCRIPT = """
import sys
import components
components.COMPONENTS.clear()
components.COMPONENTS.update(stays=(sys.executable, "-c", sys.argv[1]), ends=(sys.executable, "-c", sys.argv[2]))
components.WAITS_S = (0.1, 0.2)
raise SystemExit(components.main([]))
"""


@pytest.fixture
def started(tmp_path: Path):
    """Two components, one of which ends each time; what they have printed so far is in the file."""
    output = tmp_path / "output"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, STAYS, ENDS], cwd=ROOT / "deploy", stdout=file, stderr=file
        )
    yield process, output
    for child in psutil.Process(process.pid).children() if process.poll() is None else []:
        child.kill()
    process.kill()
    process.wait()


def lines(output: Path, part: str) -> list[str]:
    return [line for line in output.read_text(encoding="utf-8").splitlines() if part in line]


def test_one_that_ends_is_started_again_after_longer_and_longer_waits(started) -> None:
    _, output = started
    wait_until(lambda: len(lines(output, "ends          | was up")) >= 4, "four starts", 30)
    ended = lines(output, "components    | ends has ended (exit code 3); it is started again in ")
    assert [line.rpartition(" in ")[2] for line in ended[:3]] == ["0.1 s", "0.2 s", "0.2 s"]
    assert len(lines(output, "stays         | is up")) == 1


def test_one_that_is_killed_is_started_again(started) -> None:
    process, output = started
    wait_until(lambda: lines(output, "stays         | is up"), "the start", 30)
    children = psutil.Process(process.pid).children()
    alive = [child for child in children if child.status() != psutil.STATUS_ZOMBIE]
    (child,) = [one for one in alive if STAYS in one.cmdline()]
    child.kill()
    wait_until(lambda: len(lines(output, "stays         | is up")) == 2, "the second start", 30)
    assert lines(output, "stays has ended (signal SIGKILL)")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_all_end_with_it(started, number: int) -> None:
    process, output = started
    wait_until(lambda: lines(output, "stays         | is up"), "the start", 30)
    children = psutil.Process(process.pid).children()
    start = time.monotonic()
    os.kill(process.pid, number)
    assert process.wait(20) == 0
    assert time.monotonic() - start < 15
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


class Clock:
    """A machine's two clocks, which the test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = self.steady = 1000.0
        monkeypatch.setattr(components.time, "time", lambda: self.wall)
        monkeypatch.setattr(components.time, "monotonic", lambda: self.steady)


@pytest.mark.parametrize(("jump", "seen"), [(-3600, 3600), (-31, 31), (-29, 0), (0, 0), (3600, 0)], ids=str)
def test_a_jump_of_the_clock_backwards_is_noticed_once(
    monkeypatch: pytest.MonkeyPatch, jump: int, seen: int
) -> None:
    clock = Clock(monkeypatch)
    wall_clock = components.WallClock()
    clock.steady += 10
    clock.wall += 10 + jump
    assert wall_clock.went_back() == seen
    assert wall_clock.went_back() == 0
