"""Models: how often luck is promoted, and how long storing, predicting and starting a training take."""

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
sys.path[:0] = [str(ROOT / "deploy"), str(ROOT / "tests" / "support")]

SEEDS, PAIRS = 16, 60
ROUNDS = 4
ROWS = (10_000, 1_000_000)
TRAININGS = 4
CHECKED_ROWS = 100_000
POLICIES: dict[str, dict[str, Any]] = {
    ">": {},
    "mcnemar": {"test": "mcnemar"},
    "paired_bootstrap": {"test": "paired_bootstrap"},
}


def false_promotions() -> None:
    """Print how often a retrain that differs only by its seed is promoted, by policy and data."""
    from sklearn.datasets import load_breast_cancer, load_digits
    from sklearn.ensemble import RandomForestClassifier

    from batch_serving.promotion.policy import Policy

    print(f"\nA retrain that differs only by its seed: how often it is promoted, in {PAIRS} tries\n")
    print(f"  {'data':<24}" + "".join(f"{name:>20}" for name in POLICIES))
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
            for settings in POLICIES.values()
        ]
        print(f"  {f'{name}, {held_out.sum()} rows':<24}" + "".join(f"{share:>19.0%} " for share in shares))


def _promoted(policy: Any, forests: list[Any], rows: tuple[Any, Any]) -> float:
    """Return the share of pairs in which one is promoted over the other."""
    from batch_serving.promotion.gate import judge
    from batch_serving.promotion.paired_tests import paired_test

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
    """Return the shortest of some rounds for each, in seconds; the rounds alternate."""
    best: dict[str, float] = {}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            best[name] = min(best.get(name, 1e9), time.perf_counter() - begin)
    return best


def store(folder: Path) -> None:
    """Print how long the store takes to save and load, beside joblib, for small and large models."""
    import joblib
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.naive_bayes import GaussianNB

    from batch_serving.registry.store import ModelStore

    os.environ["BATCH_OUTPUT"] = str(folder / "store")
    features, target = load_digits(return_X_y=True)
    models = {
        "naive Bayes": GaussianNB().fit(features, target),
        "200 trees": RandomForestClassifier(200, random_state=0).fit(features, target),
        "50 MB of numbers": np.random.default_rng(0).normal(size=6_500_000),
    }
    print("\nSave and load, with fsync, SHA-256 and one rename, beside joblib (the same compression)\n")
    print(f"  {'':<24}{'size':>12}{'store':>12}{'joblib':>12}{'ratio':>10}")
    for name, model in models.items():
        keeper, numbers = ModelStore("bench"), itertools.count()
        record = {"inputs": "", "metrics": {}}

        def ours(
            keeper: ModelStore = keeper, model: Any = model, numbers: Any = numbers, record: Any = record
        ) -> None:
            number = next(numbers)
            # Another run each time, so that no version is found to exist already.
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
    """Print the rows per second of a whole prediction, file to file, beside predict_proba."""
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
    from batch_serving.registry.store import ModelStore

    model = ModelStore("bench").load(version)
    assert isinstance(model.steps[-1][1], RandomForestClassifier)
    print("\nPredicting all rows of a CSV (8 columns, 100 trees), file to file, beside predict_proba\n")
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


def shortcuts(folder: Path) -> None:
    """Print what each shortcut in the code saves, beside the plain way to the same result."""
    import numpy as np
    import pandas as pd
    from sklearn.ensemble import RandomForestClassifier

    from batch_serving.ml import drift, estimators

    draw = np.random.default_rng(0)
    rows = pd.DataFrame(draw.normal(size=(10_000, 8)), columns=list("abcdefgh"))
    forest = RandomForestClassifier(100, random_state=0).fit(rows[:5000], rows[:5000].sum(axis=1) > 0)
    column = pd.Series(draw.normal(size=1_000_000))
    bins = drift.describe(column)
    edges, values = np.array(bins["edges"]), column.to_numpy()
    cases: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "one call for both predictions, 10,000 rows": (
            lambda: estimators.predict(forest, rows),
            lambda: (forest.predict(rows), forest.predict_proba(rows)),
        ),
        "drift counts edge by edge, a million rows": (
            lambda: drift.count(bins, column),
            lambda: np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1),
        ),
        "lines of a run's file, a million rows": _lines_of_a_run(folder),
        "commas by the block, a million lines": _commas(folder),
        "a paired bootstrap on stored answers": _bootstraps(),
    }
    print("\nShortcuts, beside the plain way\n")
    print(f"  {'':<44}{'here':>12}{'plain':>12}{'ratio':>10}")
    for name, (here, plain) in cases.items():
        found = best_of({"here": here, "plain": plain})
        cells = f"{found['here'] * 1000:>9.0f} ms{found['plain'] * 1000:>9.0f} ms"
        print(f"  {name:<44}{cells}{found['plain'] / found['here']:>9.1f}×")


