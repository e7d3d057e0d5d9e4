"""The champion: which version predicts, whatever is damaged, and how the pointer moves."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable

import pytest
from stores import MOMENT, save, together, two_champions
from upath import UPath

from batch_serving.registry.store import Loaded, ModelStore
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.files import sha256


def test_a_broken_champion_falls_back_to_the_one_before(
    store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = save(store, "first", "a", hour=1), save(store, "second", "b", hour=2)
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
    first, second = save(store, 1, "a", hour=1), save(store, 2, "b", hour=2)
    store.promote(first, expect=None, run_id="a", reason="")
    with pytest.raises(ModelStoreError, match="clear `compare`"):
        store.promote(second, expect=None, run_id="b", reason="")
    pointer = store.champion()
    assert pointer is not None
    assert (pointer.version, pointer.previous) == (first, None)


def flip(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


DAMAGES: dict[str, Callable[[UPath, UPath], object]] = {
    "a bit flipped": lambda path, other: path.write_bytes(flip(path.read_bytes())),
    "cut": lambda path, other: path.write_bytes(path.read_bytes()[:-20]),
    "empty": lambda path, other: path.write_bytes(b""),
    "deleted": lambda path, other: path.unlink(),
    "swapped": lambda path, other: path.write_bytes(other.read_bytes()),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["model.joblib", "metadata.json"])
def test_a_champion_with_any_damage_is_reported_and_the_one_before_predicts(
    store: ModelStore, name: str, damage: str
) -> None:
    first, second = two_champions(store)
    DAMAGES[damage](store.folder(second) / name, store.folder(first) / name)
    found = store.load_champion()
    assert found is not None
    assert (found.version, found.model) == (first, "first")
    assert second in found.problem


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_pointer_with_any_damage_is_reported_and_the_history_has_the_champion(
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
    # What the error says to do.
    store.promote(second, expect=second, run_id="repaired", reason="by hand")
    assert store.load_champion() == Loaded(second, "second")
    pointer = store.champion()
    assert pointer is not None
    assert (pointer.version, pointer.previous) == (second, first)


@pytest.mark.parametrize("damage", [name for name in DAMAGES if name != "deleted"])
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


def test_without_a_usable_version_there_is_an_error(store: ModelStore) -> None:
    first, second = two_champions(store)
    for version in (first, second):
        (store.folder(version) / "model.joblib").write_bytes(b"")
    with pytest.raises(ModelStoreError, match=f"{second} cannot be used.*{first} cannot be used"):
        store.load_champion()


# fsspec's memory store cannot compare and write in one step.
in_one_step = pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)


@in_one_step
@pytest.mark.parametrize("round_", range(3))
def test_of_many_promotions_at_the_same_time_one_succeeds_and_the_others_fail(
    store: ModelStore, round_: int
) -> None:
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
    assert [line["version"] for line in store.history()] == [pointer.version]
    assert len(lost) == len(versions) - 1
    assert all("clear `compare`" in text for text in lost)


def test_a_promotion_that_was_rolled_back_is_not_made_again_by_clearing_it(
    store: ModelStore, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = two_champions(store)
    store.promote(first, expect=second, run_id="c", reason="", verdict="rolled back")
    assert store.promote(second, expect=first, run_id="b", reason="").version == first
    assert f"run b has promoted {second} before" in caplog.text
    assert store.promote(second, expect=first, run_id="d", reason="").version == second


def test_promoting_the_champion_again_adds_no_line(store: ModelStore) -> None:
    _, second = two_champions(store)
    before = store.history()
    assert store.promote(second, expect=second, run_id="by hand", reason="").version == second
    assert store.history() == before


def test_a_version_that_is_not_whole_is_not_promoted(store: ModelStore) -> None:
    version = save(store, 1)
    (store.folder(version) / "model.joblib").write_bytes(b"corrupt")
    with pytest.raises(ModelStoreError, match="is not what was saved"):
        store.promote(version, expect=None, run_id="r", reason="")
    assert store.champion() is None


@pytest.mark.parametrize("record", [b"[]", b"{}", b'{"version": "x"}', b"[" * 100_000])
def test_a_record_that_is_not_valid_falls_back_too(store: ModelStore, record: bytes) -> None:
    first, second = two_champions(store)
    (store.folder(second) / "metadata.json").write_bytes(record)
    found = store.load_champion()
    assert found is not None
    assert found.version == first
