"""The store, on disk and on an object store that fsspec keeps in memory."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from upath import UPath

from callables._files import sha256
from callables._model_store import Loaded, ModelStore
from callables._model_versions import PRUNED, STAGING, ModelStoreError

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(place: str) -> ModelStore:
    return ModelStore("digits")


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
    assert store.load_champion() == Loaded(second, "second")
    (store.folder(second) / "model.joblib").unlink()
    found = store.load_champion()
    assert found is not None
    assert (found.version, found.model) == (first, "first")
    assert f"{second} cannot be used: " in found.problem
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
    found = store.load_champion()
    assert found is not None
    assert (found.version, found.model) == (first, "first")


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
        store.record("kept", version, run_id="b", reason="no better")
    assert [entry["verdict"] for entry in store.history()] == ["promoted", "kept"]


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
    with pytest.raises(ModelStoreError, match="that is not a version's name"):
        store.metadata(version)
    with pytest.raises(ModelStoreError, match="that is not a version's name"):
        store.promote(version, expect=None, run_id="r", reason="")


def two_champions(store: ModelStore) -> tuple[str, str]:
    """The one before, and the champion."""
    first, second = save(store, "first", "a", hour=1), save(store, "second", "b", hour=2)
    store.promote(first, expect=None, run_id="a", reason="")
    store.promote(second, expect=first, run_id="b", reason="")
    return first, second


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[UPath, UPath], object]] = {
    "a bit flipped": lambda path, other: path.write_bytes(flip(path.read_bytes())),
    "cut": lambda path, other: path.write_bytes(path.read_bytes()[:-20]),
    "empty": lambda path, other: path.write_bytes(b""),
    "gone": lambda path, other: path.unlink(),
    "swapped": lambda path, other: path.write_bytes(other.read_bytes()),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["model.joblib", "metadata.json"])
def test_a_champion_with_any_damage_is_told_and_the_one_before_predicts(
    store: ModelStore, name: str, damage: str
) -> None:
    first, second = two_champions(store)
    DAMAGES[damage](store.folder(second) / name, store.folder(first) / name)
    found = store.load_champion()
    assert found is not None
    assert (found.version, found.model) == (first, "first")
    assert second in found.problem


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_pointer_with_any_damage_is_told_and_the_history_says_who_was_champion(
    store: ModelStore, damage: str
) -> None:
    first, second = two_champions(store)
    other = ModelStore("other")
    two_champions(other)
    history = other.root / "history.jsonl"
    DAMAGES[damage](store.root / "champion.json", history)
    found = store.load_champion()
    assert found is not None
    assert (found.version, found.model) == (second, "second")
    assert "champion.json" in found.problem
    # The way out that the error names.
    store.promote(second, expect=second, run_id="mended", reason="by hand")
    assert store.load_champion() == Loaded(second, "second")
    pointer = store.champion()
    assert pointer is not None
    assert (pointer["version"], pointer["previous"]) == (second, first)


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "gone"])
def test_a_history_with_any_damage_keeps_its_other_lines(
    store: ModelStore, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, second = two_champions(store)
    DAMAGES[damage](store.root / "history.jsonl", store.folder(second) / "metadata.json")
    assert store.load_champion() == Loaded(second, "second")
    before = (store.root / "history.jsonl").read_bytes()
    store.record("kept", second, run_id="c", reason="no better")
    assert (store.root / "history.jsonl").read_bytes().startswith(before)
    assert store.history()[-1]["verdict"] == "kept"


def test_nothing_that_can_be_used_is_an_error_and_no_prediction(store: ModelStore) -> None:
    first, second = two_champions(store)
    for version in (first, second):
        (store.folder(version) / "model.joblib").write_bytes(b"")
    with pytest.raises(ModelStoreError, match=f"{second} cannot be used.*{first} cannot be used"):
        store.load_champion()


def test_a_model_of_another_scikit_learn_is_reported(
    store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    metadata = {"run_id": "r", "inputs": "i", "metrics": {}, "libraries": {"scikit-learn": "0.1"}}
    version = store.save("x", metadata, MOMENT)
    assert store.load(version) == "x"
    assert "was made with scikit-learn 0.1, and" in caplog.text


def test_a_promotion_killed_before_its_line_is_in_the_history_all_the_same(store: ModelStore) -> None:
    first, second = save(store, 1, hour=1), save(store, 2, hour=2)
    store.promote(first, expect=None, run_id="a", reason="first")
    (store.root / "history.jsonl").unlink()  # as if it was never written
    store.record("kept", second, run_id="b", reason="no better")
    assert [(line["verdict"], line["version"]) for line in store.history()] == [
        ("promoted", first),
        ("kept", second),
    ]


# fsspec's memory store has no way to compare and write in one.
in_one_step = pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)


@in_one_step
@pytest.mark.parametrize("round_", range(3))
def test_of_many_promoters_at_once_one_wins_and_the_others_know(store: ModelStore, round_: int) -> None:
    versions = [save(store, number, f"run {number}", hour=number) for number in range(6)]
    start = threading.Barrier(len(versions))
    lost = []

    def promote(version: str) -> None:
        start.wait()
        try:
            ModelStore("digits").promote(version, expect=None, run_id=f"of {version}", reason="")
        except ModelStoreError as error:
            lost.append(str(error))

    together([lambda version=version: promote(version) for version in versions])
    pointer = store.champion()
    assert pointer is not None
    assert [line["version"] for line in store.history()] == [pointer["version"]]
    assert len(lost) == len(versions) - 1
    assert all("clear `compare`" in text for text in lost)


@in_one_step
@pytest.mark.parametrize("round_", range(8))
def test_a_prune_that_meets_a_promotion_leaves_a_champion_that_is_whole(
    store: ModelStore, round_: int
) -> None:
    versions = [save(store, number, f"run {number}", hour=number) for number in range(4)]
    store.promote(versions[-1], expect=None, run_id="first", reason="")
    told = []

    def promote() -> None:
        time.sleep(round_ * 0.01)
        try:
            ModelStore("digits").promote(versions[0], expect=versions[-1], run_id="by hand", reason="")
        except ModelStoreError as error:
            told.append(str(error))

    together([promote, lambda: ModelStore("digits").prune(1, run_id="prune") and None])
    loaded = store.load_champion()
    assert loaded is not None
    assert (loaded.version, loaded.problem) == (versions[-1] if told else versions[0], "")
    assert set(store.versions()) >= {loaded.version, versions[-1]}
    assert not list(store.root.glob("versions/*/being-pruned"))


@in_one_step
def test_runs_that_make_the_same_model_in_one_second_keep_a_version_each(store: ModelStore) -> None:
    made: dict[str, str] = {}

    def work(number: int) -> None:
        made[f"run {number}"] = save(ModelStore("digits"), "the same", f"run {number}")

    together([lambda number=number: work(number) for number in range(4)])
    assert sorted(made.values()) == store.versions()
    assert {store.metadata(version)["run_id"]: version for version in store.versions()} == made


def test_a_promotion_killed_before_its_line_has_it_though_another_follows(store: ModelStore) -> None:
    first, second = two_champions(store)
    third = save(store, "third", "c", hour=3)
    path = store.root / "history.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])  # the second line was never written
    store.promote(third, expect=second, run_id="c", reason="")
    assert [line["version"] for line in store.history()] == [first, second, third]


@pytest.mark.parametrize("place", ["disk"], indirect=True)
def test_a_prune_that_was_killed_leaves_a_line_for_each_version_it_removed(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = [save(store, number, f"run {number}", hour=number) for number in range(4)]
    remove, removed = shutil.rmtree, []

    def killed_at_the_second(path: Path, **more: object) -> None:
        removed.append(path)
        if len(removed) == 2:
            raise KeyboardInterrupt
        remove(path)

    monkeypatch.setattr(shutil, "rmtree", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        store.prune(1, run_id="c")
    monkeypatch.undo()
    store.prune(1, run_id="d")
    assert store.versions() == versions[3:]
    assert [line["version"] for line in store.history()] == versions[:3]


@in_one_step
def test_of_many_that_save_and_write_the_history_at_once_nothing_is_lost(store: ModelStore) -> None:
    def work(number: int) -> None:
        own = ModelStore("digits")
        version = save(own, number, f"run {number}", hour=number)
        own.record("kept", version, run_id=f"run {number}", reason="")

    together([lambda number=number: work(number) for number in range(8)])
    assert len(store.versions()) == 8
    assert sorted(line["run_id"] for line in store.history()) == [f"run {number}" for number in range(8)]


def together(calls: list[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_prune_protects_the_champion_the_one_before_and_the_newest(store: ModelStore) -> None:
    versions = [save(store, number, f"run {number}", hour=number) for number in range(6)]
    store.promote(versions[0], expect=None, run_id="a", reason="")
    store.promote(versions[2], expect=versions[0], run_id="b", reason="")
    assert store.prune(2, run_id="c") == [versions[1], versions[3]]
    assert store.versions() == [versions[0], versions[2], versions[4], versions[5]]
    assert store.prune(2, run_id="c") == []
    assert [line["version"] for line in store.history() if line["verdict"] == "pruned"] == [
        versions[1],
        versions[3],
    ]
    names = {path.name for path in (store.root / "versions").iterdir()}
    assert names == set(store.versions())


def test_prune_removes_nothing_while_it_cannot_know_the_champion(store: ModelStore) -> None:
    two_champions(store)
    (store.root / "champion.json").write_bytes(b"{")
    with pytest.raises(ModelStoreError, match="champion.json is spoilt"):
        store.prune(1, run_id="c")
    assert len(store.versions()) == 2
    with pytest.raises(ValueError, match="keep is 0; it must be 1 or more"):
        store.prune(0, run_id="c")


def test_prune_clears_what_kills_left_a_day_ago(store: ModelStore) -> None:
    version = save(store, 1)
    versions = store.root / "versions"
    if store.root.protocol in ("", "file"):
        old, new, half = (
            Path(str(versions / name)) for name in (f"{STAGING}old", f"{STAGING}new", f"{PRUNED}x")
        )
        for path in (old, new, half):
            path.mkdir()
            (path / "model.joblib").write_bytes(b"half")
        os.utime(old, (0, 0))
        gone, stays = [old, half], [new]
    else:
        old, new = versions / "20200101T000000Z-00000000", versions / "20990101T000000Z-00000000"
        for path in (old, new):
            (path / "model.joblib").write_bytes(b"half")
        gone, stays = [old], [new]
    assert store.versions() == [version]
    store.prune(1, run_id="c")
    assert [path for path in gone if path.exists()] == []
    assert [path for path in stays if not path.exists()] == []
    assert store.versions() == [version]


def test_a_verdict_that_changes_within_a_run_has_its_line(store: ModelStore) -> None:
    version = save(store, 1)
    store.record("kept", version, run_id="r", reason="not better by enough")
    store.promote(version, expect=None, run_id="r", reason="the policy was corrected")
    store.record("kept", version, run_id="r", reason="is the champion already")
    assert [line["verdict"] for line in store.history()] == ["kept", "promoted"]


def test_a_promotion_that_was_rolled_back_is_not_made_again_by_clearing_it(
    store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = two_champions(store)
    store.promote(first, expect=second, run_id="c", reason="", verdict="rolled back")
    assert store.promote(second, expect=first, run_id="b", reason="")["version"] == first
    assert f"run b has promoted {second} before" in caplog.text
    assert store.promote(second, expect=first, run_id="d", reason="")["version"] == second


def test_prune_removes_nothing_when_the_champion_is_not_there(store: ModelStore) -> None:
    two_champions(store)
    (store.root / "champion.json").write_bytes(b'{"version": "nope", "previous": null}')
    with pytest.raises(
        ModelStoreError, match="champion.json names nope, which is not there: nobody can tell"
    ):
        store.prune(1, run_id="c")
    assert len(store.versions()) == 2


def test_promoting_the_champion_again_adds_no_line(store: ModelStore) -> None:
    _, second = two_champions(store)
    before = store.history()
    assert store.promote(second, expect=second, run_id="by hand", reason="")["version"] == second
    assert store.history() == before


def test_prune_removes_nothing_when_the_pointer_is_gone(store: ModelStore) -> None:
    two_champions(store)
    (store.root / "champion.json").unlink()
    with pytest.raises(ModelStoreError, match="champion.json is gone: nobody can tell what must stay"):
        store.prune(1, run_id="c")
    assert len(store.versions()) == 2


def test_a_version_that_is_not_whole_is_not_promoted(store: ModelStore) -> None:
    version = save(store, 1)
    (store.folder(version) / "model.joblib").write_bytes(b"spoilt")
    with pytest.raises(ModelStoreError, match="is not what was saved"):
        store.promote(version, expect=None, run_id="r", reason="")
    assert store.champion() is None


def test_two_tasks_of_one_run_id_keep_both_their_models(store: ModelStore) -> None:
    together([lambda number=number: save(store, number, "same run") for number in range(4)])
    assert sorted(store.load(version) for version in store.versions()) == [0, 1, 2, 3]
    # Also when they have learnt the very same.
    again = save(store, 0, "another run")
    assert store.metadata(again)["run_id"] == "another run"


@pytest.mark.parametrize("record", [b"[]", b"{}", b'{"version": "x"}', b"[" * 100_000])
def test_a_record_that_is_none_falls_back_too(store: ModelStore, record: bytes) -> None:
    first, second = two_champions(store)
    (store.folder(second) / "metadata.json").write_bytes(record)
    found = store.load_champion()
    assert found is not None
    assert found.version == first
