"""The example ``predict_from_sql``: its rows, its tasks one after the other, and under a real scheduler."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
import yaml
from airflow.sdk.exceptions import AirflowSkipException
from running_airflow import ROOT
from stores import together

from batch_serving.prediction.result_table import result_table
from batch_serving.registry.store import ModelStore
from batch_serving.shared.airflow import database_engine
from callables import prediction, promotion, training
from examples.predict_from_sql import functions
from examples.predict_from_sql.samples import KINDS, sample_of

if TYPE_CHECKING:
    from conftest import Gallery

FOLDER = ROOT / "examples" / "predict_from_sql"
STORE = {"connection": "feature_store"}
EVERY = ["every_5m", "every_10m", "every_30m", "every_60m"]
TRAINING = [
    *("add_sample_rows", "take_snapshot", "check_dataset", "train_challenger"),
    *("predict_holdout", "compare", "choose"),
]


@pytest.fixture(autouse=True)
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """An empty feature store, and an output folder."""
    monkeypatch.setenv("BATCH_OUTPUT", str(tmp_path / "output"))
    found = {"conn_type": "sqlite", "host": str(tmp_path / "store.db")}
    monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", json.dumps(found))
    engine = database_engine("feature_store")
    yield engine
    engine.dispose()


def tasks_of(dag_id: str) -> dict[str, Any]:
    """Return what the YAML gives each task of a DAG."""
    for file in FOLDER.glob("*.yaml"):
        dags = yaml.safe_load(file.read_text(encoding="utf-8"))
        if dag_id in dags:
            return {name: task.get("op_kwargs", {}) for name, task in dags[dag_id]["tasks"].items()}
    raise AssertionError(dag_id)


def train(dag_id: str = "predict_from_sql_train") -> str:
    """Call the tasks of the weekly DAG with what its YAML gives them, and return the version."""
    run: dict[str, Any] = {"run_id": "scheduled__2026-01-05"}
    given = tasks_of(dag_id)
    functions.add_sample_rows(**given["add_sample_rows"] | run)
    data: dict[str, Any] = {"dataset": training.take_snapshot(**given["take_snapshot"] | run)["dataset"]}
    assert training.check_dataset(**given["check_dataset"] | data)["warnings"] == []
    moment = {"run_after": "2026-01-05T04:00:00+09:00"}
    made = training.train_challenger(**given["train_challenger"] | data | run | moment)
    training.predict_holdout(model=made["model"], version=made["version"])
    compared = promotion.compare(**given["compare"])
    assert compared["verdict"] == "promote"
    promotion.promote(comparison=json.dumps(compared), **run)
    return str(made["version"])


def draw(dag_id: str, number: int) -> dict[str, Any]:
    """Return what a run of a DAG has drawn."""
    own = {"run_id": f"{dag_id}.scheduled__2026-01-06T00:0{number}:00+00:00"}
    return own | {"selection": json.dumps(prediction.draw_rows(**tasks_of(dag_id)["draw_rows"] | own))}


def predict(dag_id: str, number: int, drawn: dict[str, Any]) -> dict[str, Any]:
    """Predict what a run has drawn, and write it into the DAG's table."""
    given = drawn | {"run_after": f"2026-01-06T00:0{number}:00+00:00"}
    predicted = prediction.predict_rows(**tasks_of(dag_id)["predict_rows"] | given)
    del given["selection"]
    written = prediction.write_to_table(**tasks_of(dag_id)["write_to_table"] | given | {"table": dag_id})
    assert written["rows"] == predicted["rows"]
    return predicted


def run(dag_id: str, number: int) -> int:
    """Run a DAG that predicts, and return the number of rows."""
    return int(predict(dag_id, number, draw(dag_id, number))["rows"])


def add(rows: int, run_id: str, kind: str = "readings") -> dict[str, Any]:
    return functions.add_sample_rows(**STORE, kind=kind, rows=rows, run_id=run_id)


