"""Queries have a time limit, run once, and are remembered as long as their files are the same."""

from __future__ import annotations

import threading
import time

import pytest

from batch_page.queries import Expiring, Queries, Remembered, UnavailableError
from batch_serving.shared.unreachable import UnreachableError


def test_an_answer_that_does_not_come_is_not_waited_for_and_asked_for_once() -> None:
    queries, go_on, calls = Queries(limit_s=0.05), threading.Event(), []

    def slow() -> str:
        calls.append(1)
        go_on.wait(10)
        return "late"

    for _ in range(3):
        with pytest.raises(UnavailableError, match="has not answered within 0.05 s"):
            queries.answer("a", slow)
    assert len(calls) == 1
    assert queries.answer("b", lambda: "other") == "other"
    go_on.set()
    deadline = time.monotonic() + 5
    while queries._running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert queries.answer("a", lambda: "new") == "new"


def test_what_a_query_raises_is_raised_and_a_storage_that_is_away_is_unavailable() -> None:
    def refused() -> str:
        raise UnreachableError("s3://b", "read", "the connection is refused", "start it")

    with pytest.raises(UnavailableError, match="the connection is refused; start it"):
        Queries().answer("a", refused)
    with pytest.raises(KeyError):
        Queries().answer("b", lambda: {}["x"])


def test_too_many_that_hang_are_refused_soon() -> None:
    queries, go_on = Queries(limit_s=0.001, threads=1), threading.Event()
    for number in range(32):
        with pytest.raises(UnavailableError):
            queries.answer(number, lambda: go_on.wait(10))
    with pytest.raises(UnavailableError, match="too much is being read"):
        queries.answer("one more", lambda: 1)
    go_on.set()


def test_an_answer_is_made_again_when_its_files_have_changed_and_few_are_kept() -> None:
    remembered, made = Remembered(most=2), []

    def make() -> int:
        made.append(1)
        return len(made)

    assert [remembered.get("a", "tag", make), remembered.get("a", "tag", make)] == [1, 1]
    assert remembered.get("a", "other tag", make) == 2
    for name in "bc":
        remembered.get(name, "tag", make)
    assert remembered.get("a", "other tag", make) == 5


def test_an_answer_expires() -> None:
    made: list[int] = []
    kept = Expiring(0.02)
    first = kept.get(lambda: made.append(1) or len(made))
    assert kept.get(lambda: made.append(1) or len(made)) == first
    time.sleep(0.03)
    assert kept.get(lambda: made.append(1) or len(made)) == 2
