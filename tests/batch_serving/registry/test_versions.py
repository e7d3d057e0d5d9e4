"""The versions of a model: whole or not at all, and never changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stores import MOMENT, save, together

from batch_serving.registry.saving import BEING_PRUNED
from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.files import seal, write_atomic
from batch_serving.shared.reading import entries


def test_a_saved_model_is_found_and_loaded(store: ModelStore) -> None:
    assert store.versions() == []
    version = save(store, {"a": 1})
    assert store.versions() == [version]
    assert store.load(version) == {"a": 1}
    assert store.find("r", MOMENT, "i") == version
    assert store.find("r", MOMENT, "other inputs") is None


def test_versions_are_in_the_order_of_time(store: ModelStore) -> None:
    late, early = save(store, 1, "a", hour=5), save(store, 2, "b", hour=3)
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


@in_one_step
def test_tries_of_one_run_that_overlap_make_one_version(store: ModelStore) -> None:
    found: list[str] = []
    tries = [
        lambda number=number: found.append(save(ModelStore("digits"), number, "same run", second=number % 3))
        for number in range(6)
    ]
    together(tries)
    assert store.versions() == [found[0]]
    assert set(found) == set(store.versions())
    assert store.load(found[0]) in range(6)
    assert [entry.name for entry in entries(store.root / "versions")] == store.versions()
    other = save(store, 0, "another run")
    assert store.metadata(other)["run_id"] == "another run"


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_version_that_was_begun_is_finished_by_the_next_try(store: ModelStore) -> None:
    version = save(store, "first", "r")
    (store.folder(version) / "metadata.json").unlink()  # as if the task had been killed before this
    assert store.versions() == []
    assert store.find("r", MOMENT, "i") == version
    assert store.versions() == [version]
    assert store.load(version) == "first"


@pytest.mark.parametrize("place", ["s3"], indirect=True)
@pytest.mark.parametrize("damage", ["model gone", "record corrupt"])
def test_a_version_that_cannot_be_finished_is_made_again(store: ModelStore, damage: str) -> None:
    version = save(store, "first", "r")
    (store.folder(version) / "metadata.json").unlink()
    if damage == "model gone":
        (store.folder(version) / "model.joblib").unlink()
    else:
        (begun,) = entries(store.root / "runs")
        begun.path.write_bytes(b"{")
    assert store.find("r", MOMENT, "i") is None
    again = save(store, "again", "r", second=9)
    assert store.versions() == [again]
    assert store.load(again) == "again"


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_version_that_a_prune_has_marked_stays_when_its_run_asks_for_it(store: ModelStore) -> None:
    version = save(store, "first", "r")
    (store.folder(version) / BEING_PRUNED).write_bytes(
        b""
    )  # the prune may still find it promoted, and keep it
    assert store.find("r", MOMENT, "i") == version
    assert store.load(version) == "first"


@in_one_step
def test_a_run_whose_version_was_pruned_makes_a_new_one(store: ModelStore) -> None:
    first = save(store, 1, "a", hour=1)
    save(store, 2, "b", hour=2)
    assert store.prune(1, run_id="b") == [first]
    assert store.find("a", MOMENT, "i") is None
    again = save(store, 3, "a", hour=3)
    assert store.load(again) == 3
    assert store.versions()[-1] == again


@pytest.mark.parametrize("place", ["disk"], indirect=True)
def test_a_version_of_an_earlier_release_is_found(store: ModelStore) -> None:
    version = save(store, 1, "r")
    renamed = f"{version[:-8]}0123abcd"  # then the hash was that of the model
    record = {**store.metadata(version), "version": renamed}
    Path(str(store.folder(version))).rename(str(store.folder(renamed)))
    write_atomic(store.folder(renamed) / "metadata.json", seal(record))
    assert store.find("r", MOMENT, "i") == renamed
