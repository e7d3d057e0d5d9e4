"""Every request to S3 fails, in each way: the same files as without, or a clear error; never a skip.

After an error the step is done once more, as Airflow or an operator does it, and then the files are the same.
"""

from __future__ import annotations

import copy
import csv
import io
import itertools
import json
import os
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import s3fs
from airflow.sdk.exceptions import AirflowSkipException
from fault_steps import RUN_AFTER, Steps, outcome_of, without_times, write_inputs
from s3_faults import BEFORE, WAYS, Faults, applies, proxy

from batch_serving.registry.store import ModelStore
from batch_serving.shared import object_storage
from callables import prediction

CLEAR = re.compile(r"s3://.+ cannot be (read|written|deleted): .+; .+")
SHARE = int(os.environ.get("FAULTS_SHARE", "37"))  # each request fails in one of so many ways; 1 for all
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600 if SHARE > 1 else 4 * 3600)]
PREFIX = "team[a] 1"
SINGLE = {way: (way, False) for way in WAYS}
LASTING = {f"{way}, lasting": (way, True) for way in ("403", "500 before", "500 after", "cut body")}
RARE = ("409 after", "412 after", "404 after", "cut listing")
ALL_WAYS = {**SINGLE, **LASTING}


@pytest.fixture(scope="module")
def faults(s3_settings: dict[str, str]) -> Iterator[Faults]:
    """Faults of a proxy that all clients use."""
    found = Faults()
    with proxy(s3_settings["AWS_ENDPOINT_URL"], found) as address, pytest.MonkeyPatch.context() as patch:
        for name, value in {**s3_settings, "AWS_ENDPOINT_URL": address}.items():
            patch.setenv(name, value)
        patch.setenv("BATCH_S3_TIMEOUT_S", "0.6")
        s3fs.S3FileSystem.clear_instance_cache()  # the address is read once
        yield found
    s3fs.S3FileSystem.clear_instance_cache()


@dataclass
class Bucket:
    """A bucket, whose files the test reads and writes past the proxy."""

    client: Any
    name: str

    @classmethod
    def with_files(cls, client: Any, files: dict[str, bytes]) -> Bucket:
        bucket = cls(client, f"b{uuid.uuid4().hex}")
        client.create_bucket(Bucket=bucket.name)
        for name, content in files.items():
            client.put_object(Bucket=bucket.name, Key=f"{PREFIX}/{name}", Body=content)
        return bucket

    @property
    def output(self) -> str:
        return f"s3://{self.name}/{PREFIX}"

    def files(self) -> dict[str, bytes]:
        listed = self.client.list_objects_v2(Bucket=self.name).get("Contents", ())
        found = {}
        for key in [one["Key"] for one in listed]:
            assert key.startswith(f"{PREFIX}/")
            body = self.client.get_object(Bucket=self.name, Key=key)["Body"]
            found[key.removeprefix(f"{PREFIX}/")] = body.read()
        return found


@dataclass
class Ended:
    """How a step ended: its result and its files, and the errors before."""

    result: Any
    outcome: dict[str, Any]
    errors: list[Exception]


def run(step: str, steps: Steps, bucket: Bucket, known: set[str], faults: Faults) -> Ended:
    """Run a step; one that fails is tried once more, when the storage is there again."""
    errors: list[Exception] = []
    try:
        result = steps.all[step]()
    except AirflowSkipException as error:
        result = f"skipped: {error}"
    except Exception as error:
        errors.append(error)
        faults.plan(0, "")
        try:
            result = steps.all[step]()
        except Exception as error:
            result = f"{type(error).__name__}: {error}"
    return Ended(without_times(step, result), outcome_of(bucket.files(), known), errors)


@dataclass
class Before:
    """What a step begins with, and how it ends without a fault."""

    steps: Steps
    files: dict[str, bytes]
    known: set[str]
    right: Ended
    requests: list[str]


