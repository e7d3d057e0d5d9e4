"""A collection in a database: the best serves, the newest of equals, and only what its hash is right for."""

from __future__ import annotations

import hashlib
import io
import shutil
from datetime import datetime
from pathlib import Path
from typing import Any

import collected
import numpy as np
import pytest
import sqlalchemy as sa
from running_airflow import wait_until
from servers import Slack
from serving import ROOT, Load, serving

from batch_serving.api.bodies import Rows
from batch_serving.api.model_collections import CollectionSource, find_loader
from batch_serving.api.problems import RefusedError
from batch_serving.api.sources import BrokenVersionError, SourceAwayError
from batch_serving.shared.errors import InvalidValueError

TABLE = (
    "CREATE TABLE model_collection (model VARCHAR(40), score DOUBLE, file VARCHAR(200), bucket VARCHAR(200), "
    "sha256 CHAR(64), made_at TIMESTAMP)"
)


class Collection:
    """A collection in SQLite, with its files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.bucket = folder / "bucket"
        self.bucket.mkdir()
        self.url = f"sqlite:///{folder}/collection.db"
        self._engine = sa.create_engine(self.url)
        with self._engine.begin() as connection:
            connection.exec_driver_sql(TABLE)

    def add(
        self, file: str, score: float | None, best: int, day: int = 1, model: str = "vae", digest: str = ""
    ) -> str:
        """Add a model that recommends item ``best`` first; return its version."""
        buffer = io.BytesIO()
        np.savez(buffer, scores=[1.0 if item == best else item / 100 for item in range(5)])
        (self.bucket / file).write_bytes(buffer.getvalue())
        digest = digest or hashlib.sha256(buffer.getvalue()).hexdigest()
        values = {"model": model, "score": score, "file": file, "bucket": str(self.bucket), "sha256": digest}
        names = ("model", "score", "file", "bucket", "sha256", "made_at")
        text = f"INSERT INTO model_collection VALUES ({', '.join(f':{name}' for name in names)})"
        with self._engine.begin() as connection:
            connection.execute(sa.text(text), {**values, "made_at": f"2026-01-{day:02d} 00:00:00"})
        return f"{file}-{digest[:8]}"

    def source(self) -> CollectionSource:
        """The source that follows it."""
        return CollectionSource("vae", self.url, collected.load)


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path)


def test_the_best_is_the_one_and_of_equals_the_newest(collection: Collection) -> None:
    assert collection.source().current() is None
    collection.add("vae_0.41", 0.41, 1, day=3)
    best = [collection.add(f"vae_0.42_{day}", 0.42, 1, day=day) for day in (1, 2)]
    collection.add("vae_none", None, 1, day=9)
    collection.add("other_0.9", 0.9, 1, model="other")
    found = collection.source().current()
    assert found is not None
    assert (found.version, found.facts["score"], found.facts["file"]) == (best[1], 0.42, "vae_0.42_2")
    assert datetime.fromisoformat(found.since or "").day == 2


def test_a_file_is_loaded_only_if_its_hash_is_that_of_the_record(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection.add("vae_0.5", 0.5, 3)
    source = collection.source()
    found = source.current()
    assert found is not None
    assert source.load(found).answer(Rows([{"items": [3]}])).predictions == [{"item": 4}]
    (collection.bucket / "vae_0.5").write_bytes(b"other")
    loaded: list[bytes] = []
    changed = CollectionSource("vae", collection.url, lambda data: loaded.append(data))  # type: ignore[arg-type, return-value]
    with pytest.raises(BrokenVersionError, match="is not what was saved"):
        changed.load(found)
    assert loaded == []
    (collection.bucket / "vae_0.5").unlink()
    with pytest.raises(BrokenVersionError, match="does not exist"):
        source.load(found)


@pytest.mark.parametrize(("file", "digest"), [("../secret", ""), ("plain", "x" * 64)])
def test_a_record_that_is_none_is_refused(collection: Collection, file: str, digest: str) -> None:
    collection.add(file, 0.5, 1, digest=digest)
    source = collection.source()
    found = source.current()
    assert found is not None
    with pytest.raises(BrokenVersionError, match=r"'\.\.' in it|no SHA-256"):
        source.load(found)


def test_a_database_that_is_away_is_said_so_without_its_password(collection: Collection) -> None:
    for url, reason in (
        ("sqlite:////nowhere/at/all.db", "unable to open"),
        ("mysql+pymysql://u:secret-word@127.0.0.1:1/d", "Can't connect"),
        ("nothing+at-all://u:secret-word@h/d", "URL of the collection"),
    ):
        with pytest.raises(SourceAwayError, match=reason) as found:
            CollectionSource("vae", url, collected.load).current()
        assert "secret-word" not in str(found.value)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("os.system", "not allowed"),
        ("callables_of_others.load", "not allowed"),
        ("callables.nothing.load", "cannot import"),
        ("callables.models.nothing", "not a function"),
    ],
)
def test_a_loader_is_a_function_of_the_project(path: str, problem: str) -> None:
    with pytest.raises(InvalidValueError, match=problem):
        find_loader(path)
    assert callable(find_loader("callables.models.prune"))


def test_what_the_loaders_check_finds_is_refused(collection: Collection) -> None:
    collection.add("vae_0.5", 0.5, 3)
    source = collection.source()
    found = source.current()
    assert found is not None
    with pytest.raises(RefusedError) as refused:
        source.load(found).answer(Rows([{"items": [1]}, {"items": [77]}]))
    assert [(one.row, one.column, one.problem) for one in refused.value.problems] == [
        (1, "items", "item 77 is not known")
    ]


def test_a_collection_is_served_beside_the_store_and_exchanged(
    champion: str, collection: Collection, tmp_path: Path, slack: Slack
) -> None:
    package = tmp_path / "examples"
    package.mkdir()
    (package / "__init__.py").touch()
    shutil.copy(ROOT / "tests" / "support" / "collected.py", package / "of_tests.py")
    first = collection.add("vae_0.40", 0.40, 1)
    settings = {
        "BATCH_SERVE_COLLECTIONS": f"vae={collection.url}",
        "BATCH_SERVE_LOADERS": "vae=examples.of_tests.load",
    }
    body: dict[str, Any] = {"rows": [{"items": [0]}]}
    with serving(tmp_path, **settings) as api, Load(api, body, "vae").running(2) as load:
        health = api.until(lambda found: first in str(found) and champion in str(found))
        assert health["status"] == "ok"
        assert api.post("vae", body).json()["predictions"] == [{"item": 1}]
        load.until(first)
        assert api.get("/models/vae").json()["score"] == 0.40
        equal = collection.add("vae_0.40_new", 0.40, 2, day=2)
        load.until(equal)
        broken = collection.add("vae_0.90", 0.90, 3, digest="0" * 64)
        health = api.until(lambda found: found["status"] == "degraded")
        state = health["models"]["vae"]
        assert (state["version"], state["problem"]["version"]) == (equal, broken)
        wait_until(lambda: len(slack.messages) == 1, "the message")
        better = collection.add("vae_0.95", 0.95, 4)
        load.until(better)
        assert api.post("vae", body).json()["predictions"] == [{"item": 4}]
        refused = api.post("vae", {"rows": [{"items": [9]}]})
        assert (refused.status_code, refused.json()["problems"][0]["column"]) == (422, "items")
    assert not load.failures
    assert load.versions == [first, equal, better]
    assert len(slack.messages) == 1
