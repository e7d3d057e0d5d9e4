"""The example ``recommender``: its collection and files, and its pipeline under a real scheduler."""

from __future__ import annotations

import itertools
import json
import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowFailException
from kills import Forks
from serving import serving as serving_api
from stores import together

from batch_serving.api.model_collections import CollectionSource
from batch_serving.api.sources import SourceAwayError
from batch_serving.shared.airflow import database_engine
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import sha256
from batch_serving.shared.paths import project_path
from batch_serving.shared.reading import read_whole
from batch_serving.shared.root import PROJECT_ROOT
from examples.recommender import functions, serving, storage
from examples.recommender.database import (
    COLLECTION,
    FIGURES,
    Record,
    add,
    collection_table,
    create_if_missing,
    fill_if_empty,
    interactions_table,
    records,
    remove,
)

if TYPE_CHECKING:
    from conftest import Gallery

NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
DAY_S = 86_400
KILLS = 12
TASKS = [
    *("sample_interactions", "base_data", "model_input", "train"),
    *("name_score", "upload_model", "record_model", "remove_old"),
]
QUERY = "SELECT user_id, item_id FROM recommender_interactions"
SPLIT = {
    "min_items_per_user": 5,
    "min_users_per_item": 5,
    "held_out_share": 0.1,
    "wanted_share": 0.2,
    "split_seed": 3,
}
NETWORK = {
    "hidden": 40,
    "latent": 8,
    "epochs": 12,
    "batch": 50,
    "learning_rate": 0.005,
    "dropout": 0.5,
    "beta": 0.2,
    "annealing": 0.5,
    "ease_penalties": [50.0, 200.0],
}


@pytest.fixture
def engine(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.Engine]:
    """The feature store, without the tables."""
    monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", server)
    found = database_engine("feature_store")
    for table in (collection_table(), interactions_table()):
        table.drop(found, checkfirst=True)
    yield found
    found.dispose()


@pytest.fixture(autouse=True)
def output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BATCH_OUTPUT", str(tmp_path / "output"))
    return tmp_path / "output"


def record(run_id: str, score: float = 0.5, hours: float = 0, made_at: datetime = NOON) -> Record:
    made_at += timedelta(hours=hours)
    content = run_id.encode()
    file = f"{storage.folder_name(made_at, content)}/multvae_{score:.6f}.npz"
    figures = dict.fromkeys(FIGURES, 0.25)
    return Record(
        run_id, "recommender", score, file, str(storage.bucket()), sha256(content), made_at, figures
    )


# The collection.


def test_a_record_is_read_as_it_was_written(engine: sa.Engine) -> None:
    written = record("manual__2026-03-01T12:00:00+00:00", 0.123457)
    assert add(written, engine) == written
    assert records(engine) == [written]


def test_the_best_score_is_first_and_of_equal_scores_the_newest(engine: sa.Engine) -> None:
    for each in (
        record("old and best", 0.4, hours=0),
        record("new and worse", 0.3, hours=9),
        record("newer tie", 0.4, hours=2),
        record("newest tie", 0.4, made_at=NOON + timedelta(hours=2, microseconds=1)),
        record("a hair worse", 0.399999, hours=20),
    ):
        add(each, engine)
    order = ["newest tie", "newer tie", "old and best", "a hair worse", "new and worse"]
    assert [one.run_id for one in records(engine)] == order


def test_the_server_reads_the_best_record_and_its_file(engine: sa.Engine) -> None:
    source = CollectionSource("recommender", "feature_store", lambda data: data, COLLECTION)  # type: ignore[arg-type, return-value]
    with pytest.raises(SourceAwayError, match="recommender_model_collection"):
        source.current()
    create_if_missing(collection_table(), engine)
    assert source.current() is None
    add(record("worse", 0.3, hours=9), engine)
    best = record("best", 0.4)
    add(best, engine)
    found = source.current()
    assert found is not None
    assert (found.sha256, found.facts["score"], found.facts["file"]) == (best.sha256, 0.4, best.file)
    assert found.place == f"{best.bucket}/{best.file}"


