"""The history: one line per verdict, whatever was cleared or killed."""

from __future__ import annotations

import pytest
from stores import save, together, two_champions

from batch_serving.registry.store import ModelStore


def test_history_has_one_line_per_verdict_however_often_it_is_written(store: ModelStore) -> None:
    version = save(store, 1)
    for _ in range(3):
        store.promote(version, expect=None, run_id="a", reason="first")
        store.record("kept", version, run_id="b", reason="no better")
    assert [entry["verdict"] for entry in store.history()] == ["promoted", "kept"]


def test_a_promotion_killed_before_its_line_is_in_the_history_all_the_same(store: ModelStore) -> None:
    first, second = save(store, 1, hour=1), save(store, 2, hour=2)
    store.promote(first, expect=None, run_id="a", reason="first")
    (store.root / "history.jsonl").unlink()  # as if it was never written
    store.record("kept", second, run_id="b", reason="no better")
    assert [(line["verdict"], line["version"]) for line in store.history()] == [
        ("promoted", first),
        ("kept", second),
    ]


def test_a_promotion_killed_before_its_line_has_it_though_another_follows(store: ModelStore) -> None:
    first, second = two_champions(store)
    third = save(store, "third", "c", hour=3)
    path = store.root / "history.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[0])  # the second line was never written
    store.promote(third, expect=second, run_id="c", reason="")
    assert [line["version"] for line in store.history()] == [first, second, third]


# fsspec's memory store cannot compare and write in one step.
in_one_step = pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)


@in_one_step
def test_of_many_that_save_and_write_the_history_at_the_same_time_nothing_is_lost(store: ModelStore) -> None:
    def work(number: int) -> None:
        own = ModelStore("digits")
        version = save(own, number, f"run {number}", hour=number)
        own.record("kept", version, run_id=f"run {number}", reason="")

    together([lambda number=number: work(number) for number in range(8)])
    assert len(store.versions()) == 8
    assert sorted(line["run_id"] for line in store.history()) == [f"run {number}" for number in range(8)]


def test_a_verdict_that_changes_within_a_run_has_its_line(store: ModelStore) -> None:
    version = save(store, 1)
    store.record("kept", version, run_id="r", reason="not better by enough")
    store.promote(version, expect=None, run_id="r", reason="the policy was corrected")
    store.record("kept", version, run_id="r", reason="is the champion already")
    assert [line["verdict"] for line in store.history()] == ["kept", "promoted"]
