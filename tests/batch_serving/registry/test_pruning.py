"""Pruning: what is removed, and what is protected."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from stores import save, together, two_champions
from upath import UPath

from batch_serving.registry import saving
from batch_serving.registry.saving import PRUNED, STAGING
from batch_serving.registry.store import BEING_PRUNED, ModelStore
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.files import delete

# fsspec's memory store cannot compare and write in one step.
in_one_step = pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)


@in_one_step
@pytest.mark.parametrize("round_", range(8))
def test_a_prune_that_meets_a_promotion_leaves_a_champion_that_is_whole(
    store: ModelStore, round_: int
) -> None:
    versions = [save(store, number, f"run {number}", hour=number) for number in range(4)]
    store.promote(versions[-1], expect=None, run_id="first", reason="")
    errors = []

    def promote() -> None:
        time.sleep(round_ * 0.01)
        try:
            ModelStore("digits").promote(versions[0], expect=versions[-1], run_id="by hand", reason="")
        except ModelStoreError as error:
            errors.append(str(error))

    together([promote, lambda: ModelStore("digits").prune(1, run_id="prune") and None])
    loaded = store.load_champion()
    assert loaded is not None
    assert (loaded.version, loaded.problem) == (versions[-1] if errors else versions[0], "")
    assert set(store.versions()) >= {loaded.version, versions[-1]}
    assert not list(store.root.glob("versions/*/being-pruned"))


@pytest.mark.parametrize("place", ["disk"], indirect=True)
def test_a_prune_that_was_killed_leaves_a_line_for_each_version_it_removed(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [save(store, number, f"run {number}", hour=number) for number in range(4)]
    removed: list[object] = []

    def killed_at_the_second(path: UPath) -> None:
        removed.append(path)
        if len(removed) == 2:
            raise KeyboardInterrupt
        delete(path)

    monkeypatch.setattr(saving, "delete", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        store.prune(1, run_id="c")
    monkeypatch.undo()
    store.prune(1, run_id="d")
    assert store.versions() == made[3:]
    assert [line["version"] for line in store.history()] == made[:3]


@pytest.mark.parametrize("place", ["disk"], indirect=True)
def test_what_a_killed_prune_left_is_not_in_the_way_of_a_version_of_the_same_name(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = save(store, 0, "run 0", hour=0)
    save(store, 1, "run 1", hour=1)

    def killed(path: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(saving, "delete", killed)
    with pytest.raises(KeyboardInterrupt):
        store.prune(1, run_id="c")
    monkeypatch.undo()
    assert save(store, 0, "run 0", hour=0) == first, "the same training at the same second has the same name"
    assert store.prune(1, run_id="d") == [first]
    assert list(store.root.glob("versions/.pruned-*")) == []


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
    with pytest.raises(ModelStoreError, match="champion.json is corrupt"):
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
        removed, stays = [old, half], [new]
    else:
        old, new = versions / "20200101T000000Z-00000000", versions / "20990101T000000Z-00000000"
        for path in (old, new):
            (path / "model.joblib").write_bytes(b"half")
        removed, stays = [old], [new]
    assert store.versions() == [version]
    store.prune(1, run_id="c")
    assert [path for path in removed if path.exists()] == []
    assert [path for path in stays if not path.exists()] == []
    assert store.versions() == [version]


def test_prune_removes_nothing_if_the_champion_does_not_exist(store: ModelStore) -> None:
    two_champions(store)
    (store.root / "champion.json").write_bytes(b'{"version": "nope", "previous": null}')
    with pytest.raises(
        ModelStoreError,
        match="champion.json names nope, which does not exist: it is not known which versions to protect",
    ):
        store.prune(1, run_id="c")
    assert len(store.versions()) == 2


def test_prune_removes_nothing_if_the_pointer_is_missing(store: ModelStore) -> None:
    two_champions(store)
    (store.root / "champion.json").unlink()
    with pytest.raises(
        ModelStoreError, match="champion.json is missing: it is not known which versions to protect"
    ):
        store.prune(1, run_id="c")
    assert len(store.versions()) == 2


def test_prune_removes_nothing_if_the_history_is_not_known_either(store: ModelStore) -> None:
    two_champions(store)
    (store.root / "champion.json").unlink()
    (store.root / "history.jsonl").write_bytes(b'{"verdict": "promo')
    with pytest.raises(ModelStoreError, match="it is not known which versions to protect"):
        store.prune(1, run_id="c")
    assert len(store.versions()) == 2


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_promotion_that_an_outage_kept_from_seeing_a_prune_is_taken_back_by_its_next_try(
    store: ModelStore,
) -> None:
    old, new = save(store, "old", "a", hour=1), save(store, "new", "b", hour=2)
    store.promote(new, expect=None, run_id="first", reason="")
    store.promote(old, expect=new, run_id="by hand", reason="")
    (store.folder(old) / BEING_PRUNED).touch()
    with pytest.raises(ModelStoreError, match=f"{old} is being pruned, and was not promoted"):
        store.promote(old, expect=new, run_id="by hand", reason="")
    champion = store.champion()
    assert champion is not None
    assert champion.versions == [new]


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_a_mark_that_a_killed_prune_left_on_the_champion_is_removed(store: ModelStore) -> None:
    first, second = two_champions(store)
    for version in (first, second):
        (store.folder(version) / BEING_PRUNED).touch()
    assert store.prune(1, run_id="c") == []
    assert not list(store.root.glob("versions/*/being-pruned"))
    assert store.before_champion() == first