def test_records_of_the_same_moment_and_score_have_one_order_however_they_come(engine: sa.Engine) -> None:
    ties = [record(name) for name in ("one", "two", "three")]
    orders = []
    for permutation in itertools.permutations(ties):
        for each in permutation:
            add(each, engine)
        orders.append([one.run_id for one in records(engine)])
        remove(ties, engine)
    assert all(order == orders[0] for order in orders)


def test_a_run_has_one_record_whatever_a_second_try_has_made(engine: sa.Engine) -> None:
    first = record("run", 0.4)
    add(first, engine)
    assert add(record("run", 0.5, hours=1), engine) == first
    assert records(engine) == [first]
    add(record("Run", 0.1), engine)  # names that differ in case are different runs
    assert len(records(engine)) == 2


def test_tries_at_the_same_time_leave_one_record_and_one_set_of_interactions(engine: sa.Engine) -> None:
    pairs = [(user, item) for user in range(50) for item in range(10)]
    if engine.dialect.name == "sqlite":  # it knows one writer at a time, and refuses the others
        create_if_missing(collection_table(), engine)
        create_if_missing(interactions_table(), engine)
    added: list[Record] = []
    filled: list[int] = []
    together(
        [lambda score=score: added.append(add(record("run", score), engine)) for score in (0.1, 0.2, 0.3)]
    )
    together([lambda: filled.append(fill_if_empty(lambda: pairs, engine)) for _ in range(3)])
    assert records(engine) == [added[0]] == [added[1]] == [added[2]]
    assert sorted(filled) == [0, 0, 500]
    with engine.connect() as connection:
        assert (
            connection.execute(sa.select(sa.func.count()).select_from(interactions_table())).scalar() == 500
        )


# What is removed.


def test_the_best_and_the_newest_stay_and_everything_else_goes(engine: sa.Engine, output: Path) -> None:
    scores = [0.9, 0.1, 0.2, 0.8, 0.3, 0.4, 0.05]
    made = [record(str(hour), score, hour) for hour, score in enumerate(scores)]
    for each in made:
        add(each, engine)
        place = Path(each.bucket) / each.file
        place.parent.mkdir(parents=True)
        place.write_bytes(each.run_id.encode())
    removed = functions.remove_old(connection="feature_store", keep_best=2, keep_newest=2, days=2)
    assert [one.run_id for one in records(engine)] == ["0", "3", "5", "6"]
    assert sorted(removed["models"]) == sorted(one.file for one in made if one.run_id in "124")
    left = [one.run_id for one in made if (Path(one.bucket) / one.file).exists()]
    assert left == ["0", "3", "5", "6"]
    again = functions.remove_old(connection="feature_store", keep_best=2, keep_newest=2, days=2)
    assert again == {"models": [], "unrecorded": [], "runs": []}


def test_the_best_of_a_tie_and_the_newest_survive_the_smallest_numbers(engine: sa.Engine) -> None:
    for hour, score in enumerate([0.9, 0.9, 0.1, 0.2]):
        add(record(str(hour), score, hour), engine)
    functions.remove_old(connection="feature_store", keep_best=1, keep_newest=1, days=2)
    assert [one.run_id for one in records(engine)] == ["1", "3"]


def aged(path: Path, days: float) -> None:
    moment = time.time() - days * DAY_S
    os.utime(path, (moment, moment))


def model_folder(run_id: str, days: float, name: str = "") -> Path:
    folder = Path(str(storage.bucket())) / (name or storage.folder_name(NOON, run_id.encode()))
    folder.mkdir(parents=True)
    (folder / "multvae_0.5.npz").write_bytes(b"model")
    aged(folder / "multvae_0.5.npz", days)
    return folder


