"""Memory: the peak of a training and of a prediction, by rows, beside pandas and scikit-learn used plainly."""

from __future__ import annotations

import contextlib
import csv
import json
import logging
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "deploy"), str(ROOT / "tests" / "support")]

ROWS = (10_000, 100_000, 1_000_000)
NUMBERS = [f"x{number}" for number in range(6)]
COLUMNS = ["row_id", *NUMBERS, "region", "customer", "y"]
ROWS_PER_CUSTOMER = 10  # so that a text column has ever more texts: 100,000 at a million rows
ESTIMATOR = "sklearn.linear_model.SGDClassifier"
PARAMETERS = {"loss": "log_loss", "max_iter": 5, "tol": None, "random_state": 0}
SPACE = {"alpha": [0.0001, 0.001]}


def rows_of(rows: int) -> Iterator[list[Any]]:
    """Yield made-up rows: six numbers, a text of 20, a text of ever more, and a class of two."""
    draw = random.Random(0)
    for row in range(rows):
        numbers = [round(draw.gauss(0, 1), 3) for _ in NUMBERS]
        customer = f"customer {draw.randrange(rows // ROWS_PER_CUSTOMER):06d}"
        yield [row, *numbers, f"region {draw.randrange(20)}", customer, int(sum(numbers) > 0)]


def write(path: Path, rows: int) -> None:
    """Write a CSV of so many rows."""
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(COLUMNS)
        lines.writerows(rows_of(rows))


def fill(address: str, rows: int) -> None:
    """Put the same rows into a table of PostgreSQL."""
    import psycopg

    types = ["bigint", *["double precision"] * len(NUMBERS), "text", "text", "int"]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(COLUMNS, types, strict=True))
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"DROP TABLE IF EXISTS row_set; CREATE TABLE row_set ({columns})")
        with connection.cursor().copy("COPY row_set FROM STDIN") as copy:
            for row in rows_of(rows):
                copy.write_row(row)


# What a child process does; each prints its peak above what it has after its imports.


def train_here(path: str) -> None:
    """Train with this project's task function."""
    from callables.training import train_challenger

    train_challenger(
        model="bench",
        dataset=path,
        row_id="row_id",
        target="y",
        estimator=ESTIMATOR,
        parameters=PARAMETERS,
        search_space=SPACE,
        metric="accuracy",
        run_id="bench",
        run_after="2026-01-01T00:00:00+00:00",
    )


def train_plainly(path: str) -> None:
    """Do the same with pandas and scikit-learn."""
    import joblib
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import GridSearchCV, train_test_split
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    frame = pd.read_csv(path)
    features, target = frame[[*NUMBERS, "region", "customer"]], frame["y"]
    train, test, y_train, y_test = train_test_split(features, target, test_size=0.2, random_state=0)
    texts = OneHotEncoder(handle_unknown="ignore")
    columns = ColumnTransformer(
        [("numbers", "passthrough", NUMBERS), ("texts", texts, ["region", "customer"])]
    )
    space = {f"sgdclassifier__{name}": values for name, values in SPACE.items()}
    search = GridSearchCV(make_pipeline(columns, SGDClassifier(**PARAMETERS)), space, cv=3)
    search.fit(train, y_train)
    print(search.score(test, y_test))
    joblib.dump(search.best_estimator_, f"{path}.joblib", compress=3)


def predict_here(source: str) -> None:
    """Predict all rows with this project's task function."""
    from callables.prediction import predict_rows

    where = (
        {"sql": "SELECT * FROM row_set", "connection": "bench_rows"}
        if source == "sql"
        else {"dataset": source}
    )
    predict_rows(
        model="bench",
        **where,
        row_id="row_id",
        run_id="bench.predict",
        run_after="2026-01-01T00:00:00+00:00",
        selection='{"rows": "all"}',
    )


