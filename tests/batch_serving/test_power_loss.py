"""The power is lost at any moment of save, promote, prune, predict, compact and merge: nothing is torn, and what a task had
finished is there. Each state that the disk may be in is made and read with the project's own reader.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from crash_states import Recording, record, states
from running_airflow import ROOT
from thorough import tries

from batch_serving.prediction.run_files import rows_in
from batch_serving.registry.store import ModelStore
from batch_serving.weather.raw_answers import read

pytestmark = [pytest.mark.slow, pytest.mark.needs("strace")]

MOST_STATES = tries(1500, 20_000)
PREAMBLE = """
import os
def ack(*words):
    os.write(1, ("ACK " + " ".join(map(str, words)) + "\\n").encode())
"""

Check = Callable[[Path, list[str]], list[str]]


def recorded(tmp_path: Path, script: str, before: str = "") -> tuple[Recording, Path]:
    """Run a script on an output folder, after another one that is not recorded."""
    output = tmp_path / "recorded" / "output"
    output.mkdir(parents=True)
    environment = {**os.environ, "BATCH_OUTPUT": str(output), "PYTHONPATH": str(ROOT)}
    if before:
        record_folder = tmp_path / "before"
        record_folder.mkdir()
        record(PREAMBLE + before, output, environment)
    return record(PREAMBLE + script, output, environment), output


def all_states(
    found: Recording, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Counter[str]:
    """Read each state, and count what is wrong."""
    everything = list(states(found))
    step = max(1, len(everything) // MOST_STATES)
    wrong: Counter[str] = Counter()
    chosen = everything[::step]
    folder = tmp_path / "state"
    monkeypatch.setenv("BATCH_OUTPUT", str(folder))
    for marks, disk in chosen:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        disk.write_to(folder)
        wrong.update(set(check(folder, marks)))
    changes = sum(op.kind not in ("sync", "mark") for op in found.ops)
    print(
        f"\n  {changes} changes, {len(everything)} states, {len(chosen)} read, lost or torn: {sum(wrong.values())}"
    )
    return wrong


def of_mark(marks: list[str], what: str) -> list[str]:
    return [mark.partition(" ")[2] for mark in marks if mark.partition(" ")[0] == what]


MODELS = """
from datetime import UTC, datetime
from batch_serving.registry.store import ModelStore
store = ModelStore("digits")
made = []
def save(number):
    moment = datetime(2026, 1, 1, number, tzinfo=UTC)
    metadata = {"run_id": f"run {number}", "inputs": "i", "metrics": {"accuracy": 0.9}}
    made.append(store.save({"number": number}, metadata, moment))
    ack("saved", made[-1])
def promote(version, expect):
    ack("promoting", version)
    store.promote(version, expect=expect, run_id=f"promotes {version}", reason="better")
    ack("promoted", version)
save(1)
promote(made[0], None)
save(2)
promote(made[1], made[0])
save(3)
store.record("kept", made[2], run_id="keeps", reason="not better")
ack("kept", made[2])
save(4)
ack("pruning", made[2])
store.prune(1, run_id="prunes")
ack("pruned", made[2])
"""


def check_models(folder: Path, marks: list[str]) -> list[str]:
    store, wrong = ModelStore("digits"), []
    visible = store.versions()
    for version in visible:
        try:
            store.load(version)
        except Exception as error:
            wrong.append(f"torn version: {error}")
    for version in of_mark(marks, "saved"):
        if version not in visible and version not in of_mark(marks, "pruning"):
            wrong.append(f"lost version {version}")
    promoted, promoting = of_mark(marks, "promoted"), of_mark(marks, "promoting")
    pointer = store.usable_pointer()
    if promoted and (pointer is None or pointer.lost or pointer.version not in {promoted[-1], promoting[-1]}):
        wrong.append(f"lost champion {promoted[-1]}: {pointer}")
    if pointer is not None and pointer.version not in visible:
        wrong.append("the champion is not there")
    lines = store.root / "history.jsonl"
    entries = store.history()
    if lines.exists() and len(entries) != len(lines.read_bytes().splitlines()):
        wrong.append("torn history")
    known = {(entry["verdict"], entry["version"]) for entry in entries}
    for verdict in ("promoted", "kept", "pruned"):
        wrong += [
            f"lost line {verdict}" for version in of_mark(marks, verdict) if (verdict, version) not in known
        ]
    return wrong


def test_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = recorded(tmp_path, MODELS)
    assert dict(all_states(found, check_models, tmp_path, monkeypatch)) == {}


CHAMPION = """
from datetime import UTC, datetime
from callables import training
from batch_serving.registry.store import ModelStore
made = training.train_challenger(
    dataset="data/digits.csv", target="digit", row_id="row_id", model="digits", metric="accuracy",
    estimator="sklearn.naive_bayes.GaussianNB", run_id="first", run_after="2026-01-01T00:00:00+00:00",
)
training.predict_holdout(model="digits", version=made["version"])
ModelStore("digits").promote(made["version"], expect=None, run_id="p", reason="first")
"""
PREDICTIONS = """
import json
from datetime import UTC, datetime, timedelta
from callables import monitoring, prediction
start = datetime(2026, 1, 1, 3, tzinfo=UTC)
def predict(number, moment):
    given = {"dataset": "data/digits.csv", "row_id": "row_id", "run_id": f"run {number}"}
    drawn = prediction.draw_rows(**given)
    prediction.predict_rows(**given, model="digits", run_after=moment.isoformat(), selection=json.dumps(drawn))
    ack("predicted", f"run_{number}", 5)
