"""Counts and lists in messages."""

from __future__ import annotations

from batch_serving.shared.wording import counted, shortened


def test_counts_agree_with_their_noun() -> None:
    assert [counted(number, "row") for number in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]


def test_long_lists_are_cut() -> None:
    assert shortened(["a", "b"]) == "a, b"
    assert shortened([str(number) for number in range(7)]) == "0, 1, 2, 3, 4 and 2 more"
