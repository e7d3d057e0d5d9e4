"""Kill -9 at any moment of save, promote, prune and predict, during reads: nothing is ever visible in part."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import random
import threading
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from kills import Forks
from thorough import tries

from batch_serving.prediction.run_files import COLUMNS
from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import ModelStoreError
from callables import training

pytestmark = pytest.mark.slow

KILLS = tries(80, 200)
SEED = 20260101
SETUP = """
import json
from datetime import UTC, datetime
import filelock, joblib, pandas, sklearn.naive_bayes, upath
from callables import prediction
from batch_serving.registry.store import ModelStore
store = ModelStore("digits")
first = store.versions()[0]
model, record = store.load(first), store.metadata(first)

def save(name):
    store.save(model, {**record, "run_id": name}, datetime.now(UTC))

def promote(name):
    now = store.champion().version
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

def run(line):
    what, name = line.split()
    globals()[what](name)
"""


class Reader(threading.Thread):
    """Reads everything, again and again, and counts what is wrong."""

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


def test_a_kill_at_any_moment_leaves_nothing_in_part(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
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
    with Forks(SETUP) as forks:
        tasks = ("save", "promote", "prune", "predict")
        lengths = {what: forks.run(f"{what} first-{what}") for what in ("save", *tasks)}
        reader.start()
        count = 0
        while sum(killed.values()) < KILLS:
            count += 1
            what = draw.choice(sorted(lengths))
            killed[what] += forks.kill(f"{what} run-{count}", draw.uniform(0, lengths[what]))
        for what in tasks:
            forks.run(f"{what} last-{what}")
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
    assert promoted[-1]["version"] == pointer.version
    for path in (store.root / "versions").glob(".staging-*"):
        os.utime(path, (0, 0))
    store.prune(3, run_id=f"end {datetime.now(UTC)}")
    left = {path.name for path in (store.root / "versions").iterdir()} - {*store.versions()}
    assert left == set()
