"""S3, request by request: what is absent, what has changed meanwhile, and what cannot be reached.

s3fs asks by HEAD, whose answer 404 does not say whether it is the object or the bucket that does not exist,
and takes several errors for an empty folder. Every request here is one whose answer says which it is. Only
``_patiently`` repeats a request: neither s3fs nor its client does, so that the time it takes is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.unreachable import UnreachableError, code_of, of_local, of_storage, status_of

if TYPE_CHECKING:
    from upath import UPath

Found = TypeVar("Found")

TIMEOUT_SETTING = "BATCH_S3_TIMEOUT_S"
READ_PATIENCE_S = 15.0
WRITE_PATIENCE_S = 120.0  # a storage that is away for less than two minutes costs no training
LONGEST_WAIT_S = 10.0
TIMEOUT_S = 20.0  # of one request, unless the setting has another
CLIENT_S = 60.0  # to make a client, which may ask for its credentials elsewhere
PART_BYTES = 64 * 1024
SLOWEST_BYTES_PER_S = 50_000  # of a file that is written: a slower network counts as none
CONFLICTS = ("PreconditionFailed", "412")
ABSENT = ("NoSuchKey",)
# What no later try of the same request changes.
PERMANENT = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "ProfileNotFound",
    "ParamValidationError",
    "NoRegionError",
    "InvalidRegionError",
    "NotImplemented",
    "RecursionError",  # the client follows redirects that lead to each other
)


_LEAST_PATIENCE_S: ContextVar[float] = ContextVar("least_patience_s", default=0.0)


class NotS3Error(Exception):
    """An answer without what S3 always says: a proxy's page, or one that was cut off."""


@contextlib.contextmanager
def as_patient_as_a_write() -> Iterator[None]:
    """Let reads be repeated as long as writes: where a failure would cost what cannot be repeated cheaply."""
    token = _LEAST_PATIENCE_S.set(WRITE_PATIENCE_S)
    try:
        yield
    finally:
        _LEAST_PATIENCE_S.reset(token)


def is_s3(path: Any) -> bool:
    """Return whether a path is in S3, or in a storage that speaks its language."""
    return getattr(path, "protocol", "") in ("s3", "s3a")


def timeout_s() -> float:
    """Return after how many seconds a request counts as failed; InvalidValueError if it is not a number."""
    text = os.environ.get(TIMEOUT_SETTING) or str(TIMEOUT_S)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise InvalidValueError(
            f"{TIMEOUT_SETTING} is {text!r}", "it must be a number of seconds, such as 20"
        )
    return seconds


def options() -> dict[str, Any]:
    """Return the options for s3fs: listings are never cached, and the client repeats no request."""
    timeout = timeout_s()
    retries = {"total_max_attempts": 1, "mode": "standard"}
    config = {"connect_timeout": min(timeout, 10.0), "read_timeout": timeout, "retries": retries}
    found = {"use_listings_cache": False, "config_kwargs": config}
    # s3fs uses a file system again that has the same options: one of another server must not be among them.
    if (endpoint := _endpoint()) is not None:
        found["endpoint_url"] = endpoint
    return found


def _endpoint() -> str | None:
    """Return the server that the environment names, as AWS's clients read it; None for AWS itself."""
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or None


def get(path: UPath) -> tuple[bytes, str]:
    """Return an object's content and its tag; FileNotFoundError if it does not exist."""

    def read() -> tuple[bytes, str]:
        content = io.BytesIO()
        seen = _copy(path, content)
        return content.getvalue(), seen

    return _patiently(path, "read", read, READ_PATIENCE_S)


def download(path: UPath, target: Path) -> None:
    """Copy an object to a local file, part by part; FileNotFoundError if it does not exist."""

    def copy() -> None:
        try:
            with target.open("wb") as file:
                _copy(path, file)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise of_local(target, "written", error) from error
            raise

    _patiently(path, "read", copy, READ_PATIENCE_S)