def results(engine: sa.Engine, dag_id: str) -> list[str]:
    with engine.connect() as connection:
        return sorted(connection.execute(sa.select(result_table(dag_id).c.row_id)).scalars())


def ids(first: int, last: int) -> list[str]:
    return sorted(str(number) for number in range(first, last + 1))


# The rows.


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_depends_on_its_id_only(kind: str) -> None:
    rows = [KINDS[kind].row(number) for number in range(1, 301)]
    assert rows == [sample_of(kind).row(number) for number in range(1, 301)]
    shares = [row[KINDS[kind].answer] for row in rows]
    assert all(shares.count(answer) > 30 for answer in {*shares})


def test_a_run_adds_its_rows_once_and_after_those_of_others() -> None:
    assert add(0, "train") == {"first_id": None, "last_id": None}
    assert add(20, "a") == {"first_id": 2001, "last_id": 2020}
    assert add(5, "b") == {"first_id": 2021, "last_id": 2025}
    assert add(20, "a") == {"first_id": 2001, "last_id": 2020}


# The tasks.


def test_a_model_is_learnt_and_each_dag_predicts_each_new_row_once(engine: sa.Engine) -> None:
    version = train()
    assert ModelStore("predict_from_sql").metadata(version)["metrics"]["accuracy"] > 0.85
    add(20, "a")
    assert run("predict_from_sql_every_5m", 0) == 20
    with pytest.raises(AirflowSkipException, match="nothing new"):
        draw("predict_from_sql_every_5m", 1)
    add(7, "b")
    assert run("predict_from_sql_every_5m", 2) == 7
    assert run("predict_from_sql_every_60m", 2) == 27
    for dag_id in ("predict_from_sql_every_5m", "predict_from_sql_every_60m"):
        assert results(engine, dag_id) == ids(2001, 2027)


@pytest.mark.parametrize("kind", ["texts", "images"])
def test_columns_of_another_kind_are_learnt_from_and_predicted_once(engine: sa.Engine, kind: str) -> None:
    version = train(f"predict_from_sql_{kind}_train")
    assert ModelStore(f"predict_from_sql_{kind}").metadata(version)["metrics"]["accuracy"] > 0.85
    first = add(40, "a", kind)["first_id"]
    dag_id = f"predict_from_sql_{kind}"
    assert run(dag_id, 0) == 40
    add(3, "b", kind)
    assert run(dag_id, 1) == 3
    assert results(engine, dag_id) == ids(first, first + 42)
    table = result_table(dag_id)
    with engine.connect() as connection:
        predicted = dict(map(tuple, connection.execute(sa.select(table.c.row_id, table.c.prediction))))
    sample = KINDS[kind]
    right = [sample.row(int(row))[sample.answer] == value for row, value in predicted.items()]
    assert sum(right) > 0.85 * len(right)


def test_a_missing_image_is_an_error_that_names_it_and_its_row_is_predicted_later(
    engine: sa.Engine, tmp_path: Path
) -> None:
    train("predict_from_sql_images_train")
    add(4, "a", "images")
    dag_id, image = "predict_from_sql_images", tmp_path / "output" / "predict_from_sql_images" / "302.png"
    content = image.read_bytes()
    image.unlink()
    drawn = draw(dag_id, 0)
    with pytest.raises(ValueError, match=r"1 file does not exist below .*: predict_from_sql_images/302.png"):
        predict(dag_id, 0, drawn)
    image.write_bytes(content)
    assert predict(dag_id, 0, drawn)["rows"] == 4
    assert results(engine, dag_id) == ids(301, 304)


