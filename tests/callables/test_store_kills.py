"""Kill -9 at any moment of save, promote, prune and predict, while somebody reads: nothing is ever half there."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callables import training
from callables._files import PROJECT_ROOT
from callables._model_store import ModelStore, ModelStoreError
from callables._prediction_files import COLUMNS

pytestmark = pytest.mark.slow

KILLS = 200
SEED = 20260101
# A process that has imported everything forks one for each line, and tells its process id and how it ended.
RUNNER = """
import json, logging, os, sys
from datetime import UTC, datetime
import filelock, joblib, pandas, sklearn.naive_bayes, upath
from callables import prediction
from callables._model_store import ModelStore
logging.disable(logging.CRITICAL)
store = ModelStore("digits")
first = store.versions()[0]
model, record = store.load(first), store.metadata(first)

def save(name):
    store.save(model, {**record, "run_id": name}, datetime.now(UTC))

def promote(name):
    now = store.champion()["version"]
    other = next(version for version in reversed(store.versions()) if version != now)
    store.promote(other, expect=now, run_id=name, reason="")

def prune(name):
    store.prune(3, run_id=name)

def predict(name):
    given = {"dataset": "data/digits.csv", "row_id": "row_id", "run_id": name}
    drawn = prediction.draw_rows(**given)
    prediction.predict_rows(
        **given, model="digits", run_after=datetime.now(UTC).isoformat(), selection=json.dumps(drawn)
    )

print("ready", flush=True)
for line in sys.stdin:
    what, name = line.split()
    pid = os.fork()
    if pid == 0:
        globals()[what](name)
        os._exit(0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Reader(threading.Thread):
    """Reads all that there is, again and again, and counts what it finds wrong."""

    def __init__(self, output: Path) -> None:
        super().__init__(daemon=True)
        self.output, self.store = output, ModelStore("digits")
        self.reads: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.done = threading.Event()

    def run(self) -> None:
        while not self.done.is_set():
            self.look()

    def look(self) -> None:
        try:
            found = self.store.load_champion()
            if found is None or found.problem:
                self.wrong.append(f"champion: {found and found.problem}")
        except ModelStoreError as error:
            self.wrong.append(f"champion: {error}")
        self.reads["champion"] += 1
        for version in self.store.versions():
            try:
                self.store.load(version)
            except ModelStoreError as error:
                if version in self.store.versions():  # not pruned in between
                    self.wrong.append(f"version: {error}")
            self.reads["version"] += 1
        for path in (self.output / "predictions").rglob("date=*/*.csv"):
            text = path.read_text(encoding="utf-8")
            rows = list(csv.reader(text.splitlines()))
            if not text.endswith("\n") or len(rows) != 6 or {len(row) for row in rows} != {len(COLUMNS)}:
                self.wrong.append(f"predictions: {path}")
            self.reads["predictions"] += 1
        lines = (self.store.root / "history.jsonl").read_text(encoding="utf-8")
        for line in lines.splitlines():
            with contextlib.suppress(ValueError):
                json.loads(line)
                continue
            self.wrong.append(f"history: {line}")
        self.reads["history"] += 1


def test_a_kill_at_any_moment_leaves_nothing_half(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = {"dataset": "data/digits.csv", "target": "digit", "row_id": "row_id", "metric": "accuracy"}
    store = ModelStore("digits")
    versions = [
        training.train_challenger(
            **given,
            model="digits",
            estimator="sklearn.naive_bayes.GaussianNB",
            run_id=name,
            run_after="2026-01-01T00:00:00+00:00",
        )["version"]
        for name in ("a", "b")
    ]
    store.promote(versions[0], expect=None, run_id="a", reason="")
    store.promote(versions[1], expect=versions[0], run_id="b", reason="")
    draw = random.Random(SEED)
    killed: Counter[str] = Counter()
    reader = Reader(output)
    with subprocess.Popen(
        [sys.executable, "-c", RUNNER],
        cwd=PROJECT_ROOT,
        env={**os.environ},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as runner:
        assert runner.stdin and runner.stdout

        def start(what: str, name: str) -> int:
            runner.stdin.write(f"{what} {name}\n")
            runner.stdin.flush()
            return number()

        def number() -> int:
            """The next line that is a number: a log may be between them."""
            while not (line := runner.stdout.readline().strip()).lstrip("-").isdigit():
                assert line or runner.poll() is None
            return int(line)

        while runner.stdout.readline().strip() != "ready":
            assert runner.poll() is None
        lengths = {}
        for what in ("save", "save", "promote", "prune", "predict"):
            begin = time.monotonic()
            start(what, f"first-{what}-{begin}")
            assert number() == 0
            lengths[what] = time.monotonic() - begin
        reader.start()
        count = 0
        while sum(killed.values()) < KILLS:
            count += 1
            what = draw.choice(sorted(lengths))
            pid = start(what, f"run-{count}")
            time.sleep(draw.uniform(0, lengths[what]))
            with contextlib.suppress(ProcessLookupError):  # it has ended already
                os.kill(pid, signal.SIGKILL)
            killed[what] += number() == -signal.SIGKILL
        # One clean run each, and a prune a day later, leave nothing of all that.
        for what in ("save", "promote", "predict", "prune"):
            start(what, f"last-{what}")
            assert number() == 0
        runner.stdin.close()
    reader.done.set()
    reader.join()
    reader.look()
    with capsys.disabled():
        print(
            f"\n  {sum(killed.values())} kills ({', '.join(f'{n} of {w}' for w, n in sorted(killed.items()))}), "
            f"{sum(reader.reads.values())} reads meanwhile: {len(reader.wrong)} torn or missing"
        )
    assert reader.wrong == []
    promoted = [line for line in store.history() if line["verdict"] == "promoted"]
    pointer = store.champion()
    assert pointer is not None
    assert promoted[-1]["version"] == pointer["version"]
    for path in (store.root / "versions").glob(".staging-*"):
        os.utime(path, (0, 0))
    store.prune(3, run_id=f"end {datetime.now(UTC)}")
    left = {path.name for path in (store.root / "versions").iterdir()} - {*store.versions()}
    assert left == set()
