"""The object storage is killed and started again while tasks work: the same files as without, and a run makes one version."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fault_steps import CommandError, outcome_of, write_inputs
from seaweedfs import SeaweedFs
from thorough import tries

from batch_serving.registry.store import ModelStore
from batch_serving.shared.files import write_atomic
from batch_serving.shared.paths import output_path
from batch_serving.shared.reading import identities_below
from batch_serving.shared.unreachable import UnreachableError

pytestmark = [pytest.mark.slow, pytest.mark.extra("cluster"), pytest.mark.timeout(900)]

PAIRS = 100
AT_ONCE = 10
ROUNDS = tries(1, 5)
RETRIES = 4


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    found = SeaweedFs(tmp_path_factory.mktemp("seaweedfs"))
    found.start()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in found.services.s3_settings.items():
            patch.setenv(name, value)
        patch.setenv("BATCH_S3_TIMEOUT_S", "5")
        yield found
    found.kill()


@pytest.fixture
def bucket(storage: SeaweedFs, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"b{uuid.uuid4().hex}"
    storage.services.s3_client().create_bucket(Bucket=name)
    monkeypatch.setenv("BATCH_OUTPUT", f"s3://{name}/output")
    return name


def files_of(storage: SeaweedFs, bucket: str) -> dict[str, bytes]:
    client = storage.services.s3_client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
    return {
        key.removeprefix("output/"): client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys
    }


def test_overlapping_tries_make_one_version_each(storage: SeaweedFs, bucket: str) -> None:
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    before = storage.kills
    draw = random.Random(1)
    ready = [threading.Barrier(2) for _ in range(PAIRS)]

    def work(number: int, half: int) -> tuple[int, str]:
        metadata = {"run_id": f"run {number}", "inputs": "i", "metrics": {"accuracy": 0.9}}
        made_at = moment + timedelta(minutes=number, seconds=half)
        ready[number].wait(60)
        return number, ModelStore("m").save({"number": number, "half": half}, metadata, made_at)

    found: set[tuple[int, str]] = set()
    for first in range(0, PAIRS, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        with storage.killed(draw.uniform(0, 0.5)), ThreadPoolExecutor(2 * AT_ONCE) as pool:
            calls = [pool.submit(work, number, half) for number in numbers for half in (0, 1)]
            found |= {call.result(300) for call in calls}
    store = ModelStore("m")
    print(f"\n  {PAIRS} pairs, {storage.kills - before} kills: {len(store.versions())} versions")
    assert len(found) == PAIRS, "the two tries of a run have different versions"
    assert store.versions() == sorted(version for _, version in found)
    for number, version in found:
        assert store.load(version)["number"] == number
        assert store.find(f"run {number}", moment, "i") == version


def test_a_listing_has_all_folders_from_the_first_to_the_last(bucket: str) -> None:
    root = output_path("predictions", "m")
    for name in ("date=2026-01-01/a.csv", "date=2026-01-02/b.csv", "date=2026-01-03/c.csv", "drift/d.csv"):
        write_atomic(root / name, b"x")
    found = identities_below(root, "date=2026-01-02", "date=2026-01-03")
    assert list(found) == ["date=2026-01-02/b.csv", "date=2026-01-03/c.csv"]
    assert all(found.values())


def until_done(ask: Callable[[], Any]) -> Any:
    """Ask again after a clear error, as Airflow does."""
    for left in reversed(range(RETRIES)):
        try:
            return ask()
        except (UnreachableError, CommandError):
            if not left:
                raise
            time.sleep(1)
    return None


def outcome(
    storage: SeaweedFs, bucket: str, folder: Path, faults: Callable[[], AbstractContextManager[None]]
) -> dict[str, Any]:
    """Run every task and command on a bucket, and return the files, as far as they are the same each time."""
    folder.mkdir(exist_ok=True)
    for step in write_inputs(folder).all.values():
        with faults():
            until_done(step)
    return outcome_of(files_of(storage, bucket), set())


@pytest.mark.parametrize("number", range(ROUNDS))
def test_every_task_leaves_the_same_files(
    storage: SeaweedFs, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.chdir(Path(__file__).resolve().parents[2])
    right = outcome(storage, bucket, tmp_path / "inputs", nullcontext)
    draw = random.Random(number)
    other = f"b{uuid.uuid4().hex}"
    storage.services.s3_client().create_bucket(Bucket=other)
    monkeypatch.setenv("BATCH_OUTPUT", f"s3://{other}/output")
    before = storage.kills
    found = outcome(storage, other, tmp_path / "inputs", lambda: storage.killed(draw.uniform(0, 0.3)))
    print(f"\n  {storage.kills - before} kills while 21 tasks and commands ran: the same {len(right)} files")
    assert storage.kills - before == 21
    assert found == right