for number in range(3):
    predict(number, start + timedelta(minutes=5 * number))
predict(9, start + timedelta(days=1))
monitoring.maintain_predictions(
    model="digits", run_after=(start + timedelta(days=1)).isoformat(), timezone="Asia/Seoul"
)
ack("maintained")
"""


def check_predictions(folder: Path, marks: list[str]) -> list[str]:
    wrong, rows = [], Counter[str]()
    for day in (folder / "predictions" / "digits").glob("date=*"):
        by_run: dict[str, int] = {}
        for path in sorted(day.glob("*.csv"), key=lambda path: path.name.startswith("day=")):
            if path.name.startswith("."):
                continue
            try:
                found = Counter(row[0] for row in rows_in(path))
            except Exception as error:
                wrong.append(f"torn file: {error}")
                continue
            by_run |= {run: count for run, count in found.items() if run not in by_run}
        rows.update(by_run)
    for mark in of_mark(marks, "predicted"):
        run, count = mark.replace("run_", "run ", 1).rsplit(" ", 1)
        if rows[run] != int(count):
            wrong.append(f"{rows[run]} of {count} rows of {run}")
    return wrong


def test_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, output = recorded(tmp_path, PREDICTIONS, before=CHAMPION)
    assert [path.name for path in output.glob("predictions/digits/*/day=*.csv")] == ["day=2026-01-01.csv"]
    assert list(output.glob("predictions/digits/drift/*.csv"))
    assert dict(all_states(found, check_predictions, tmp_path, monkeypatch)) == {}


CELLS = 14  # of KMA's grid, for Seoul's districts
WEATHER = """
from datetime import datetime, timedelta
from callables import weather
for hour in (9, 10):
    at = f"2026-01-01T{hour:02}:00:00+09:00"
    run = {"districts": "data/seoul_districts.csv", "run_id": f"run {hour}"}
    collected = weather.collect(**run, run_after=at, now=at, seconds_between_calls=0)
    ack("collected", hour)
    weather.preprocess(**run, run_after=at)
    ack("merged", hour + 1)
"""


def check_weather(folder: Path, marks: list[str]) -> list[str]:
    root, wrong = folder / "weather", []
    hours: dict[str, set[int]] = {}
    files = [path for path in root.glob("*/*.csv") if path.parent.name.endswith("-gu")]
    for path in [*files, *root.glob("latest.csv")]:
        text = path.read_bytes().decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline="")))
        if not text.endswith("\n") or len({len(line) for line in lines}) != 1:
            wrong.append("torn file")
        elif path in files:
            place = lines[0].index("forecast_at")
            hours[path.parent.name] = {int(line[place][11:13]) for line in lines[1:]}
    for hour in of_mark(marks, "merged"):
        if sum(int(hour) in found for found in hours.values()) != 25:
            wrong.append(f"lost rows of {hour}")
    answers = [read(path) for path in root.glob("raw/*/date=*/*/*.json.gz")]
    if None in answers:
        wrong.append("torn answer")
    for hour in of_mark(marks, "collected"):
        cells = {raw.cell for raw in answers if raw is not None and raw.run_id == f"run {hour}"}
        if len(cells) < CELLS:
            wrong.append(f"lost answers of {hour}: {len(cells)}")
    return wrong


def test_weather(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found, _ = recorded(tmp_path, WEATHER)
    assert dict(all_states(found, check_weather, tmp_path, monkeypatch)) == {}