def test_overlapping_runs_share_the_rows_and_leave_each_id_once(engine: sa.Engine) -> None:
    train()
    add(30, "a")
    dag_id = "predict_from_sql_every_5m"
    both = [draw(dag_id, number) for number in (0, 1)]
    counts: list[int] = []

    def try_to(number: int) -> None:
        try:
            counts.append(predict(dag_id, number, both[number])["rows"])
        except AirflowSkipException:
            counts.append(0)

    together([lambda number=number: try_to(number) for number in (0, 1)])
    assert sorted(counts) == [0, 30]
    assert results(engine, dag_id) == ids(2001, 2030)


def test_a_run_that_was_killed_before_the_table_and_cleared_later_writes_its_rows(engine: sa.Engine) -> None:
    train()
    dag_id = "predict_from_sql_every_5m"
    add(10, "a")
    killed = draw(dag_id, 0)
    at = {"run_after": "2026-01-06T00:00:00+00:00"}
    prediction.predict_rows(**tasks_of(dag_id)["predict_rows"] | killed | at)  # and no write_to_table
    add(10, "b")
    assert run(dag_id, 1) == 10
    assert results(engine, dag_id) == ids(2011, 2020)
    for _ in range(2):
        assert run(dag_id, 0) == 10
        assert results(engine, dag_id) == ids(2001, 2020)


def test_a_table_without_predictions_to_write_names_the_task_to_clear() -> None:
    given = tasks_of("predict_from_sql_every_5m")["write_to_table"]
    of_run = {"table": "x", "run_id": "never", "run_after": "2026-01-06T00:00:00+00:00"}
    with pytest.raises(ValueError, match=r"no predictions of run 'never'.* clear predict_rows"):
        prediction.write_to_table(**given | of_run)


# Under a real scheduler.


def rows_in(gallery: Gallery, dag_id: str) -> list[str]:
    return sorted(row[0] for row in gallery.rows(f"SELECT row_id FROM {dag_id}"))


def side_by_side(gallery: Gallery, dag_ids: list[str]) -> dict[str, dict[str, Any]]:
    """Run DAGs at the same time, and return their runs once these and all others of these DAGs have ended."""
    started = {dag_id: gallery.api.trigger(dag_id, None) for dag_id in dag_ids}
    runs = {dag_id: gallery.ended(dag_id, run_id) for dag_id, run_id in started.items()}
    assert {run["state"] for run in runs.values()} == {"success"}
    gallery.quiet(*dag_ids)
    return runs


@pytest.mark.slow
@pytest.mark.needs("mariadb")
@pytest.mark.timeout(1200)
def test_what_is_new_in_a_table_is_predicted_once_by_each_dag(gallery: Gallery) -> None:
    # Triggering unpauses, and a run of the schedule may be first: it has promoted the first model then.
    states = gallery.tasks(gallery.run("predict_from_sql_train"))
    assert sorted([states.pop("promote"), states.pop("keep")]) == ["skipped", "success"]
    assert states == dict.fromkeys(TRAINING, "success")
    added = gallery.run("predict_from_sql_sample", {"rows": 20})
    assert gallery.xcom(added, "add_readings") == {"first_id": 2001, "last_id": 2020}
    dag_ids = [f"predict_from_sql_{each}" for each in EVERY]
    runs = side_by_side(gallery, dag_ids)
    for dag_id in dag_ids:
        assert rows_in(gallery, dag_id) == ids(2001, 2020)

    gallery.run("predict_from_sql_sample", {"rows": 5})
    side_by_side(gallery, dag_ids)
    for done in runs.values():
        gallery.api.post(f"/dags/{done['dag_id']}/dagRuns/{done['dag_run_id']}/clear", {"dry_run": False})
    for dag_id, done in runs.items():
        assert gallery.ended(dag_id, done["dag_run_id"])["state"] == "success"
    gallery.quiet(*dag_ids)
    for dag_id in dag_ids:
        assert rows_in(gallery, dag_id) == ids(2001, 2025)
        shares = gallery.rows(f"SELECT MIN(probability), MAX(probability) FROM {dag_id}")
        assert 0.5 <= shares[0][0] <= shares[0][1] <= 1