def _copy(path: UPath, file: IO[bytes]) -> str:
    """Write an object's content into a file and return its tag; no part may take longer than a request."""

    async def copy() -> str:
        answer = await _send(path, "get_object")
        async with answer["Body"]:  # closed after an error, or the client runs out of connections
            while part := await asyncio.wait_for(answer["Body"].read(PART_BYTES), 2 * timeout_s()):
                file.write(part)
        return str(_said(answer, "ETag"))

    return _run(path, copy)


def tag(path: UPath) -> str:
    """Return an object's tag, empty if it does not exist."""
    return str(_listed(path).get("ETag", ""))


def modified_at(path: UPath) -> float:
    """Return when an object was written, in seconds since 1970; FileNotFoundError if it does not exist."""
    found = _listed(path)
    if not found:
        raise FileNotFoundError(str(path))
    return float(found["LastModified"].timestamp())


def _listed(path: UPath) -> dict[str, Any]:
    """Return what a listing says of an object, nothing if it does not exist."""
    return _patiently(path, "read", lambda: _list_one(path), READ_PATIENCE_S)


def _list_one(path: UPath) -> dict[str, Any]:
    bucket, key = bucket_and_key(path)
    answer = _list(path, {"Bucket": bucket, "Prefix": key, "MaxKeys": 1})
    found: dict[str, Any] = (answer.get("Contents") or [{}])[0]
    return found if found.get("Key") == key else {}


def keys_below(folder: UPath, *, after: str = "", delimiter: str = "") -> Iterator[str]:
    """Yield the names of all objects below a folder, relative to it, from ``after`` on, sorted.

    With the delimiter ``/``, only those in the folder itself, and its folders with a ``/`` at their end.
    """
    for name, _ in tags_below(folder, after=after, delimiter=delimiter):
        yield name


def tags_below(folder: UPath, *, after: str = "", delimiter: str = "") -> Iterator[tuple[str, str]]:
    """Yield the same names, each with its tag; that of a folder is empty."""
    for name, found in _objects_below(folder, after=after, delimiter=delimiter):
        yield name, str(found.get("ETag", ""))


def times_in(folder: UPath) -> Iterator[tuple[str, float]]:
    """Yield the names of the objects in a folder itself, and when each was written, in seconds since 1970."""
    for name, found in _objects_below(folder, delimiter="/"):
        if found:
            yield name, float(found["LastModified"].timestamp())


