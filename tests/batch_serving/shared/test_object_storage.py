"""What S3 answers, or a proxy in its place: absent, empty and unreachable are three different things."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from buckets import SIGN_IN, new_bucket
from s3_answers import Answers, server_of_answers
from upath import UPath

from batch_serving.shared import object_storage
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import (
    ChangedError,
    delete,
    delete_if_unchanged,
    read_with_tag,
    tag_of,
    write_atomic,
    write_if_unchanged,
)
from batch_serving.shared.paths import project_path
from batch_serving.shared.reading import entries, exists, folders_with, modified_at, opened, read_whole
from batch_serving.shared.unreachable import UnreachableError

LISTING = b'<?xml version="1.0"?><ListBucketResult><Name>b</Name><KeyCount>1</KeyCount>%s'
CUT_LISTING = LISTING % b"<IsTruncated>false</IsTruncated><Contents><Key>m/a"
ENDLESS = LISTING % b"<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>"
PAGE = b"<html><body>Please log in</body></html>"


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """A server in the place of S3, and little patience with it."""
    import s3fs

    for name in ("READ_PATIENCE_S", "WRITE_PATIENCE_S"):
        monkeypatch.setattr(object_storage, name, 0.25)
    with server_of_answers() as found:
        for name, value in {
            **SIGN_IN,
            "AWS_ENDPOINT_URL": found.address,
            "BATCH_S3_TIMEOUT_S": "10",  # an answer may be late on a busy machine
        }.items():
            monkeypatch.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()  # the address is read once
        yield found
        s3fs.S3FileSystem.clear_instance_cache()


def read_opened(path: UPath) -> bytes:
    with opened(path) as file:
        data: bytes = file.read()
    return data


READS: dict[str, Callable[[UPath], object]] = {
    "content": read_whole,
    "content with tag": read_with_tag,
    "opened": read_opened,
    "tag": tag_of,
    "exists": exists,
    "time": modified_at,
    "folder": entries,
    "folders with a file": lambda path: folders_with(path, "metadata.json"),
}
WRITES: dict[str, Callable[[UPath], object]] = {
    "write": lambda path: write_atomic(path, b"new"),
    "write if absent": lambda path: write_if_unchanged(path, b"new", ""),
    "write if unchanged": lambda path: write_if_unchanged(path, b"new", '"tag"'),
    "delete": delete,
    "delete if unchanged": lambda path: delete_if_unchanged(path, '"tag"'),
}
FAULTS: dict[str, tuple[tuple[int, bytes | str], str]] = {
    "no bucket": ((404, "NoSuchBucket"), "the bucket does not exist.*create it, or correct its name"),
    "denied": ((403, "AccessDenied"), "access is denied.*allow these credentials s3:"),
    "denied, nothing more": ((403, b""), "access is denied.*allow these credentials s3:"),
    "expired": ((400, "ExpiredToken"), "the credentials have expired.*renew them"),
    "unknown key": ((403, "InvalidAccessKeyId"), "the credentials are not valid.*AWS_ACCESS_KEY_ID"),
    "wrong secret": ((403, "SignatureDoesNotMatch"), "the credentials are not valid.*AWS_SECRET_ACCESS_KEY"),
    "other region": ((400, "AuthorizationHeaderMalformed"), "in another region.*AWS_DEFAULT_REGION"),
    "clock": ((403, "RequestTimeTooSkewed"), "clock is wrong.*set the clock"),
    "archived": ((403, "InvalidObjectState"), "the object is archived.*restore it"),
    "busy": ((503, "SlowDown"), "too busy.*try again later"),
    "too many requests": ((429, "TooManyRequests"), "too busy.*try again later"),
    "gateway": ((502, b"<html>bad gateway</html>"), "out of order.*try again later"),
    "another server": ((404, b"<html>not found</html>"), "the storage answers 404.*check AWS_ENDPOINT_URL"),
    "reset": ((0, b""), "(there is no answer|the answer breaks off)"),
    "silence": ((-1, b""), "there is no answer in time.*BATCH_S3_TIMEOUT_S"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_reached_is_named_with_the_remedy(
    answers: Answers, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    (status, body), said = FAULTS[fault]
    if fault == "silence":
        monkeypatch.setenv("BATCH_S3_TIMEOUT_S", "0.5")
    if isinstance(body, str):
        answers.fail(status, body)
    else:
        answers.be(status, body)
    for name, call in {**READS, **WRITES}.items():
        with pytest.raises(UnreachableError) as found:
            call(project_path("s3://b/team[a]/m"))
        assert re.match(
            rf"s3://b/team\[a\]/m.* cannot be (read|written|deleted): .*{said}", str(found.value)
        ), name


@pytest.mark.parametrize("body", [b"", PAGE, CUT_LISTING])
def test_an_answer_that_does_not_come_from_s3_is_no_empty_folder(answers: Answers, body: bytes) -> None:
    answers.be(200, body)
    for call in READS.values():
        with pytest.raises(UnreachableError, match="s3://b/m cannot be read: .+; "):
            call(project_path("s3://b/m"))


def test_a_listing_that_never_ends_is_none(answers: Answers) -> None:
    answers.be(200, ENDLESS + b"</ListBucketResult>")
    with pytest.raises(UnreachableError, match="s3://b/m cannot be read"):
        entries(project_path("s3://b/m"))


def test_a_write_that_a_login_page_answers_is_not_taken_for_done(answers: Answers) -> None:
    answers.be(200, PAGE)
    with pytest.raises(UnreachableError, match="cannot be written: the answer does not come from S3"):
        write_atomic(project_path("s3://b/m"), b"new")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("http://127.0.0.1:9", "the connection is refused.*start the storage"),
        ("http://no-such-host.invalid", "the name of its server is not known.*DNS"),
        ("https", "there is no secure connection.*AWS_CA_BUNDLE"),
        ("localhost:9000", "its address is not valid.*https://host:port"),
    ],
)
def test_a_wrong_address_is_named(
    answers: Answers, monkeypatch: pytest.MonkeyPatch, address: str, said: str
) -> None:
    given = answers.address.replace("http", "https") if address == "https" else address
    monkeypatch.setenv("AWS_ENDPOINT_URL", given)
    monkeypatch.setenv("BATCH_S3_TIMEOUT_S", "10")  # a name may take a while
    with pytest.raises(UnreachableError, match=f"s3://b/m cannot be read: {said}"):
        entries(project_path("s3://b/m"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, "no credentials.*AWS_ACCESS_KEY_ID"),
        ({"AWS_SECRET_ACCESS_KEY": None}, "no credentials.*AWS_SECRET_ACCESS_KEY"),
        ({"AWS_PROFILE": "other"}, "no such profile.*AWS_PROFILE"),
    ],
)
def test_credentials_that_are_missing_are_named(
    answers: Answers,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    change: dict[str, str | None],
    said: str,
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    for name, value in change.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    with pytest.raises(UnreachableError, match=f"s3://b/m cannot be read: there (are|is) {said}"):
        entries(project_path("s3://b/m"))
    assert answers.requests == 0


def test_only_one_loop_repeats_a_request(answers: Answers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither s3fs nor its client repeats it: the waits are ours, and so is the end."""
    monkeypatch.setattr(object_storage, "READ_PATIENCE_S", 0.0)
    monkeypatch.setenv("BATCH_S3_TIMEOUT_S", "2")
    path = project_path("s3://b/m")
    for status, code in ((500, "InternalError"), (503, "SlowDown"), (429, "TooManyRequests")):
        answers.fail(status, code)
        with pytest.raises(UnreachableError):
            read_whole(path)
        assert answers.requests == 1
    answers.be(-1)
    began = time.monotonic()
    with pytest.raises(UnreachableError):
        entries(path)
    assert (answers.requests, time.monotonic() - began < 2 * 2) == (1, True)