def predict_plainly(source: str) -> None:
    """Do the same with pandas and scikit-learn."""
    import pandas as pd

    from batch_serving.registry.store import ModelStore

    model = ModelStore("bench").load(os.environ["BENCH_VERSION"])
    if source == "sql":
        import sqlalchemy

        engine = sqlalchemy.create_engine(os.environ["BENCH_DATABASE"])
        frame = pd.read_sql("SELECT * FROM row_set", engine)
    else:
        frame = pd.read_csv(source)
    found = pd.DataFrame({"row_id": frame["row_id"], "prediction": model.predict(frame)})
    found["probability"] = model.predict_proba(frame).max(axis=1)
    found.to_csv(os.environ["BENCH_PLAIN_OUTPUT"], index=False)


def peak_mb() -> float:
    """Return this process's peak of resident memory, in MB (VmHWM; Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("this needs Linux's /proc")


def in_child(function: str, argument: str) -> float:
    """Run one of the functions above in a process of its own; return its peak above its imports, in MB."""
    command = [sys.executable, __file__, function, argument]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{function} failed: {done.stderr[-2000:]}")
    return float(done.stdout.splitlines()[-1])


def child(function: str, argument: str) -> None:
    """Import what is needed, run the function, and print how far memory rose above that."""
    import pandas
    import sklearn.linear_model
    import sklearn.model_selection
    import sklearn.pipeline
    import sqlalchemy  # noqa: F401

    import callables.prediction
    import callables.training  # noqa: F401
    from batch_serving.shared.airflow import database_engine

    logging.disable(logging.WARNING)
    assert pandas
    assert sklearn
    database_engine("bench_rows").dispose()  # with it come Airflow's connections, some 90 MB
    before = peak_mb()
    globals()[function](argument)
    print(peak_mb() - before)


def compare(what: str, rows: int, size: float, here: str, plain: str, argument: str) -> None:
    """Print the peaks of two functions, in MB, and how many times the file ours is."""
    ours, others = in_child(here, argument), in_child(plain, argument)
    cells = f"{rows:>11,}{size:>7.1f} MB{ours:>9.0f} MB{others:>9.0f} MB"
    print(f"  {what:<26}{cells}{ours / others:>7.2f}×{ours / size:>13.1f}×", flush=True)


def promote_newest() -> str:
    """Make the version that was trained the champion; return its name."""
    from callables import promotion

    comparison = promotion.compare(model="bench", metric="accuracy")
    promotion.promote(comparison=json.dumps(comparison), run_id="bench")
    return str(comparison["challenger"])


def main() -> None:
    """Print the table."""
    logging.disable(logging.WARNING)
    from databases import PASSWORD, database

    from batch_serving.shared.command_line import end_in_order

    end_in_order()

    print("\nPeak memory above the imports: here, and with pandas and scikit-learn used plainly\n")
    print(f"  {'':<26}{'rows':>11}{'file':>10}{'here':>12}{'plain':>12}{'ratio':>8}{'here / file':>14}")
    with tempfile.TemporaryDirectory() as temporary, contextlib.ExitStack() as stack:
        folder = Path(temporary)
        os.environ["AIRFLOW_HOME"] = temporary
        server = stack.enter_context(database("postgres", folder / "postgres"))
        user = f"service:{quote(PASSWORD, safe='')}"
        address = f"postgresql://{user}@127.0.0.1:{server.port}/service"
        os.environ |= {
            "AIRFLOW_CONN_BENCH_ROWS": server.connection,
            "BENCH_DATABASE": address.replace(":", "+psycopg:", 1),
            "BENCH_PLAIN_OUTPUT": str(folder / "plain.csv"),
        }
        for rows in ROWS:
            path = folder / f"{rows}.csv"
            write(path, rows)
            fill(address, rows)
            os.environ["BATCH_OUTPUT"] = str(folder / f"output {rows}")
            case = (rows, path.stat().st_size / 1e6)
            compare("training, CSV", *case, "train_here", "train_plainly", str(path))
            os.environ["BENCH_VERSION"] = promote_newest()
            compare("prediction, CSV", *case, "predict_here", "predict_plainly", str(path))
            compare("prediction, PostgreSQL", *case, "predict_here", "predict_plainly", "sql")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        child(*sys.argv[1:])
    else:
        main()
