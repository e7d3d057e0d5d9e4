"""The task functions of the pipeline. Whatever they write is the same after a second try of a run."""

from __future__ import annotations

import json
import logging
import re
from typing import Any

from batch_serving.shared.errors import InvalidValueError

log = logging.getLogger(__name__)

MODEL, KIND = "recommender", "multvae"
BASE, INPUT = "base_data.npz", "model_input.npz"
_FILE = re.compile(r"(?P<kind>[A-Za-z0-9-]+)_(?P<score>[01]\.\d+)\.npz")


def sample_interactions(*, connection: str, users: int, items: int, seed: int) -> dict[str, Any]:
    """Fill the table of interactions with made-up ones, only if it is missing or empty."""
    from examples.recommender.database import connected, fill_if_empty
    from examples.recommender.sample import SampleSettings, made_interactions

    settings = SampleSettings(users=users, items=items, seed=seed)
    with connected(connection) as engine:
        pairs = fill_if_empty(lambda: made_interactions(settings).tolist(), engine)
    log.info("%d pairs are new; none, if the table had rows already", pairs)
    return {"pairs": pairs}


def base_data(*, connection: str, query: str, run_id: str) -> dict[str, Any]:
    """Read pairs of user and item by a SQL query, and store them as a sparse matrix of users × items.

    The query gives two columns of whole numbers, ``user_id`` and ``item_id``. Returns the file and how many
    users, items and pairs it has.
    """
    from batch_serving.shared.files import write_atomic
    from examples.recommender.reading import read_interactions
    from examples.recommender.storage import run_folder

    data = read_interactions(connection, query)
    path = run_folder(run_id) / BASE
    write_atomic(path, data.to_bytes())
    users, items = data.matrix.shape
    return {"file": str(path), "users": users, "items": items, "pairs": data.matrix.nnz}


def model_input(
    *,
    run_id: str,
    min_items_per_user: int,
    min_users_per_item: int,
    held_out_share: float,
    wanted_share: float,
    split_seed: int,
) -> dict[str, Any]:
    """Leave out users and items with too little, and split the users for training, validation and the test.

    Of the items of a user who is held out, ``wanted_share`` are to be found by what is known of the others.
    """
    from batch_serving.shared.files import write_atomic
    from examples.recommender.splitting import Interactions, filtered, split
    from examples.recommender.storage import of_run, run_folder

    data = Interactions.from_bytes(of_run(run_id, BASE, "base_data"))
    left = filtered(data, min_items_per_user, min_users_per_item)
    parts = split(left, held_out_share, wanted_share, split_seed)
    path = run_folder(run_id) / INPUT
    write_atomic(path, parts.to_bytes())
    return {
        "file": str(path),
        "items": len(parts.items),
        "train_users": parts.train.shape[0],
        "validation_users": parts.validation.known.shape[0],
        "test_users": parts.test.known.shape[0],
    }


def train(
    *,
    run_id: str,
    seed: int | str,
    hidden: int,
    latent: int,
    epochs: int,
    batch: int,
    learning_rate: float,
    dropout: float,
    beta: float,
    annealing: float,
    ease_penalties: list[float],
) -> dict[str, Any]:
    """Train the autoencoder, and compare it with popularity and EASE on users that it has not seen.

    Without a seed (an empty text) one is made from ``run_id``. The file is named ``<kind of model>_<score>``;
    the score is NDCG@100. Returns the file's name, the figures and the comparison as Markdown. Fails, without
    a retry, if the model is not better than popularity.
    """
    from batch_serving.shared.airflow import fail
    from batch_serving.shared.run_context import seed_of
    from examples.recommender.comparison import compared
    from examples.recommender.serving import file_of
    from examples.recommender.splitting import Parts
    from examples.recommender.storage import of_run
    from examples.recommender.training import TrainingSettings
    from examples.recommender.training import train as trained_on

    parts = Parts.from_bytes(of_run(run_id, INPUT, "model_input"))
    used = seed_of(run_id) if seed == "" else int(seed)
    settings = TrainingSettings(
        hidden, latent, epochs, batch, learning_rate, dropout, beta, annealing, seed=used
    )
    trained = trained_on(parts, settings)
    comparison = compared(parts, trained.weights, ease_penalties)
    table, figures = comparison.markdown(), comparison.figures()
    log.info("trained for %.1f s, epoch %d is the best\n%s", trained.seconds, trained.epoch, table)
    if figures["ndcg_100"] <= figures["popularity_ndcg_100"]:
        fail(f"the model is not better than popularity and is not kept; train for more epochs\n{table}")
    name = f"{KIND}_{figures['ndcg_100']:.6f}.npz"
    _store_model(run_id, name, file_of(parts.items, trained.weights), table)
    return {"file": name, "seed": used, "epoch": trained.epoch, "figures": figures, "comparison": table}