def test_files_without_a_record_go_when_they_are_old(engine: sa.Engine) -> None:
    kept = record("kept")
    add(kept, engine)
    recorded = model_folder("kept", 9)
    old, young = model_folder("killed", 2.1), model_folder("just uploaded", 1.9)
    foreign = model_folder("", 9, "somebody's own")
    removed = functions.remove_old(connection="feature_store", keep_best=1, keep_newest=1, days=2)
    assert removed["unrecorded"] == [old.name]
    assert [path.exists() for path in (recorded, old, young, foreign)] == [True, False, True, True]


def test_nothing_in_the_bucket_is_removed_while_the_collection_knows_nothing_of_it(engine: sa.Engine) -> None:
    create_if_missing(collection_table(), engine)
    old = model_folder("killed", 9)
    functions.remove_old(connection="feature_store", keep_best=1, keep_newest=1, days=2)
    assert old.exists()


def test_intermediate_files_go_when_their_run_is_over_for_days(engine: sa.Engine, output: Path) -> None:
    create_if_missing(collection_table(), engine)
    for run, days in (("old", 2.1), ("young", 1.9)):
        folder = output / "recommender" / run
        folder.mkdir(parents=True)
        for name, more in (("base_data.npz", 3), ("model_input.npz", 0)):
            (folder / name).write_bytes(b"")
            aged(folder / name, days + more)
    removed = functions.remove_old(connection="feature_store", keep_best=1, keep_newest=1, days=2)
    assert removed["runs"] == ["old"]
    assert [path.name for path in (output / "recommender").iterdir()] == ["young"]


@pytest.mark.parametrize("wrong", [{"keep_best": 0}, {"keep_newest": 0}, {"days": 0.5}])
def test_a_rule_that_would_remove_too_much_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError, match=next(iter(wrong))):
        functions.remove_old(
            connection="feature_store", **{"keep_best": 1, "keep_newest": 1, "days": 2, **wrong}
        )


# The task functions.


def test_a_name_has_the_kind_and_the_score() -> None:
    assert functions.name_score(file="multvae_0.294400.npz") == {"kind": "multvae", "score": 0.2944}
    for wrong in ("multvae.npz", "multvae_best.npz", "multvae_nan.npz", "multvae_2.5.npz", "multvae_0.5.pkl"):
        with pytest.raises(InvalidValueError, match="<kind of model>_<score>"):
            functions.name_score(file=wrong)


def whole_run(run_id: str, hour: int, seed: int | str = 1, **network: Any) -> dict[str, Any]:
    """Call the task functions one after the other, as Airflow does, and return the last XCom of the record."""
    run_after = (NOON + timedelta(hours=hour)).isoformat()
    functions.sample_interactions(connection="feature_store", users=600, items=120, seed=4)
    functions.base_data(connection="feature_store", query=QUERY, run_id=run_id)
    functions.model_input(run_id=run_id, **SPLIT)
    made = functions.train(run_id=run_id, seed=seed, **{**NETWORK, **network})
    uploaded = functions.upload_model(run_id=run_id, run_after=run_after, file=made["file"])
    return functions.record_model(
        connection="feature_store",
        run_id=run_id,
        run_after=run_after,
        score=functions.name_score(file=made["file"])["score"],
        figures=json.dumps(made["figures"]),
        uploaded=json.dumps(uploaded),
    )


def files_of(output: Path) -> dict[str, bytes]:
    return {str(path.relative_to(output)): path.read_bytes() for path in output.rglob("*") if path.is_file()}


def test_a_second_try_of_a_run_leaves_the_files_and_the_record_of_one(
    engine: sa.Engine, output: Path
) -> None:
    first = whole_run("run 1", hour=0)
    files = files_of(output)
    assert whole_run("run 1", hour=0) == first
    assert files_of(output) == files
    assert len(records(engine)) == 1
    best = records(engine)[0]
    content = (Path(best.bucket) / best.file).read_bytes()
    assert sha256(content) == best.sha256
    assert best.score == best.figures["ndcg_100"] > best.figures["popularity_ndcg_100"]
    model = serving.load(content)
    assert len(model.predict([{"items": [1, 5, 9], "count": 20}])[0]["items"]) == 20
    assert (Path(best.bucket) / best.file).with_name("comparison.md").read_text().startswith("| model |")


