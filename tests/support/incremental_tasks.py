"""The two tasks of incremental rows, each as a process that can be killed, and the table that they read.

What a task returns is written to a file in its last step, as Airflow stores an XCom: a kill leaves none.
"""

from __future__ import annotations

import json
import traceback
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from predicting import train_champion

from batch_serving.prediction.run_files import rows_in
from batch_serving.shared.airflow import database_engine

LAG_S = 600.0
MODEL = "events"
CONNECTION = "events"
SOURCE = {"sql": "SELECT id, at, version FROM events", "connection": CONNECTION, "row_id": "id"}
CHUNK_ROWS = 50
# The model's answer is the version of the row that it was given, so that a file says which one it has.
SETUP = """
import logging
import airflow.sdk, airflow.providers.common.sql.hooks.sql, filelock, joblib, pandas, upath
import psycopg, psycopg.types.datetime, sklearn.linear_model, sklearn.pipeline, sqlalchemy
from batch_serving.prediction import daily_drift, incremental, predictions, predictor, row_source, watermark
from incremental_tasks import run
from batch_serving.shared.airflow import find_connection
find_connection("events")
"""


def run(line: str) -> None:
    """Run one task: ``draw_rows``, or ``predict_rows`` with what the first has returned."""
    from airflow.sdk.exceptions import AirflowSkipException

    from callables import prediction

    task = json.loads(line)
    who = {"run_id": task["run_id"], "run_after": task["run_after"], "timezone": "UTC"}
    try:
        if task["name"] == "draw_rows":
            chosen = {"rows": "incremental", "cursor_column": "at", "model": MODEL, "lag": LAG_S}
            result = prediction.draw_rows(**SOURCE, **who, **chosen, future_tolerance_s=0)
        else:
            selection = Path(task["selection"]).read_text(encoding="utf-8")
            result = prediction.predict_rows(
                **SOURCE, **who, model=MODEL, selection=selection, chunk_rows=CHUNK_ROWS
            )
    except AirflowSkipException:
        result = {}
    except Exception:
        Path(task["result"]).with_suffix(".error").write_text(traceback.format_exc(), encoding="utf-8")
        raise
    target = Path(task["result"])
    temporary = target.with_suffix(".part")
    temporary.write_text(json.dumps(result), encoding="utf-8")
    temporary.replace(target)


def train(folder: Path) -> None:
    """Make the champion: a straight line through the versions of rows."""
    path = folder / "train.csv"
    lines = [f"{number},{number * 100},{number * 100}" for number in range(60)]
    path.write_text("\n".join(["id,version,y", *lines]) + "\n", encoding="utf-8")
    train_champion(
        model=MODEL,
        dataset=str(path),
        row_id="id",
        target="y",
        estimator="sklearn.linear_model.LinearRegression",
        metric="r2",
    )


@dataclass
class Events:
    """The table of rows, and which of them must be predicted.

    A row is a version of an id: a corrected row is another version, with another mark. It is owed if it came
    at most the lag behind the greatest mark of that moment.
    """

    now: datetime
    marks: dict[int, datetime | None] = field(default_factory=dict)  # by version
    ids: dict[int, str] = field(default_factory=dict)
    owed: set[int] = field(default_factory=set)

    def create(self) -> None:
        """Make the empty table."""
        engine = database_engine(CONNECTION)
        kind = "TEXT" if engine.dialect.name == "sqlite" else "TIMESTAMPTZ"
        with engine.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS events")
            connection.exec_driver_sql(f"CREATE TABLE events (id TEXT PRIMARY KEY, at {kind}, version INT)")
        self._engine = engine

    def put(self, rows: list[tuple[str, datetime | None]]) -> None:
        """Add rows, or correct those whose id is there, in one transaction."""
        known = [mark for mark in self.marks.values() if mark is not None and mark <= self.now]
        greatest = max(known, default=self.now)
        statement = sa.text(
            "INSERT INTO events VALUES (:id, :at, :version) "
            "ON CONFLICT (id) DO UPDATE SET at = excluded.at, version = excluded.version"
        )
        values = []
        for row, mark in rows:
            version = len(self.marks) + 1
            for other in [other for other, owner in self.ids.items() if owner == row]:
                self.owed.discard(other)
            self.marks[version], self.ids[version] = mark, row
            if mark is not None and mark >= greatest - timedelta(seconds=LAG_S):
                self.owed.add(version)
            at = mark.isoformat(sep=" ") if mark and self._engine.dialect.name == "sqlite" else mark
            values.append({"id": row, "at": at, "version": version})
        with self._engine.begin() as connection:
            connection.execute(statement, values)

    def close(self) -> None:
        """Close the connections."""
        self._engine.dispose()


@dataclass
class Predicted:
    """What is in the files of predictions: how often each id, and how often each version of a row."""

    ids: Counter[str] = field(default_factory=Counter)
    versions: Counter[int] = field(default_factory=Counter)

    @classmethod
    def read(cls, output: Path) -> Predicted:
        """Read all files; an id that is twice in one of them is an AssertionError."""
        found = cls()
        for path in sorted((output / "predictions" / MODEL).glob("date=*/*.csv")):
            rows = [*rows_in(path)]
            ids = [row[3] for row in rows]
            assert len(ids) == len({*ids}), f"{path.name} has an id twice"
            found.ids.update(ids)
            found.versions.update(round(float(row[4])) for row in rows)
        return found

    def lost(self, events: Events) -> set[int]:
        """The versions that are owed and in no file."""
        return events.owed - {*self.versions}

    def twice(self, events: Events) -> set[str]:
        """The ids that are in more files than they have had versions with a mark."""
        versions = Counter(events.ids[version] for version, mark in events.marks.items() if mark is not None)
        return {row for row, number in self.ids.items() if number > versions[row]}


def task(folder: Path, name: str, run_id: str, run_after: datetime) -> dict[str, Any]:
    """The line that starts a task of a run."""
    results = {each: str(folder / f"{run_id}.{each}.json") for each in ("draw_rows", "predict_rows")}
    return {
        "name": name,
        "run_id": run_id,
        "run_after": run_after.isoformat(),
        "selection": results["draw_rows"],
        "result": results[name],
    }