def _store_model(run_id: str, name: str, content: bytes, table: str) -> None:
    """Write a run's model and comparison, and delete a model that an earlier try has made of other data."""
    from batch_serving.shared.files import delete, write_atomic
    from batch_serving.shared.reading import files_in
    from examples.recommender.storage import COMPARISON, run_folder

    folder = run_folder(run_id)
    write_atomic(folder / COMPARISON, table.encode())
    write_atomic(folder / name, content)
    for path in files_in(folder, ".npz"):
        if path.name.startswith(f"{KIND}_") and path.name != name:
            delete(path)


def name_score(*, file: str) -> dict[str, Any]:
    """Return the kind of model and the score that a file's name has: ``multvae_0.294400.npz``."""
    found = _FILE.fullmatch(file)
    if found is None:
        raise InvalidValueError(
            f"the file's name is {file!r}", "it must be <kind of model>_<score>.npz, such as multvae_0.25.npz"
        )
    return {"kind": found["kind"], "score": float(found["score"])}


def upload_model(*, run_id: str, run_after: str, file: str) -> dict[str, Any]:
    """Copy a run's model into the bucket, the comparison beside it; returns bucket, file and SHA-256.

    The folder in the bucket is named by time and content, so that no file there ever changes.
    """
    from batch_serving.shared.files import sha256, write_atomic
    from batch_serving.shared.run_context import parse_time
    from examples.recommender.storage import COMPARISON, bucket, folder_name, of_run

    content = of_run(run_id, file, "train")
    folder = folder_name(parse_time(run_after), content)
    write_atomic(bucket() / folder / COMPARISON, of_run(run_id, COMPARISON, "train"))
    write_atomic(bucket() / folder / file, content)
    return {"bucket": str(bucket()), "file": f"{folder}/{file}", "sha256": sha256(content)}


def record_model(
    *, connection: str, run_id: str, run_after: str, score: float | str, figures: str, uploaded: str
) -> dict[str, Any]:
    """Add the model to the collection, once for each run, and say which model is now the best.

    ``figures`` and ``uploaded`` are JSON, from the XComs of ``train`` and ``upload_model``. If the run has a
    record already, that stays unchanged. Returns the record and the best one: the highest score, of equal
    scores the newest.
    """
    from batch_serving.shared.run_context import parse_time
    from examples.recommender.database import Record, add, connected, records

    made_at = parse_time(run_after)
    record = Record(
        run_id, MODEL, float(score), made_at=made_at, figures=json.loads(figures), **json.loads(uploaded)
    )
    with connected(connection) as engine:
        kept = add(record, engine)
        best = records(engine)[0]
    if kept.sha256 != record.sha256:
        log.warning("this run has a record already, of %s: it stays; a new run makes a new one", kept.file)
    log.info("the best model is %s with the score %s", best.file, best.score)
    return {"record": kept.to_json(), "best": best.to_json()}


def remove_old(*, connection: str, keep_best: int, keep_newest: int, days: float) -> dict[str, list[str]]:
    """Remove models that are neither among the best nor among the newest, and old intermediate files.

    A record is deleted before its file. Files in the bucket without a record, and intermediate files of runs,
    are deleted once they are older than ``days``. Returns what was removed.
    """
    from examples.recommender import storage
    from examples.recommender.database import connected, records, remove

    for name, value in (("keep_best", keep_best), ("keep_newest", keep_newest)):
        if value < 1:
            raise InvalidValueError(f"{name} is {value}", "write at least 1: the best and the newest stay")
    if days < 1:
        raise InvalidValueError(f"days is {days}", "write at least 1: a run may still need its files")
    with connected(connection) as engine:
        every = records(engine)
        removed = storage.superfluous(every, keep_best, keep_newest)
        remove(removed, engine)
    kept = [one for one in every if one not in removed]
    storage.delete_models(removed, kept)
    return {
        "models": [one.file for one in removed],
        "unrecorded": storage.delete_unrecorded(kept, days),
        "runs": storage.delete_old_runs(days),
    }
