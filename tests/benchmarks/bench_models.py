"""Models: how often luck is promoted, and what storing, predicting and starting a training cost."""

from __future__ import annotations

import io
import itertools
import json
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "deploy")]

SEEDS, PAIRS = 16, 60
ROUNDS = 4
ROWS = (10_000, 1_000_000)
TRAININGS = 4
POLICIES: dict[str, dict[str, Any]] = {
    ">": {},
    "mcnemar": {"test": "mcnemar"},
    "paired_bootstrap": {"test": "paired_bootstrap"},
}


def false_promotions() -> None:
    """Print how often a retrain that differs by its seed alone is promoted, by policy and data."""
    import yaml
    from sklearn.datasets import load_breast_cancer, load_digits
    from sklearn.ensemble import RandomForestClassifier

    from callables._gate import Policy

    text = (ROOT / "dag_configs" / "promote_model.yaml").read_text(encoding="utf-8")
    given = yaml.safe_load(text)["promote_model"]["tasks"]["compare"]["op_kwargs"]
    names = ("min_delta", "on_tie", "test", "confidence")
    policies = {**POLICIES, "promote_model.yaml": {name: given[name] for name in names}}
    print(f"\nA retrain that differs by its seed alone, promoted in so many of {PAIRS} tries\n")
    print(f"  {'data':<24}" + "".join(f"{name:>20}" for name in policies))
    for name, load in (("digits", load_digits), ("breast cancer", load_breast_cancer)):
        data = load(as_frame=True)
        held_out = data.target.index % 5 == 0
        forests = [
            RandomForestClassifier(30, random_state=seed).fit(data.data[~held_out], data.target[~held_out])
            for seed in range(SEEDS)
        ]
        rows = data.data[held_out], data.target[held_out]
        shares = [
            _promoted(Policy("accuracy", "maximize", **settings), forests, rows)
            for settings in policies.values()
        ]
        print(f"  {f'{name}, {held_out.sum()} rows':<24}" + "".join(f"{share:>19.0%} " for share in shares))


def _promoted(policy: Any, forests: list[Any], rows: tuple[Any, Any]) -> float:
    """Return the share of pairs in which the one is promoted over the other."""
    from callables._gate import judge
    from callables._paired_tests import paired_test

    scores = [{"accuracy": float(forest.score(*rows))} for forest in forests]
    pairs = random.Random(0).sample(list(itertools.permutations(range(len(forests)), 2)), PAIRS)
    verdicts = [
        judge(
            policy,
            scores[new],
            scores[old],
            lambda new=new, old=old: paired_test(policy, forests[new], forests[old], *rows),
        )
        for new, old in pairs
    ]
    return sum(verdict.promote for verdict in verdicts) / PAIRS