@pytest.fixture(scope="module")
def client(s3_settings: dict[str, str]) -> Any:
    """A client that asks the server itself."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=s3_settings["AWS_ENDPOINT_URL"],
        aws_access_key_id=s3_settings["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=s3_settings["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.fixture(scope="module")
def before(faults: Faults, client: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Before]:
    """Run all steps without a fault, one after the other."""
    steps = write_inputs(tmp_path_factory.mktemp("inputs"))
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        files: dict[str, bytes] = {}
        for step in steps.all:
            if step == "maintain_predictions":
                files |= {"models/m/champion.json": with_a_due_card(files["models/m/champion.json"])}
            bucket, given = Bucket.with_files(client, files), copy.deepcopy(steps)
            patch.setenv("BATCH_OUTPUT", bucket.output)
            known = {name.split("/")[-2] for name in files if name.endswith("/metadata.json")}
            faults.plan(0, "")
            right = run(step, steps, bucket, known, faults)
            assert right.errors == [], step
            found[step] = Before(given, files, known, right, [*faults.asked])
            files = bucket.files()
    return found


def with_a_due_card(pointer: bytes) -> bytes:
    """Return a pointer that is newer than any card, whatever the second in which the files were written."""
    record = json.loads(pointer)
    del record["checksum"]
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    return json.dumps({**record, "promoted_at": tomorrow.isoformat(timespec="seconds")}).encode()


def test_each_request_may_fail_in_each_way(
    before: dict[str, Before],
    faults: Faults,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    table: dict[str, Counter[str]] = {way: Counter() for way in ALL_WAYS}
    wrong: list[Any] = []
    tried = Counter(dict(zip(ALL_WAYS, itertools.count(0, 7), strict=False)))  # ways take turns
    for step, begin in before.items():
        if step.startswith("train ") and SHARE > 1:
            continue  # as train_challenger
        for number, request in enumerate(begin.requests, start=1):
            for title, (way, lasting) in ALL_WAYS.items():
                if not applies(way, request):
                    continue
                tried[title] += 1
                # Few requests are listings, or writes that could meet themselves: of these more are tried.
                if tried[title] % (SHARE // 4 or 1 if way in RARE else SHARE):
                    continue
                bucket = Bucket.with_files(client, begin.files)
                monkeypatch.setenv("BATCH_OUTPUT", bucket.output)
                for name in ("READ_PATIENCE_S", "WRITE_PATIENCE_S"):
                    monkeypatch.setattr(object_storage, name, 0.1 if lasting else 15.0)
                faults.plan(number, way, lasting=lasting)
                ended = run(step, copy.deepcopy(begin.steps), bucket, begin.known, faults)
                faults.plan(0, "")
                problems = differences(step, ended, begin.right, bucket)
                kind = "clear error, then the same files" if ended.errors else "the same files"
                table[title]["wrong" if problems else kind] += 1
                if problems:
                    wrong.append((step, number, request, title, problems))
        if SHARE == 1:
            with capsys.disabled():
                print(f"  {step}: {len(begin.requests)} requests, {len(wrong)} wrong so far", flush=True)
    with capsys.disabled():
        requests = sum(len(begin.requests) for begin in before.values())
        print(
            f"\n  {len(before)} steps, {requests} requests; one of {SHARE} pairs of request and way was tried"
        )
        for way, counts in table.items():
            print(f"  {way:26} {', '.join(f'{count} {name}' for name, count in sorted(counts.items()))}")
        for one in wrong:
            print("  wrong:", *one)
    assert wrong == []


def differences(step: str, ended: Ended, right: Ended, bucket: Bucket) -> list[Any]:
    """Return what is other than without a fault, and the errors without place or remedy."""
    found: list[Any] = [str(error) for error in ended.errors if not CLEAR.search(str(error))]
    result = str(ended.result).replace(bucket.name, "")
    expected = re.sub(r"s3://b[0-9a-f]{32}", "s3://", str(right.result))
    # After an error these two return only what the second try has found to do.
    is_rest = ended.errors and step in ("maintain_predictions", "batch models prune")
    if result != expected and not is_rest:
        found.append({"result": result, "expected": expected})
    names = {*right.outcome, *ended.outcome}
    found += [name for name in names if right.outcome.get(name) != ended.outcome.get(name)]
    return [*found, *map(str, ended.errors)] if found else []


@pytest.mark.parametrize("way", [*BEFORE, "500 after", "time-out", "reset", "cut body", "empty 200"])
def test_a_storage_that_stays_away_is_named(
    way: str,
    before: dict[str, Before],
    faults: Faults,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No step reads it as empty, and none is skipped."""
    for name in ("READ_PATIENCE_S", "WRITE_PATIENCE_S"):
        monkeypatch.setattr(object_storage, name, 0.0)
    bucket = Bucket.with_files(client, {})
    monkeypatch.setenv("BATCH_OUTPUT", bucket.output)
    steps = [*before.items()]
    for step, begin in steps[::5] if way == "time-out" and SHARE > 1 else steps:
        faults.plan(1, way, lasting=True)
        with pytest.raises(Exception, match=CLEAR.pattern):
            copy.deepcopy(begin.steps).all[step]()
        faults.plan(0, "")


