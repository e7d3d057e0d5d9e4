"""What is suggested for a name, and when only one name can be meant."""

from __future__ import annotations

import pytest

from batch_serving.shared.suggestions import closest, did_you_mean, edits, meant, suggest


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [
        ("retries", "retries", 0),
        ("retires", "retries", 1),
        ("retrie", "retries", 1),
        ("retriess", "retries", 1),
        ("retriez", "retries", 1),
        ("ertreis", "retries", 2),
        ("", "abc", 3),
    ],
)
def test_the_number_of_edits(one: str, other: str, distance: int) -> None:
    assert edits(one, other, 9) == distance
    assert edits(other, one, 9) == distance


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("retires", ["retries", "retry_delay"], "retries"),
        ("left3", ["left1", "left2"], None),
        ("c", ["a", "b"], None),
        ("no", ["now", "run_id"], "now"),
        ("ownr", ["owner", "pool"], "owner"),
        ("Retries", ["retries"], "retries"),
        ("colour", ["schedule"], None),
        ("retries", ["retries"], "retries"),
    ],
)
def test_what_is_meant_for_certain(name: str, known: list[str], expected: str | None) -> None:
    assert meant(name, known) == expected


def test_two_that_are_as_near_are_a_hint_and_not_certain() -> None:
    found = suggest("left3", ["left1", "left2"])
    assert found is not None
    assert (found.name, found.certain) == ("left1", False)
    assert did_you_mean("left3", ["left1", "left2"]) == "did you mean 'left1'?"


def test_what_is_only_similar_is_not_certain() -> None:
    found = suggest("none_failed_or_skipped", ["none_failed", "none_skipped"])
    assert found is not None
    assert not found.certain


def test_the_closest_name_is_suggested_if_it_is_close() -> None:
    assert closest("acuracy", ["f1", "accuracy"]) == "accuracy"
    assert closest("recall", ["f1", "accuracy"]) is None
    assert did_you_mean("acuracy", ["accuracy"]) == "did you mean 'accuracy'?"
    assert did_you_mean("recall", ["accuracy"]) == ""


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("from_json", "tojson"),
        ("b64decode", "b64encode"),
        ("upper", "lower"),
        ("include_dags", "exclude_dags"),
    ],
)
def test_the_opposite_is_not_what_is_meant(name: str, known: str) -> None:
    assert suggest(name, [known]) is None
    assert did_you_mean(name, [known, f"{name}s"]) == f"did you mean '{name}s'?"