def test_a_tie_is_won_by_the_newest_and_a_better_score_wins_over_both(engine: sa.Engine) -> None:
    first, second = whole_run("run 1", hour=0), whole_run("run 2", hour=1)
    assert first["record"]["score"] == second["record"]["score"]
    assert second["best"] == second["record"]
    worse = whole_run("run 3", hour=2, epochs=5)
    assert worse["record"]["score"] < first["record"]["score"]
    assert worse["best"] == second["record"]


def test_a_cleared_run_with_other_data_keeps_its_record_and_its_model(
    engine: sa.Engine, output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = whole_run("run", hour=0)["record"]
    with engine.begin() as connection:
        table = interactions_table()
        connection.execute(sa.delete(table).where(table.c.user_id <= 100))
    with caplog.at_level(logging.WARNING):
        after = whole_run("run", hour=0)
    assert after["record"] == before
    assert "this run has a record already" in caplog.text
    assert sha256((Path(before["bucket"]) / before["file"]).read_bytes()) == before["sha256"]
    names = [path.name for path in (output / "recommender").rglob("multvae_*.npz")]
    assert len(names) == 1  # of the try that came last


def test_without_a_seed_each_run_has_its_own(engine: sa.Engine) -> None:
    whole_run("run 1", hour=0, seed="", epochs=5)
    whole_run("run 2", hour=1, seed="", epochs=5)
    assert len({one.sha256 for one in records(engine)}) == 2


def test_a_model_that_is_not_better_than_popularity_is_not_kept(engine: sa.Engine, output: Path) -> None:
    with pytest.raises(AirflowFailException, match="not better than popularity"):
        whole_run("run", hour=0, epochs=1, learning_rate=1e-6)
    assert not list(output.rglob("multvae_*"))


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT user_id, item_id FROM recommender_interactions", "fill the table first"),
        ("SELECT 1 AS user_id, 2 AS item", "gives the columns user_id, item; select user_id and item_id"),
        ("SELECT 1 AS user_id, 2 AS item_id WHERE 1 = 0", "gives no rows"),
        ("SELECT 1 AS user_id, 2 AS item_id UNION ALL SELECT 2, NULL", "row 2 of the query: item_id is None"),
        ("SELECT 'kim' AS user_id, 2 AS item_id", "row 1 of the query: user_id is 'kim', not a whole number"),
    ],
)
def test_a_query_that_gives_no_pairs_of_ids_is_an_error(engine: sa.Engine, sql: str, text: str) -> None:
    with pytest.raises(InvalidValueError, match=text):
        functions.base_data(connection="feature_store", query=sql, run_id="run")


def test_a_missing_file_of_a_run_names_the_task_to_clear() -> None:
    with pytest.raises(InvalidValueError, match="clear the task base_data of this run"):
        functions.model_input(run_id="run", **SPLIT)


RUN = """
import json, os
import numpy, scipy.linalg, scipy.sparse, sqlalchemy, threadpoolctl, upath.implementations.local
import airflow.providers.common.sql.hooks.sql
from examples.recommender import comparison, database, functions, reading, serving, storage, training
import test_recommender
def run(place):
    os.environ["BATCH_OUTPUT"] = place + "/output"
    os.environ["AIRFLOW_CONN_FEATURE_STORE"] = json.dumps({"conn_type": "sqlite", "host": place + "/store.db"})
    test_recommender.whole_run("run", hour=0, epochs=4)
"""