def number_of(requests: list[str], ending: str) -> int:
    """Return which of the requests writes a file."""
    return next(
        number
        for number, request in enumerate(requests, start=1)
        if request.startswith("PUT ") and request.endswith(ending)
    )


def test_a_promotion_whose_answer_is_lost_and_that_another_follows_is_recognised(
    before: dict[str, Before], faults: Faults, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = before["batch models promote"]
    first, second = begin.steps.made["first"], begin.steps.made["second"]
    monkeypatch.setenv("BATCH_OUTPUT", Bucket.with_files(client, begin.files).output)
    faults.plan(0, "")
    ModelStore("m").promote(second, expect=first, run_id="this", reason="")
    number = number_of(faults.asked, "/champion.json")
    monkeypatch.setenv("BATCH_OUTPUT", Bucket.with_files(client, begin.files).output)
    faults.plan(number, "500 after")
    faults.meanwhile = lambda: ModelStore("m").promote(first, expect=second, run_id="other", reason="")
    pointer = ModelStore("m").promote(second, expect=first, run_id="this", reason="")
    faults.plan(0, "")
    assert pointer.version == first, "what has followed stays"
    assert [(line["run_id"], line["version"]) for line in ModelStore("m").history()][-2:] == [
        ("this", second),
        ("other", first),
    ]


def test_a_claim_whose_answer_is_lost_and_that_another_run_follows_is_recognised(
    before: dict[str, Before], faults: Faults, client: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each row is in the file of one run, though another run has written the watermark in between."""
    begin = before["predict_rows"]
    bucket = Bucket.with_files(client, begin.files)
    monkeypatch.setenv("BATCH_OUTPUT", bucket.output)
    steps = copy.deepcopy(begin.steps)
    text = Path(steps.dataset).read_text(encoding="utf-8")
    dataset = Path(steps.dataset)

    def other_run() -> None:
        dataset.write_text(f"{text}500,1,1.5,0\n", encoding="utf-8")
        new = {"rows": "incremental", "cursor_column": "id", "model": "m"}
        rows = {"dataset": steps.dataset, "row_id": "id", "run_id": "other"}
        selection = json.dumps(prediction.draw_rows(**rows, **new))
        prediction.predict_rows(**rows, model="m", run_after=RUN_AFTER, selection=selection)

    faults.plan(number_of(begin.requests, "/progress.json"), "500 after")
    faults.meanwhile = other_run
    try:
        steps.all["predict_rows"]()
    finally:
        faults.plan(0, "")
        dataset.write_text(text, encoding="utf-8")
    rows = [
        (row["run_id"], int(row["row_id"]))
        for name, content in bucket.files().items()
        if name.endswith(".csv") and "/date=" in name
        for row in csv.DictReader(io.StringIO(content.decode()))
    ]
    assert sorted(rows) == sorted([*(("p.r", number) for number in range(150)), ("other", 500)])
