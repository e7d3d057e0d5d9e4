"""The HTTP API: requests per second and the slowest of a hundred, beside what others do, and swaps under load."""

from __future__ import annotations

import csv
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "deploy"), str(ROOT / "tests" / "support")]

SECONDS, WARM_UP_S, ROUNDS = 4.0, 1.0, 2
CONNECTIONS = 4
SIZES = (1, 100)
SWAPS, POLL_S = 50, 1.0

# What one writes in five minutes: no checks, no swap, one model that is read at the start.
PLAIN = """
import socket, sys
import joblib, pandas as pd, uvicorn
from fastapi import FastAPI

model = joblib.load(sys.argv[1])
names = list(model.feature_names_in_)
app = FastAPI()

@app.post("/predict")
def predict(body: dict):
    shares = model.predict_proba(pd.DataFrame(body["rows"])[names])
    best = shares.argmax(axis=1)
    return [
        {"prediction": value, "probability": share, "probabilities": dict(zip(map(str, model.classes_.tolist()), row))}
        for value, share, row in zip(model.classes_[best].tolist(), shares.max(axis=1).tolist(), shares.tolist())
    ]

listening = socket.socket()
listening.bind(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listening])
"""


def rows_of_digits(number: int) -> list[dict[str, int]]:
    """Return the first rows of the digits, as a client has them."""
    with (ROOT / "data" / "digits.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row, _ in zip(csv.DictReader(file), range(number), strict=False)]
    return [{name: int(value) for name, value in row.items() if name.startswith("pixel")} for row in rows]


def train() -> str:
    """Train a model as train_model.yaml does, without the search, and promote it."""
    from predicting import train_champion

    return train_champion(
        estimator="sklearn.linear_model.LogisticRegression",
        parameters={"max_iter": 300},
        scaler="sklearn.preprocessing.MinMaxScaler",
    )


@contextmanager
def plain_server(model: Path) -> Iterator[str]:
    """Run the plain script; yield its address."""
    command = [sys.executable, "-c", PLAIN, str(model)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as process:
        try:
            assert process.stdout is not None
            yield f"127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.terminate()


def under_load(address: str, path: str, body: bytes, seconds: float) -> list[float]:
    """Send a body over some connections for some time; return how long each answer took, in seconds."""
    taken: list[float] = []
    end = time.perf_counter() + seconds

    def send() -> None:
        connection = http.client.HTTPConnection(address, timeout=60)
        while time.perf_counter() < end:
            begun = time.perf_counter()
            connection.request("POST", path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise SystemExit(f"{answer.status}: {content[:300]!r}")
            taken.append(time.perf_counter() - begun)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return taken


def bare(model: Any, rows: list[dict[str, int]], seconds: float) -> list[float]:
    """Call predict_proba alone, one call after the other, on a table that is ready."""
    import pandas as pd

    frame, taken = pd.DataFrame(rows), []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        begun = time.perf_counter()
        model.predict_proba(frame)
        taken.append(time.perf_counter() - begun)
    return taken


def show(name: str, size: int, rounds: list[list[float]], seconds: float) -> None:
    """Print the best of some rounds."""
    best = max(rounds, key=len)
    ordered = sorted(best)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(len(ordered) * 0.99)]
    rate = len(best) / seconds
    print(f"  {name:<34}{size:>5}{rate:>12,.0f}{rate * size:>12,.0f}{p50 * 1000:>10.1f}{p99 * 1000:>10.1f}")


def compare(folder: Path, version: str) -> None:
    """Print the figures of this API, a plain script, and predict_proba alone."""
    from serving import serving

    from batch_serving.registry.store import ModelStore

    store = ModelStore("digits")
    model, path = store.load(version), Path(str(store.folder(version))) / "model.joblib"
    print(f"\nRequests over {CONNECTIONS} connections; the best of {ROUNDS} rounds of {SECONDS:.0f} s\n")
    print(f"  {'':<34}{'rows':>5}{'requests/s':>12}{'rows/s':>12}{'p50 ms':>10}{'p99 ms':>10}")
    with serving(folder) as api, plain_server(path) as plain:
        for size in SIZES:
            rows = rows_of_digits(size)
            body = json.dumps({"rows": rows}).encode()
            for name, address, place in (
                ("this API: checks, swaps", api.url.removeprefix("http://"), "/models/digits/predict"),
                ("FastAPI + joblib, no checks", plain, "/predict"),
            ):
                under_load(address, place, body, WARM_UP_S)
                found = [under_load(address, place, body, SECONDS) for _ in range(ROUNDS)]
                show(name, size, found, SECONDS)
            bare(model, rows, WARM_UP_S)
            show("predict_proba alone, one thread", size, [bare(model, rows, SECONDS)], SECONDS)


def swap(folder: Path, version: str) -> None:
    """Print what becomes of requests while the champion changes many times."""
    from serving import Load, serving

    from batch_serving.registry.store import ModelStore

    store = ModelStore("digits")
    model, metadata = store.load(version), store.metadata(version)
    versions = [
        store.save(
            model, {**metadata, "run_id": f"copy {place}"}, datetime.now(UTC) + timedelta(hours=place + 1)
        )
        for place in range(SWAPS)
    ]
    moves, before = [(time.monotonic(), version)], version
    body = {"rows": rows_of_digits(1)}
    with (
        serving(folder, BATCH_SERVE_POLL_SECONDS=str(POLL_S)) as api,
        Load(api, body).running(CONNECTIONS) as load,
    ):
        load.until(version)
        for place, each in enumerate(versions):
            store.promote(each, expect=before, run_id=f"swap {place}", reason="")
            moves.append((time.monotonic(), each))
            before = each
            time.sleep(POLL_S)
        load.until(versions[-1])
    late = load.stale(moves, POLL_S)
    slowest = max(load.stale(moves, -1), default=(0.0, ""))
    print(f"\n{SWAPS} swaps under load, looked for every {POLL_S:g} s")
    print(
        f"  {len(load.answers):,} answers by {len(load.versions)} versions, {sum(load.failures.values())} failed"
    )
    print(
        f"  {len(late)} from a version older than the pointer for more than {POLL_S:g} s; at most {slowest[0]:.2f} s"
    )
    if load.failures or late:
        print(load.failures, late[:5])
        raise SystemExit(1)


def main() -> None:
    """Train a model in a folder of its own, and measure."""
    from batch_serving.shared.command_line import end_in_order

    end_in_order()
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
    with tempfile.TemporaryDirectory() as name:
        os.environ["BATCH_OUTPUT"] = f"{name}/output"
        version = train()
        compare(Path(name), version)
        swap(Path(name), version)


if __name__ == "__main__":
    main()
