"""draw_rows and predict_rows with incremental rows, in processes that are killed at any moment.

tests/batch_serving/prediction/test_incremental.py tries the rules in thousands of histories; here the real
tasks run on a real database, several at the same time, while rows come in.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import random
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from databases import database
from incremental_tasks import CONNECTION, LAG_S, SETUP, Events, Predicted, task, train
from kills import Forks
from tables import sqlite_connection
from thorough import tries
from trees import tree

pytestmark = [pytest.mark.slow, pytest.mark.needs("postgres"), pytest.mark.needs("mariadb")]

KILLS = int(os.environ.get("INCREMENTAL_KILLS", str(tries(10, 20))))  # of each test on each database
SEED = int(os.environ.get("INCREMENTAL_SEED", "20260101"))
AT_A_TIME = 3
START = datetime(2026, 1, 1, 12, tzinfo=UTC)
TASKS = ("draw_rows", "predict_rows")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The value of a connection to a database."""
    folder = tmp_path_factory.mktemp("server")
    if request.param == "sqlite":
        yield sqlite_connection(folder)
        return
    with database("postgres", folder / "postgres") as one:
        yield one.connection


@pytest.fixture
def events(server: str, output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Events]:
    """An empty table, and a champion."""
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", server)
    # So that the forks find the tests' own modules.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent.parent / "support"))
    train(tmp_path)
    found = Events(START)
    found.create()
    yield found
    found.close()


@dataclass
class Runs:
    """Runs of the two tasks. Tries are killed at random moments, and followed by another, as in Airflow."""

    folder: Path
    draw: random.Random = field(default_factory=lambda: random.Random(SEED))
    times: dict[str, datetime] = field(default_factory=dict)
    killed: int = 0
    _lengths: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TASKS, 0.1))

    def result(self, run_id: str, name: str) -> Path:
        """The file with what a task has returned."""
        return self.folder / f"{run_id}.{name}.json"

    def execute(self, forks: Forks, run_id: str, *, kills: bool = True) -> None:
        """Run both tasks to their end, or draw_rows alone if it skips."""
        for name in TASKS:
            self._execute_task(forks, run_id, name, kills=kills)
            if self.result(run_id, name).read_text(encoding="utf-8") == "{}":
                return

    def _execute_task(self, forks: Forks, run_id: str, name: str, *, kills: bool) -> None:
        line = json.dumps(task(self.folder, name, run_id, self.times[run_id]))
        while kills and self.draw.random() < 0.7:
            if not forks.kill(line, self.draw.uniform(0, 1.2 * self._lengths[name])):
                break
            self.killed += 1
        else:
            self._lengths[name] = forks.run(line)
        result = self.result(run_id, name)
        error = result.with_suffix(".error")
        assert result.exists(), error.read_text(encoding="utf-8") if error.exists() else f"{name} failed"

    def clear(self, run_id: str) -> None:
        """Forget what the tasks of a run have returned."""
        for name in TASKS:
            self.result(run_id, name).unlink(missing_ok=True)


def without_times(files: dict[str, bytes]) -> dict[str, bytes]:
    """Files of predictions without their last column, when a row was scored, and without what kills leave."""
    return {
        name: re.sub(rb",[^,\n]*\n", b"\n", data) if name.endswith(".csv") else data
        for name, data in files.items()
        if not name.endswith(".tmp")
    }