def best_of(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the shortest of some rounds for each, in seconds, in turn."""
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            best[name] = min(best.get(name, 1e9), time.perf_counter() - begin)
    return best


def store(folder: Path) -> None:
    """Print what the store's save and load cost beside bare joblib, for a small and a large model."""
    import joblib
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.naive_bayes import GaussianNB

    from callables._model_store import ModelStore

    os.environ["BATCH_OUTPUT"] = str(folder / "store")
    features, target = load_digits(return_X_y=True)
    models = {
        "naive Bayes": GaussianNB().fit(features, target),
        "200 trees": RandomForestClassifier(200, random_state=0).fit(features, target),
        "50 MB of numbers": np.random.default_rng(0).normal(size=6_500_000),
    }
    print("\nSave and load, with fsync, SHA-256 and one rename, beside joblib alone (the same compression)\n")
    print(f"  {'':<24}{'size':>12}{'store':>12}{'joblib':>12}{'ratio':>10}")
    for name, model in models.items():
        keeper, numbers = ModelStore("bench"), itertools.count()
        record = {"inputs": "", "metrics": {}}

        def ours(
            keeper: ModelStore = keeper, model: Any = model, numbers: Any = numbers, record: Any = record
        ) -> None:
            number = next(numbers)
            # A run of its own each time, so that nothing is found to be there already.
            version = keeper.save([model, number], {**record, "run_id": f"r{number}"}, datetime.now(UTC))
            keeper.load(version)

        def bare(model: Any = model) -> None:
            path = folder / "bare.joblib"
            joblib.dump(model, path, compress=3)
            joblib.load(path)

        found = best_of({"store": ours, "joblib": bare})
        buffer = io.BytesIO()
        joblib.dump(model, buffer, compress=3)
        cells = (
            f"{buffer.tell() / 1e6:>9.2f} MB{found['store'] * 1000:>9.0f} ms{found['joblib'] * 1000:>9.0f} ms"
        )
        print(f"  {name:<24}{cells}{found['store'] / found['joblib']:>9.2f}×")


def prediction(folder: Path) -> None:
    """Print the rows a second of a whole prediction, file to file, beside bare predict_proba."""
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier

    from callables import prediction as predicting
    from callables import promotion, training

    os.environ["BATCH_OUTPUT"] = str(folder / "predictions")
    draw = np.random.default_rng(0)
    columns = [f"x{number}" for number in range(8)]

    def write(rows: int) -> Path:
        path = folder / f"{rows}.csv"
        frame = pd.DataFrame(draw.normal(size=(rows, 8)).round(4), columns=columns)
        frame["y"] = (frame.sum(axis=1) > 0).astype(int)
        frame.insert(0, "row_id", range(rows))
        frame.to_csv(path, index=False)
        return path

    given = {"dataset": str(write(5_000)), "row_id": "row_id", "model": "bench"}
    version = training.train_challenger(
        **given,
        target="y",
        estimator="sklearn.ensemble.RandomForestClassifier",
        parameters={"n_estimators": 100},
        metric="accuracy",
        run_id="bench",
        run_after="2026-01-01T00:00:00+00:00",
    )["version"]
    comparison = promotion.compare(model="bench", metric="accuracy")
    promotion.promote(comparison=json.dumps(comparison), run_id="bench")
    from callables._model_store import ModelStore

    model = ModelStore("bench").load(version)
    assert isinstance(model.steps[-1][1], RandomForestClassifier)
    print("\nPredicting all rows of a CSV (8 columns, 100 trees), file to file, beside bare predict_proba\n")
    print(f"  {'rows':>12}{'predict_rows':>18}{'predict_proba':>18}{'ratio':>10}")
    for rows in ROWS:
        path = write(rows)
        frame = pd.read_csv(path)[columns]
        numbers = itertools.count()

        def bare(frame: Any = frame, rows: int = rows) -> None:
            for start in range(0, rows, 10_000):
                model.predict_proba(frame.iloc[start : start + 10_000])

        def whole(path: Path = path, rows: int = rows, numbers: Any = numbers) -> None:
            predicting.predict_rows(
                model="bench",
                dataset=str(path),
                row_id="row_id",
                run_id=f"bench {rows} {next(numbers)}",
                run_after="2026-01-01T00:00:00+09:00",
                selection='{"rows": "all"}',
            )

        found = best_of({"bare": bare, "ours": whole})
        ours, bare_s = found["ours"], found["bare"]
        print(f"  {rows:>12,}{rows / ours:>14,.0f} /s{rows / bare_s:>14,.0f} /s{bare_s / ours:>9.2f}×")


def start_of_a_training(folder: Path) -> None:
    """Print how long tasks take under a real LocalExecutor, by what `make up` adds to Airflow as it is.

    It adds bytecode (uv installs none, and an image that is read-only never gets any), imports before the
    fork, and one BLAS thread.
    """
    from local import Api, Instance, free_ports, read_env_file

    print("\nTasks from the worker's start to their end (LocalExecutor), the best of some\n")
    local = read_env_file(ROOT / "deploy" / "local.env")
    without = {key: value for key, value in local.items() if not key.endswith("_NUM_THREADS")}
    without["BATCH_WARM_WORKERS"] = "0"
    never_compiled = {"PYTHONPYCACHEPREFIX": str(folder / "none"), "PYTHONDONTWRITEBYTECODE": "1"}
    set_ups = {"no bytecode": {**without, **never_compiled}, "bytecode": without, "make up": local}
    times: dict[str, dict[str, float]] = {}
    for name, settings in set_ups.items():
        own = {
            "BATCH_OUTPUT": str(folder / name / "output"),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        }
        instance = Instance(folder / name / "home", {**settings, **free_ports(), **own}, say=lambda _: None)
        try:
            instance.start()
            found = _durations(Api(instance))
        finally:
            instance.stop()
        times[name] = {**found, "all five": sum(found.values())}
    print(f"  {'':<20}" + "".join(f"{name:>21}" for name in times))
    for task, least in times["make up"].items():
        cells = [f"{found[task]:>9.2f} s ({found[task] / least:>4.1f} ×)" for found in times.values()]
        print(f"  {task:<20}" + "".join(f"{cell:>21}" for cell in cells))


def _durations(api: Any) -> dict[str, float]:
    """Run train_model and predict some times; return each task's shortest time, in seconds."""
    best: dict[str, float] = {}
    api.patch("/dags/promote_model", {"is_paused": False})
    for _ in range(TRAININGS):
        for dag_id in ("train_model", "predict"):
            path = f"/dags/{dag_id}/dagRuns/{api.trigger(dag_id)}"
            while api.get(path)["state"] not in ("success", "failed"):
                time.sleep(0.5)
            for task in api.get(f"{path}/taskInstances")["task_instances"]:
                if task["state"] == "success":
                    best[task["task_id"]] = min(best.get(task["task_id"], 1e9), task["duration"])
        time.sleep(5)  # promote_model, which the asset starts
    return best


def main() -> None:
    """Print all tables."""
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["AIRFLOW_HOME"] = temporary
        start_of_a_training(Path(temporary))  # first: it inherits this environment
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(name, "1")
        false_promotions()
        store(Path(temporary))
        prediction(Path(temporary))


if __name__ == "__main__":
    main()