def _objects_below(
    folder: UPath, *, after: str = "", delimiter: str = ""
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the same names, each with what the listing says of it; nothing of a folder."""
    bucket, key = bucket_and_key(folder)
    prefix = f"{key.rstrip('/')}/" if key else ""
    request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix, "Delimiter": delimiter}
    if after:
        request["StartAfter"] = f"{prefix}{after}"
    while True:
        answer = _patiently(folder, "read", lambda: _list(folder, request), READ_PATIENCE_S)
        found = {one["Key"]: one for one in answer.get("Contents") or ()}
        found |= {one["Prefix"]: {} for one in answer.get("CommonPrefixes") or ()}
        yield from ((name[len(prefix) :], found[name]) for name in sorted(found) if name != prefix)
        if not answer["IsTruncated"]:
            return
        request["ContinuationToken"] = answer["NextContinuationToken"]


def _list(path: UPath, request: dict[str, Any]) -> dict[str, Any]:
    """Return one page of a listing; NotS3Error if it does not say whether it is the last one.

    The client takes an answer without content, and the page of a proxy, for a listing of nothing.
    """

    async def ask() -> dict[str, Any]:
        answer: dict[str, Any] = await _send(path, "list_objects_v2", **request)
        if _said(answer, "IsTruncated"):
            before = request.get("ContinuationToken")
            if _said(answer, "NextContinuationToken") == before:
                raise NotS3Error("the listing does not end")
        return answer

    return _run(path, ask)


class ConflictError(Exception):
    """The object is no longer what the writer expected."""


def put(path: UPath, data: bytes | Path, condition: dict[str, str] | None = None) -> None:
    """Write an object; with ``condition`` (IfMatch or IfNoneMatch) only if it holds, else ConflictError.

    A write whose answer is lost is made again; that it then finds itself is no conflict.
    """
    size = data.stat().st_size if isinstance(data, Path) else len(data)

    def write() -> None:
        with data.open("rb") if isinstance(data, Path) else contextlib.nullcontext(data) as body:

            async def ask() -> None:
                answer = await _send(path, "put_object", size, Body=body, **(condition or {}))
                _said(answer, "ETag")

            _run(path, ask)

    try:
        _patiently(path, "written", write, WRITE_PATIENCE_S)
    except (ConflictError, FileNotFoundError):  # If-Match of an object that is gone
        with as_patient_as_a_write():
            is_ours = _has(path, data)
        if not is_ours:
            raise ConflictError(str(path)) from None


def _has(path: UPath, data: bytes | Path) -> bool:
    try:
        found, _ = get(path)
    except FileNotFoundError:
        return False
    return found == (data.read_bytes() if isinstance(data, Path) else data)


def remove(path: UPath, seen: str = "") -> None:
    """Delete an object; one that does not exist is no error.

    With ``seen``, a tag, only if it still has that tag: asked again before each try, since a try whose answer
    is lost may have deleted it, and what another writer has put there since must stay.
    """

    def ask() -> None:
        if not seen or _list_one(path).get("ETag", "") == seen:
            _run(path, lambda: _send(path, "delete_object"))

    with contextlib.suppress(FileNotFoundError):
        _patiently(path, "deleted", ask, WRITE_PATIENCE_S)


def bucket_and_key(path: UPath) -> tuple[str, str]:
    """Return the two parts of an object's address."""
    bucket, _, key = path.path.partition("/")
    return bucket, key


async def _send(path: UPath, method: str, size: int = 0, **request: Any) -> dict[str, Any]:
    """Send one request, with ``size`` bytes, once.

    The client's own limits come first, but it has none for some waits: for a connection of its pool, or on
    one that was reset while the request was written.
    """
    if "Bucket" not in request:
        request["Bucket"], request["Key"] = bucket_and_key(path)
    client = await asyncio.wait_for(path.fs.set_session(), CLIENT_S)
    limit = 2 * timeout_s() + size / SLOWEST_BYTES_PER_S
    answer: dict[str, Any] = await asyncio.wait_for(getattr(client, method)(**request), limit)
    return answer


def _said(answer: dict[str, Any], name: str) -> Any:
    """Return what S3 always says in such an answer; NotS3Error if it is not there."""
    if name not in answer:
        raise NotS3Error(f"the answer has no {name}")
    return answer[name]


def _run(path: UPath, ask: Callable[[], Awaitable[Found]]) -> Found:
    """Run a coroutine in the loop of the file system, and return what it returns."""
    from fsspec.asyn import sync  # type: ignore[import-untyped]

    found: Found = sync(path.fs.loop, ask)
    return found


def _patiently(path: UPath, action: str, ask: Callable[[], Found], patience_s: float) -> Found:
    """Return what ``ask`` returns, and ask again for a while if the storage is out of order.

    Raises FileNotFoundError, ConflictError, or UnreachableError with the place and the remedy.
    """
    end = time.monotonic() + max(patience_s, _LEAST_PATIENCE_S.get())
    wait = 0.1
    while True:
        try:
            return ask()
        except Exception as error:
            _raise_answer(error, path)
            if not _may_pass(error) or time.monotonic() + wait > end:
                raise of_storage(path, action, error) from error
        time.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - waits of several writers must only differ
        wait = min(2 * wait, LONGEST_WAIT_S)


def _raise_answer(error: Exception, path: UPath) -> None:
    """Raise what is an answer and no failure: that the object is absent, or has changed."""
    code = code_of(error)
    if code in ABSENT:
        raise FileNotFoundError(str(path)) from None
    if code in CONFLICTS:
        raise ConflictError(str(path)) from None
    if isinstance(error, UnreachableError | ConflictError):
        raise error


def _may_pass(error: Exception) -> bool:
    """Return whether the same request may succeed a moment later: no answer, or the server's own fault.

    So may a 409: another write is under way, perhaps an earlier try of this one.
    """
    code, status = code_of(error), status_of(error)
    if code in PERMANENT or isinstance(error, ValueError):  # such as an address without http://
        return False
    is_busy = status in (409, 429) or code in ("SlowDown", "RequestTimeout", "Throttling")
    return is_busy or not status or status >= 500