def test_a_run_killed_at_any_moment_leaves_what_a_clean_one_leaves(
    events: Events, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    events.put([(f"id {n}", START - timedelta(seconds=n % 700)) for n in range(300)])
    others = [("no mark", None), ("later", START + timedelta(days=1)), ('it\'s "this"\nrow', START)]
    events.put(others)
    template = shutil.copytree(output, tmp_path / "template")
    runs = Runs(tmp_path)
    runs.times["a"] = START

    def once(*, kills: bool) -> dict[str, bytes]:
        shutil.rmtree(output)
        shutil.copytree(template, output)
        runs.clear("a")
        runs.execute(forks, "a", kills=kills)
        return without_times(tree(output))

    with Forks(SETUP) as forks:
        once(kills=False)  # imports what is left to import
        expected = once(kills=False)
        assert Predicted.read(output).ids.total() == 301
        while runs.killed < KILLS:
            assert once(kills=True) == expected
    with capsys.disabled():
        print(f"\n  {runs.killed} kills of one run: the files of a clean one")


def rows_come(events: Events, draw: random.Random) -> None:
    """Rows at the same moment, late, in the future, without a mark, and a corrected one."""
    events.now += timedelta(seconds=draw.choice([0, 20, 60]))
    rows: list[tuple[str, datetime | None]] = []
    for place in range(draw.randint(1, 6)):
        kind = draw.random()
        seconds = 0.0
        if kind < 0.3:
            seconds = draw.choice([-LAG_S, draw.uniform(-LAG_S, 0)])
        elif kind < 0.4:
            seconds = draw.uniform(0, 200)
        mark = None if kind > 0.95 else events.now + timedelta(seconds=seconds)
        rows.append((f"id {len(events.marks) + place}", mark))
    if events.ids and draw.random() < 0.5:
        rows.append((draw.choice([*events.ids.values()]), events.now))
    events.put(rows)


class Overlapping:
    """Runs in several processes at the same time, while rows come in."""

    def __init__(self, runs: Runs, events: Events, forks: list[Forks]) -> None:
        self.runs, self._events = runs, events
        self._forks: queue.SimpleQueue[Forks] = queue.SimpleQueue()
        for each in forks:
            self._forks.put(each)
        self._futures: dict[str, Future[None]] = {}

    def go_on(self, pool: ThreadPoolExecutor) -> None:
        """Start a new run, or one that has ended once more, when a process is free."""
        draw, runs = self.runs.draw, self.runs
        rows_come(self._events, draw)
        ended = [run_id for run_id, future in self._futures.items() if future.done()]
        if ended and draw.random() < 0.2:
            run_id = draw.choice(ended)
            runs.clear(run_id)
        else:
            run_id = f"run {len(runs.times):05}"
            # Or one that is filled in: its time is long ago.
            runs.times[run_id] = self._events.now - timedelta(seconds=draw.choice([0, 0, 0, 400]))
        self._futures[run_id] = pool.submit(self._execute, run_id)
        while sum(not future.done() for future in self._futures.values()) >= AT_A_TIME:
            rows_come(self._events, draw)
            time.sleep(0.02)

    def _execute(self, run_id: str) -> None:
        forks = self._forks.get()
        self.runs.execute(forks, run_id)
        self._forks.put(forks)

    def end(self) -> None:
        """Wait for the runs; an error of one is raised."""
        for future in self._futures.values():
            future.result()


def test_overlapping_runs_killed_at_any_moment_predict_each_row_once(
    events: Events, output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = Runs(tmp_path)
    with contextlib.ExitStack() as stack:
        forks = [stack.enter_context(Forks(SETUP)) for _ in range(AT_A_TIME)]
        together = Overlapping(runs, events, forks)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            while runs.killed < KILLS:
                together.go_on(pool)
        together.end()
        events.now += timedelta(seconds=1000)
        for run_id in ("last", "nothing is left"):
            runs.times[run_id] = events.now
            runs.execute(forks[0], run_id, kills=False)
    assert runs.result("nothing is left", "draw_rows").read_text(encoding="utf-8") == "{}"
    found = Predicted.read(output)
    lost, twice = found.lost(events), found.twice(events)
    with capsys.disabled():
        rows = f"{len(found.ids)} rows, {len(lost)} lost, {len(twice)} twice"
        print(f"\n  {runs.killed} kills in {len(runs.times)} runs, {AT_A_TIME} at a time: {rows}")
    assert (lost, twice) == (set(), set())
