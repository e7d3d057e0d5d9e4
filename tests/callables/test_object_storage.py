"""All four pipelines on each kind of storage: one setting changes, and nothing else."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from upath import UPath

from batch_serving.registry.store import ModelStore
from batch_serving.shared.paths import project_path
from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.weather import unfinished
from callables import monitoring, prediction, promotion, training, weather

RUN = {"run_id": "scheduled__2026-01-01T00:00:00+00:00", "run_after": "2026-01-01T00:00:00+00:00"}
DATA = {"dataset": "data/digits.csv", "row_id": "row_id"}


def train_and_promote() -> str:
    settings = {"target": "digit", "estimator": "sklearn.naive_bayes.GaussianNB", "metric": "accuracy"}
    version = training.train_challenger(**DATA, **RUN, **settings, model="digits")["version"]
    ModelStore("digits").promote(version, expect=None, run_id="p", reason="")
    return version


def predict(selection: dict, run_id: str, run_after: str = RUN["run_after"], **change: str) -> dict:
    given = {**DATA, "run_id": run_id, "run_after": run_after, "model": "digits", **change}
    return prediction.predict_rows(**given, selection=json.dumps(selection))


def maintain(run_after: str) -> dict:
    return monitoring.maintain_predictions(model="digits", run_after=run_after)


def predicted(place: str) -> list[tuple[str, str]]:
    """Every row in any file of predictions, as (run_id, row_id)."""
    return [
        (row["run_id"], row["row_id"])
        for path in (project_path(place) / "predictions" / "digits").glob("date=*/*.csv")
        for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")))
    ]


# fsspec's memory store cannot compare and write in one step.
in_one_step = pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)


@in_one_step
def test_of_runs_with_the_same_new_rows_at_the_same_time_one_predicts_them(
    place: str, tmp_path: Path
) -> None:
    train_and_promote()
    path = tmp_path / "rows.csv"
    lines = (PROJECT_ROOT / "data" / "digits.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:31]), encoding="utf-8")
    new = {
        "dataset": str(path),
        "row_id": "row_id",
        "rows": "incremental",
        "cursor_column": "row_id",
        "model": "digits",
    }
    drawn = {name: prediction.draw_rows(**new, run_id=name) for name in "abcd"}
    start, skipped = threading.Barrier(len(drawn)), []

    def work(name: str) -> None:
        start.wait()
        try:
            predict(drawn[name], name, dataset=str(path))
        except AirflowSkipException as error:
            skipped.append(str(error))

    together([lambda name=name: work(name) for name in drawn])
    assert len(skipped) == len(drawn) - 1
    assert all("another run has predicted the rows" in text for text in skipped)
    assert sorted(int(row) for _, row in predicted(place)) == list(range(30))
    # A run that was skipped may be cleared, also for ids that are longer than those before.
    path.write_text("".join(lines[:151]), encoding="utf-8")
    loser = next(name for name in drawn if name not in {run for run, _ in predicted(place)})
    predict(prediction.draw_rows(**new, run_id=loser), loser, dataset=str(path))
    assert sorted(int(row) for _, row in predicted(place)) == list(range(150))


@in_one_step
def test_late_runs_that_compact_a_day_at_the_same_time_lose_no_row(place: str) -> None:
    train_and_promote()
    minutes = {"at noon": 0, **{f"late {number}": number for number in range(1, 5)}}

    def run(name: str) -> None:
        drawn = prediction.draw_rows(**DATA, run_id=name)
        run_after = f"2026-01-01T12:0{minutes[name]}:00+00:00"
        predict(drawn, name, run_after)
        maintain(run_after)

    run("at noon")
    predict({"rows": "random", "row_ids": ["1"]}, "another day", "2026-01-02T12:00:00+00:00")
    maintain("2026-01-02T12:00:00+00:00")
    together([lambda name=name: run(name) for name in minutes])
    predict({"rows": "random", "row_ids": ["1"]}, "a last one", "2026-01-03T12:00:00+00:00")
    maintain("2026-01-03T12:00:00+00:00")
    counted = Counter(run for run, _ in predicted(place))
    assert counted == {**dict.fromkeys(minutes, 5), "another day": 1, "a last one": 1}
    compacted = project_path(place) / "predictions" / "digits" / "date=2026-01-01"
    assert [path.name for path in compacted.iterdir()] == ["day=2026-01-01.csv"]


def together(calls: list[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(len(calls)) as pool:
        for done in [pool.submit(call) for call in calls]:
            done.result()


def test_the_four_pipelines(place: str) -> None:
    settings = {"target": "digit", "estimator": "sklearn.naive_bayes.GaussianNB", "metric": "accuracy"}
    version = training.train_challenger(**DATA, **RUN, **settings, model="digits")["version"]
    training.predict_holdout(model="digits", version=version)
    comparison = promotion.compare(model="digits", metric="accuracy")
    promotion.promote(comparison=json.dumps(comparison), run_id="p")
    drawn = json.dumps(prediction.draw_rows(**DATA, run_id=RUN["run_id"]))
    predicted = prediction.predict_rows(**DATA, **RUN, model="digits", selection=drawn)
    assert maintain(RUN["run_after"])["compacted_days"] == []
    districts = "data/seoul_districts.csv"
    weather.collect(**RUN, now=RUN["run_after"], districts=districts)
    merged = weather.preprocess(**RUN, districts=districts)
    assert not unfinished.find_all(districts)
    rebuilt = weather.rebuild(districts=districts)
    assert (rebuilt["runs"], rebuilt["rows"]) == (1, 25)
    assert UPath(predicted["file"]).read_text(encoding="utf-8").count(version) == 5
    assert UPath(merged["latest"]).read_text(encoding="utf-8").count("sample") == 25
    names = {path.name for path in (UPath(place) / "models" / "digits" / "versions" / version).iterdir()}
    assert names == {"model.joblib", "metadata.json", "holdout_predictions.csv", "card.html"}