@pytest.mark.parametrize("text", ["soon", "0", "-1", "inf", "nan"])
def test_a_time_out_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("BATCH_S3_TIMEOUT_S", text)
    with pytest.raises(InvalidValueError, match=f"BATCH_S3_TIMEOUT_S is '{text}'; it must be a number"):
        project_path("s3://b/m")


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("s3://", "names no place; write s3://bucket/prefix"),
        ("s3:///", "names no place"),
        ("zz://bucket", "in no known kind of storage"),
        ("gs://bucket", "is not installed"),
        ("s3://bucket/a::b", "has '::' in it"),
    ],
)
def test_a_place_that_there_cannot_be_is_refused(location: str, said: str) -> None:
    with pytest.raises(InvalidValueError, match=said):
        project_path(location)


def test_what_is_not_there_is_absent(s3_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_settings.items():
        monkeypatch.setenv(name, value)
    bucket = project_path(new_bucket(s3_settings))
    assert (entries(bucket), exists(bucket / "x"), read_with_tag(bucket / "x")) == ([], False, (None, ""))
    delete(bucket / "x")
    with pytest.raises(ChangedError):
        write_if_unchanged(bucket / "x", b"new", '"a tag of before"')


def test_what_another_writer_has_put_there_is_not_deleted(
    s3_settings: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in s3_settings.items():
        monkeypatch.setenv(name, value)
    path = project_path(new_bucket(s3_settings)) / "x"
    write_atomic(path, b"old")
    seen = tag_of(path)
    write_atomic(path, b"new")
    delete_if_unchanged(path, seen)
    assert read_whole(path) == b"new"
    delete_if_unchanged(path, tag_of(path))
    assert not exists(path)