def left_in(place: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, bytes], list[tuple[Any, ...]]]:
    """What a run has left: the files that are not a killed writer's, and the collection."""
    store = json.dumps({"conn_type": "sqlite", "host": str(place / "store.db")})
    monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", store)
    engine = database_engine("feature_store")
    found = [(one.run_id, one.score, one.file, one.sha256) for one in records(engine)]
    engine.dispose()
    files = files_of(place / "output")
    return {name: data for name, data in files.items() if not name.endswith(".tmp")}, found


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_moment_and_tried_again_leaves_what_a_clean_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [
        PROJECT_ROOT / "tests" / "examples",
        PROJECT_ROOT / "tests" / "support",
        PROJECT_ROOT / "deploy",
    ]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)))
    places = [tmp_path / str(number) for number in range(KILLS + 1)]
    killed = 0
    with Forks(RUN) as forks:
        (tmp_path / "first").mkdir()
        forks.run(str(tmp_path / "first"))  # it takes longer than the others
        for number, place in enumerate(places):
            place.mkdir()
            if number == 0:
                seconds = forks.run(str(place))
                continue
            killed += forks.kill(str(place), seconds * (number - 0.5) / KILLS)
            forks.run(str(place))
    assert killed >= KILLS / 3  # on a busy machine some end before
    left = [left_in(place, monkeypatch) for place in places]
    assert len(left[0][1]) == 1
    assert all(each == left[0] for each in left)


# The pipeline.


@pytest.mark.slow
@pytest.mark.needs("mariadb")
@pytest.mark.timeout(1200)
def test_of_two_runs_with_one_seed_the_newest_is_the_best(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs = [gallery.run("recommender", {"seed": 7}) for _ in range(2)]
    for run in runs:
        assert gallery.tasks(run) == dict.fromkeys(TASKS, "success")
    # The first trigger has unpaused the DAG, so that the schedule may have added a run of its own seed.
    query = "SELECT run_id, score, file, bucket, sha256, made_at FROM recommender_model_collection"
    found = sorted(gallery.rows(query), key=lambda row: (row[1], row[5]), reverse=True)
    ties = [row for row in found if row[0] in {run["dag_run_id"] for run in runs}]
    assert [row[0] for row in ties] == [run["dag_run_id"] for run in reversed(runs)]
    assert ties[0][1] == ties[1][1] == gallery.xcom(runs[0], "name_score")["score"]
    assert ties[0][4] == ties[1][4]  # the same seed has made the same file
    trained, recorded = gallery.xcom(runs[1], "train"), gallery.xcom(runs[1], "record_model")
    assert recorded["record"]["run_id"] == runs[1]["dag_run_id"]
    assert recorded["best"]["run_id"] == found[0][0] != runs[0]["dag_run_id"]
    assert "NDCG@100: Mult-VAE beats popularity" in trained["comparison"]
    assert "Mult-VAE beats popularity" in gallery.log(runs[1], "train")
    _, _, file, bucket, digest, _ = ties[0]
    assert bucket.startswith("s3://")
    for name, value in gallery.instance.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    content = read_whole(project_path(f"{bucket}/{file}"))
    assert sha256(content) == digest
    answer = serving.load(content).predict([{"items": [1, 5, 9], "count": 5}])
    assert len(answer[0]["items"]) == 5

    # The server follows the collection in the database and the bucket of the pipeline.
    monkeypatch.setenv("AIRFLOW_CONN_FEATURE_STORE", gallery.database.connection())
    monkeypatch.setenv("BATCH_OUTPUT", gallery.instance.settings["BATCH_OUTPUT"])
    settings = {
        "BATCH_SERVE_COLLECTIONS": "recommender=feature_store",
        "BATCH_SERVE_LOADERS": "recommender=examples.recommender.serving.load",
        "BATCH_SERVE_TABLES": "recommender=recommender_model_collection",
    }
    with serving_api(tmp_path, **settings) as api:
        assert api.version("recommender") == f"{found[0][2]}-{found[0][4][:8]}"
        answered = api.post("recommender", {"rows": [{"items": [1, 5, 9], "count": 5}]}).json()
        assert len(answered["predictions"][0]["items"]) == 5
        refused = api.post("recommender", {"rows": [{"itms": [1]}]})
        assert (refused.status_code, refused.json()["problems"][0]["column"]) == (422, "items")

    cleared = gallery.clear(runs[0])
    assert cleared["state"] == "success"
    assert set(ties) <= set(gallery.rows(query))