def _lines_of_a_run(folder: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    from upath import UPath

    from batch_serving.prediction.run_files import Predictions, RunFile, RunInfo

    info = RunInfo("run", "2026-01-01T00:00:00+09:00", "version", "2026-01-01T00:00:00+00:00")
    numbers = range(1_000_000)
    predictions = Predictions(
        [str(n) for n in numbers], [n % 10 for n in numbers], [n / 1e6 for n in numbers]
    )

    def write(add: Callable[[RunFile], object]) -> None:
        file = RunFile(UPath(folder / "run.csv"))
        add(file)
        file.discard()

    def by_rows(file: RunFile) -> None:
        head, tail = (info.run_id, info.run_after, info.model_version), (info.scored_at,)
        columns = zip(predictions.row_ids, predictions.values, predictions.probabilities or (), strict=True)
        file.add_rows([*head, *row, *tail] for row in columns)

    return lambda: write(lambda file: file.add(info, predictions)), lambda: write(by_rows)


def _commas(folder: Path) -> tuple[Callable[[], object], Callable[[], object]]:
    from upath import UPath

    from batch_serving.prediction.csv_shape import check_shape

    path = folder / "commas.csv"
    path.write_text("a,b,c,d\n" + "1.25,2.5,3,4\n" * 1_000_000, encoding="utf-8")

    def line_by_line() -> bool:
        with path.open("rb") as file:
            return all(line.count(b",") == 3 for line in file)

    return lambda: check_shape("commas.csv", UPath(path)), line_by_line


def _bootstraps() -> tuple[Callable[[], object], Callable[[], object]]:
    import numpy as np
    from sklearn.datasets import load_digits
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    from batch_serving.promotion.paired_tests import SAMPLES, paired_test
    from batch_serving.promotion.policy import Policy

    data = load_digits(as_frame=True)
    features, target = data.data[1400:], data.target[1400:]
    models = [
        model.fit(data.data[:1400], data.target[:1400])
        for model in (LogisticRegression(max_iter=200), RandomForestClassifier(50, random_state=0))
    ]
    policy = Policy("accuracy", "maximize", test="paired_bootstrap")

    def predict_each_draw() -> None:
        draws = np.random.default_rng(0)
        for _ in range(SAMPLES):
            rows = draws.integers(0, len(target), len(target))
            for model in models:
                model.score(features.iloc[rows], target.iloc[rows])

    return lambda: paired_test(policy, models[0], models[1], features, target), predict_each_draw


def start_of_a_training(folder: Path) -> None:
    """Print how long tasks take under a real LocalExecutor, with and without what `make up` adds to Airflow.

    It adds bytecode (uv installs none, and a read-only image never gets any), imports before the fork, and
    one BLAS thread.
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
        instance = Instance(
            folder / name / "home", {**settings, **free_ports(), **own}, say=lambda _: None, temporary=True
        )
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


def checks_of_data(folder: Path) -> None:
    """Print how long check_dataset takes for a table with texts, ids and dates, and how long reading it takes."""
    import numpy as np
    import pandas as pd

    from batch_serving.ml.datasets import read_rows
    from callables.training import check_dataset

    draw = np.random.default_rng(0)
    numbers = {f"x{place}": draw.normal(size=CHECKED_ROWS).round(3) for place in range(12)}
    frame = pd.DataFrame({"id": range(CHECKED_ROWS), **numbers})
    for place in range(4):
        frame[f"i{place}"] = draw.integers(0, 500, CHECKED_ROWS)
    frame["kind"] = draw.choice([f"kind {place}" for place in range(300)], CHECKED_ROWS)
    frame["code"] = [f"C{place * 7919 % 999983:06d}" for place in range(CHECKED_ROWS)]
    frame["note"] = frame["code"] + " came too late"
    frame["seen"] = pd.date_range("2020", periods=CHECKED_ROWS, freq="min").astype(str)
    frame["y"] = draw.choice([*"abc"], CHECKED_ROWS)
    location = str(folder / "rows.csv")
    frame.to_csv(location, index=False)
    print(f"\nA file of {CHECKED_ROWS:,} rows and {len(frame.columns)} columns, the best of {ROUNDS}\n")
    calls: dict[str, Callable[[], object]] = {
        "read": lambda: read_rows(location, "id", "y"),
        "check_dataset": lambda: check_dataset(dataset=location, target="y", row_id="id"),
    }
    for name, seconds in best_of(calls).items():
        print(f"  {name:<14}{seconds:>6.2f} s")


def main() -> None:
    """Print all tables."""
    from batch_serving.shared.command_line import end_in_order

    end_in_order()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as temporary:
        os.environ["AIRFLOW_HOME"] = temporary
        start_of_a_training(Path(temporary))  # first: it inherits this environment
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(name, "1")
        false_promotions()
        store(Path(temporary))
        prediction(Path(temporary))
        shortcuts(Path(temporary))
        checks_of_data(Path(temporary))


if __name__ == "__main__":
    main()
