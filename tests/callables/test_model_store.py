"""The store, on disk and on an object store that fsspec keeps in memory."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from callables._files import sha256
from callables._model_store import ModelStore, ModelStoreError

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["disk", "url", "memory"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ModelStore]:
    places = {"disk": str(tmp_path), "url": f"file://{tmp_path}", "memory": f"memory://{uuid.uuid4().hex}"}
    place = places[request.param]
    monkeypatch.setenv("BATCH_OUTPUT", place)
    yield ModelStore("digits")


def save(store: ModelStore, value: object, run_id: str = "r", hour: int = 0) -> str:
    metadata = {"run_id": run_id, "inputs": "i", "metrics": {"accuracy": 0.9}}
    return store.save(value, metadata, MOMENT.replace(hour=hour))


def test_a_saved_model_is_found_and_loaded(store: ModelStore) -> None:
    assert store.versions() == []
    version = save(store, {"a": 1})
    assert store.versions() == [version]
    assert store.load(version) == {"a": 1}
    assert store.find("r", MOMENT, "i") == version
    assert store.find("r", MOMENT, "other inputs") is None


def test_versions_are_in_the_order_of_time(store: ModelStore) -> None:
    late, early = save(store, 1, hour=5), save(store, 2, hour=3)
    assert store.versions() == [early, late]


def test_without_its_metadata_a_version_does_not_exist(store: ModelStore) -> None:
    version = save(store, 1)
    (store.folder(version) / "metadata.json").unlink()
    assert store.versions() == []


def test_saving_the_same_again_changes_nothing(store: ModelStore) -> None:
    assert save(store, {"a": 1}) == save(store, {"a": 1})
    assert len(store.versions()) == 1


def test_a_changed_model_file_is_not_loaded(store: ModelStore) -> None:
    version = save(store, {"a": 1})
    path = store.folder(version) / "model.joblib"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ModelStoreError, match="is not what was saved"):
        store.load(version)


def test_a_broken_champion_falls_back_to_the_one_before(
    store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = save(store, "first", hour=1), save(store, "second", hour=2)
    store.promote(first, expect=None, run_id="a", reason="")
    store.promote(second, expect=first, run_id="b", reason="")
    assert store.load_champion() == (second, "second")
    (store.folder(second) / "model.joblib").unlink()
    assert store.load_champion() == (first, "first")
    assert f"using {first} instead" in caplog.text


def test_a_champion_that_the_installed_libraries_cannot_load_falls_back_too(store: ModelStore) -> None:
    first = save(store, "first", hour=1)
    store.promote(first, expect=None, run_id="a", reason="")
    metadata = {"run_id": "b", "inputs": "i", "metrics": {}, "libraries": {"scikit-learn": "0.1"}}
    second = store.save("second", metadata, MOMENT.replace(hour=2))
    data = b"not a pickle"
    (store.folder(second) / "model.joblib").write_bytes(data)
    record = {**store.metadata(second), "sha256": sha256(data)}
    (store.folder(second) / "metadata.json").write_text(json.dumps(record), encoding="utf-8")
    store.promote(second, expect=first, run_id="b", reason="")
    with pytest.raises(ModelStoreError, match="cannot be loaded by the installed libraries"):
        store.load(second)
    assert store.load_champion() == (first, "first")


def test_the_pointer_moves_only_from_where_it_was_seen(store: ModelStore) -> None:
    first, second = save(store, 1, hour=1), save(store, 2, hour=2)
    store.promote(first, expect=None, run_id="a", reason="")
    with pytest.raises(ModelStoreError, match="clear `compare`"):
        store.promote(second, expect=None, run_id="b", reason="")
    pointer = store.champion()
    assert pointer is not None
    assert (pointer["version"], pointer["previous"]) == (first, None)


def test_history_has_one_line_per_verdict_however_often_it_is_written(store: ModelStore) -> None:
    version = save(store, 1)
    for _ in range(3):
        store.promote(version, expect=None, run_id="a", reason="first")
        store.record_kept(version, run_id="b", reason="no better")
    assert [entry["verdict"] for entry in store.history()] == ["promoted", "kept"]


def test_what_a_kill_left_is_cleared_by_the_next_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_OUTPUT", str(tmp_path))
    store = ModelStore("digits")
    left = Path(str(store.root)) / "versions" / ".staging-r"
    left.mkdir(parents=True)
    (left / "model.joblib").write_bytes(b"half")
    assert store.versions() == []
    save(store, 1)
    assert not left.exists()


@pytest.mark.parametrize("version", ["../../../elsewhere", "/tmp/elsewhere", "..", ".", ".staging-r"])
def test_a_version_is_never_a_path(store: ModelStore, version: str) -> None:
    with pytest.raises(ModelStoreError, match="that is not a version's name"):
        store.metadata(version)
    with pytest.raises(ModelStoreError, match="that is not a version's name"):
        store.promote(version, expect=None, run_id="r", reason="")
