"""Of several senders, one announces a failure; one that died before it sent does not keep the others silent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from running_airflow import ROOT
from stores import together

from batch_serving.notices import claims
from batch_serving.notices.claims import Announced
from batch_serving.shared.files import write_atomic
from batch_serving.shared.paths import output_path
from batch_serving.shared.reading import entries
from batch_serving.shared.unreachable import UnreachableError

in_one_step = pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)


def new_id(age: timedelta = timedelta(0)) -> str:
    """A UUID of version 7, as Airflow gives to each try of a task."""
    milliseconds = int((datetime.now(UTC) - age).timestamp() * 1000)
    return str(uuid.UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | uuid.uuid4().int % 2**62))


def left_open(path: object, seconds: float) -> None:
    """Write the claim of a sender that was killed before it sent."""
    content = {"sender": "killed", "at": time.time() - seconds, "outcome": ""}
    write_atomic(path, json.dumps(content).encode())


@in_one_step
def test_a_claimed_failure_cannot_be_claimed_again(place: str) -> None:
    instance = new_id()
    path = claims.of_task(instance, 1, "slack_webhook")
    assert claims.announced(instance, 1) is Announced.NO
    claim = claims.claim(path)
    assert claim is not None
    assert claims.announced(instance, 1) is Announced.PENDING
    assert claims.claim(path) is None
    claim.close("sent")
    assert claims.announced(instance, 1) is Announced.YES
    assert claims.claim(path) is None


@in_one_step
def test_of_many_claimants_at_once_one_wins(place: str) -> None:
    path = claims.of_task(new_id(), 1, "slack_webhook")
    won: list[bool] = []
    together([lambda: won.append(claims.claim(path) is not None)] * 8)
    assert sorted(won) == [False] * 7 + [True]


def test_of_many_processes_at_once_one_wins(output: Path) -> None:
    path = claims.of_task(new_id(), 1, "slack_webhook")
    command = [sys.executable, "-c", CLAIM_TEN_TIMES, str(path)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    together([partial(process.communicate, "go\n") for process in processes])
    assert sorted(process.returncode for process in processes) == [0, 0, 0, 1]  # how many each has won


CLAIM_TEN_TIMES = """
import sys
from upath import UPath
from batch_serving.notices import claims
print("ready", flush=True)
sys.stdin.readline()
sys.exit(sum(claims.claim(UPath(sys.argv[1])) is not None for _ in range(10)))
"""


@in_one_step
def test_a_claim_whose_sender_died_is_taken_over_by_one(place: str) -> None:
    instance = new_id()
    path = claims.of_task(instance, 1, "slack_webhook")
    left_open(path, claims.ABANDONED_AFTER_S - 5)
    assert claims.announced(instance, 1) is Announced.PENDING
    assert claims.claim(path) is None
    left_open(path, claims.ABANDONED_AFTER_S + 5)
    assert claims.announced(instance, 1) is Announced.NO
    won: list[bool] = []
    together([lambda: won.append(claims.claim(path) is not None)] * 4)
    assert sum(won) == 1


@pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)
def test_tries_task_instances_and_connections_are_claimed_apart(place: str) -> None:
    first, second = new_id(), new_id()
    for path in (
        claims.of_task(first, 1, "slack_webhook"),
        claims.of_task(first, 1, "other"),
        claims.of_task(first, 11, "slack_webhook"),
        claims.of_task(second, 1, "slack_webhook"),
    ):
        claim = claims.claim(path)
        assert claim is not None
        claim.close("sent")
    assert claims.announced(first, 2) is Announced.NO
    assert claims.announced(new_id(), 1) is Announced.NO
    assert claims.announced(first, 1) is Announced.YES


def test_what_is_in_a_claims_file_does_not_keep_a_message_back(output: Path) -> None:
    path = claims.of_task(new_id(), 1, "slack_webhook")
    write_atomic(path, b"{")
    assert claims.claim(path) is not None


def test_a_folder_that_cannot_be_written_is_an_error(output: Path) -> None:
    output.write_text("a file in the place of the folder")
    with pytest.raises(UnreachableError):
        claims.claim(claims.of_task(new_id(), 1, "slack_webhook"))


def test_the_claim_on_what_is_stale_is_pruned_only_when_it_was_stale_again_since(output: Path) -> None:
    month_ago = time.time() - (claims.KEEP_DAYS + 1) * 24 * 3600
    moments = [None, datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)]
    paths = {
        (name, moment): claims.of_stale(name, moment)
        for name in ("weather", "models/a")
        for moment in moments
    }
    for path in paths.values():
        claim = claims.claim(path)
        assert claim is not None
        claim.close("sent")
        os.utime(str(path), (month_ago, month_ago))
    once = claims.of_stale("models/b", None)
    assert claims.claim(once) is not None
    claims.prune()
    kept = {path.name for path in [*paths.values(), once] if path.exists()}
    assert kept == {paths["weather", moments[-1]].name, paths["models/a", moments[-1]].name, once.name}


@in_one_step
def test_old_claims_are_pruned(place: str) -> None:
    new, old = new_id(), new_id(timedelta(days=claims.KEEP_DAYS + 1))
    for instance in (new, old):
        claim = claims.claim(claims.of_task(instance, 1, "slack_webhook"))
        assert claim is not None
        claim.close("sent")
    started = claims.watched_since(100.0)
    folders = len(entries(output_path("notifications")))
    claims.prune()
    assert len(entries(output_path("notifications"))) == folders - 1
    assert claims.announced(new, 1) is Announced.YES
    assert (claims.is_old(new), claims.is_old(old)) == (False, True)
    assert claims.watched_since(200.0) == started == 100.0
