"""Which version is the contender, and what is kept of its trial."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from stores import save

from batch_serving.registry.contender import CONTENDER, Trial, TrialState, read_trial, write_trial
from batch_serving.registry.store import ModelStore
from batch_serving.shared.files import ChangedError

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def versions_of(store: ModelStore, number: int) -> list[str]:
    return [save(store, count, f"run {count}", hour=count) for count in range(number)]


def test_the_newest_version_after_the_champion_is_the_contender(store: ModelStore) -> None:
    assert store.contender() is None
    first, _, third = versions_of(store, 3)
    assert store.contender() is None  # without a champion
    store.promote(first, expect=None, run_id="a", reason="")
    assert store.contender() == third
    store.promote(third, expect=first, run_id="b", reason="")
    assert store.contender() is None
    store.promote(first, expect=third, run_id="c", reason="", verdict="rolled back")
    assert store.contender() is None  # the second is older than one that was rolled back
    fourth = save(store, 4, "run 4", hour=4)
    assert store.contender() == fourth


def test_a_trial_keeps_its_contender_until_the_champion_changes(store: ModelStore) -> None:
    first, second, third = versions_of(store, 3)
    store.promote(first, expect=None, run_id="a", reason="")
    trial = Trial(second, first, NOW, 0.02, "mean_absolute_error", 3.5)
    write_trial(store.root, TrialState(trial, "", 0.1, NOW), "")
    assert read_trial(store.root, NOW)[0] == TrialState(trial, "", 0.1, NOW)
    assert store.contender() == second
    fourth = save(store, 4, "run 4", hour=4)
    store.promote(third, expect=first, run_id="b", reason="")
    assert store.contender() == fourth


def test_a_version_whose_trial_has_ended_is_not_the_contender_again(store: ModelStore) -> None:
    first, _, third = versions_of(store, 3)
    store.promote(first, expect=None, run_id="a", reason="")
    write_trial(store.root, TrialState(ended=third), "")
    assert store.contender() is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"trial": 1, "ended": "", "saved": 0, "saved_at": null}', b"[" * 100_000]
)
def test_of_a_corrupt_file_nothing_is_known_and_the_budget_starts_empty(
    store: ModelStore, content: bytes
) -> None:
    first, second = versions_of(store, 2)
    store.promote(first, expect=None, run_id="a", reason="")
    (store.root / CONTENDER).write_bytes(content)
    assert read_trial(store.root, NOW)[0] == TrialState(saved_at=NOW)
    assert store.contender() == second


def test_of_two_that_write_only_the_first_counts(store: ModelStore) -> None:
    versions_of(store, 1)
    _, tag = read_trial(store.root, NOW)
    write_trial(store.root, TrialState(ended="a"), tag)
    with pytest.raises(ChangedError):
        write_trial(store.root, TrialState(ended="b"), tag)
    assert read_trial(store.root, NOW)[0].ended == "a"
