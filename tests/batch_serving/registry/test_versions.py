"""The versions of a model: whole or not at all, and never changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stores import MOMENT, save, together

from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import ModelStoreError


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


def test_what_a_kill_left_is_cleared_by_the_next_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCH_OUTPUT", str(tmp_path))
    store = ModelStore("digits")
    left = Path(str(store.root)) / "versions" / ".staging-r-0000"
    left.mkdir(parents=True)
    (left / "model.joblib").write_bytes(b"half")
    assert store.versions() == []
    save(store, 1)
    assert left.exists()  # another task of this run_id may be writing it
    os.utime(left, (0, 0))
    save(store, 2, hour=1)
    assert not left.exists()


@pytest.mark.parametrize("version", ["../../../elsewhere", "/tmp/elsewhere", "..", ".", ".staging-r"])
def test_a_version_is_never_a_path(store: ModelStore, version: str) -> None:
    with pytest.raises(ModelStoreError, match="it is not a valid version"):
        store.metadata(version)
    with pytest.raises(ModelStoreError, match="it is not a valid version"):
        store.promote(version, expect=None, run_id="r", reason="")


def test_a_model_of_another_scikit_learn_is_reported(
    store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = {"run_id": "r", "inputs": "i", "metrics": {}, "libraries": {"scikit-learn": "0.1"}}
    version = store.save("x", metadata, MOMENT)
    assert store.load(version) == "x"
    assert "was trained with scikit-learn 0.1, but" in caplog.text


# fsspec's memory store cannot compare and write in one step.
in_one_step = pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)


@in_one_step
def test_runs_that_make_the_same_model_in_one_second_keep_a_version_each(store: ModelStore) -> None:
    made: dict[str, str] = {}

    def work(number: int) -> None:
        made[f"run {number}"] = save(ModelStore("digits"), "the same", f"run {number}")

    together([lambda number=number: work(number) for number in range(4)])
    assert sorted(made.values()) == store.versions()
    assert {store.metadata(version)["run_id"]: version for version in store.versions()} == made


def test_two_tasks_of_one_run_id_keep_both_their_models(store: ModelStore) -> None:
    together([lambda number=number: save(store, number, "same run") for number in range(4)])
    assert sorted(store.load(version) for version in store.versions()) == [0, 1, 2, 3]
    # Also if they are the same model.
    again = save(store, 0, "another run")
    assert store.metadata(again)["run_id"] == "another run"
