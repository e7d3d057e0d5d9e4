"""Where files are, and how they are written so that nobody ever reads half of one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from upath import UPath

PROJECT_ROOT = Path(__file__).resolve().parent.parent
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
PRECONDITION_FAILED = ("PreconditionFailed", "ConditionalRequestConflict")  # S3's words for a lost race
_URL = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+://")


def project_path(location: str) -> UPath:
    """Return ``location`` as a path: a URL as it is, anything else relative to the project."""
    from upath import UPath

    if location.startswith("file://"):
        location = location.removeprefix("file://")
    if _URL.match(location):
        # What another worker wrote a moment ago must be seen: listings are not remembered.
        return UPath(location, use_listings_cache=False)
    return UPath(PROJECT_ROOT / Path(location).expanduser())


def output_path(*parts: str) -> UPath:
    """Return a path below the output folder, which ``BATCH_OUTPUT`` names (default ``output``)."""
    return project_path(os.environ.get("BATCH_OUTPUT") or "output").joinpath(*parts)


def relative_to_project(path: Path | UPath) -> str:
    """Return ``path`` as a person would name it: relative to the project where it lies inside."""
    text = str(path)
    return text.removeprefix(f"{PROJECT_ROOT}{os.sep}")


def safe_name(text: str) -> str:
    """Return a file name for ``text`` (a run_id, say); two texts share one only if made to."""
    slug = _UNSAFE.sub("-", text).strip(".-")[:100]
    return slug if slug == text else f"{slug}-{sha256(text.encode())[:8]}"


def is_local(path: Path | UPath) -> bool:
    """Tell whether ``path`` lies on this machine's disk."""
    return getattr(path, "protocol", "") in ("", "file", "local")


def sha256(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hex."""
    return hashlib.sha256(data).hexdigest()


def write_atomic(path: Path | UPath, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader, or a kill, sees the old file or the new one.

    On local disk: a temporary file beside the target, fsync, one rename. On object storage one PUT is
    atomic by itself.
    """
    if not is_local(path):
        path.write_bytes(data)
        return
    target = Path(str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    # A hidden name of our own: a kill leaves at most this file, which no reader lists.
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        write_synced(temporary, data)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def read_whole(path: UPath) -> bytes:
    """Return a file's content as it is at one moment, also while others replace it.

    On object storage in one request: opening and then reading it would fail in between.
    """
    return path.read_bytes() if is_local(path) else path.fs.cat_file(path.path)


class ChangedError(Exception):
    """Somebody else has written the file since it was read."""


def read_with_tag(path: UPath) -> tuple[bytes | None, str]:
    """Return a file's content, None where there is none, and a tag for ``write_if_unchanged``."""
    try:
        if _is_s3(path):
            # The tag first: if the file changes in between, the tag is too old, and nothing gets lost.
            tag = path.fs.info(path.path)["ETag"]
            return read_whole(path), tag
        data = path.read_bytes()
    except FileNotFoundError:
        return None, ""
    return data, sha256(data)


def tag_of(path: UPath) -> str:
    """Return the tag that ``read_with_tag`` would, without reading what need not be read."""
    try:
        return path.fs.info(path.path)["ETag"] if _is_s3(path) else read_with_tag(path)[1]
    except FileNotFoundError:
        return ""


def write_if_unchanged(path: UPath, data: bytes | Path, tag: str) -> None:
    """Write ``data``, or what a local file has, to ``path`` if it still is what ``read_with_tag`` saw.

    Raises ChangedError if it is not.

    S3 compares and writes in one request (If-Match). Elsewhere two requests do; on local disk the caller
    holds a lock, which makes them one.
    """
    if not _is_s3(path):
        if read_with_tag(path)[1] != tag:
            raise ChangedError(str(path))
        write_atomic(path, data.read_bytes() if isinstance(data, Path) else data)
        return
    bucket, _, key = path.path.partition("/")
    condition = {"IfMatch": tag} if tag else {"IfNoneMatch": "*"}
    try:
        with data.open("rb") if isinstance(data, Path) else contextlib.nullcontext(data) as body:
            path.fs.call_s3("put_object", Bucket=bucket, Key=key, Body=body, **condition)
    except OSError as error:
        answer = getattr(error.__cause__, "response", {})
        if isinstance(error, FileExistsError) or answer.get("Error", {}).get("Code") in PRECONDITION_FAILED:
            raise ChangedError(str(path)) from None
        raise


@contextlib.contextmanager
def locked(folder: UPath, timeout_s: float = -1) -> Iterator[None]:
    """Keep other processes that lock a local ``folder`` out; a kill frees it.

    On object storage it does nothing: ``write_if_unchanged`` finds out there who came first.
    """
    if not is_local(folder):
        yield
        return
    from filelock import FileLock

    Path(str(folder)).mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder / ".lock"), timeout=timeout_s):
        yield


def seal(record: dict[str, Any]) -> bytes:
    """Return a record as JSON with a checksum of itself."""
    return to_json({**record, "checksum": sha256(to_json(record))})


def unseal(data: bytes) -> dict[str, Any]:
    """Return the record; ValueError if it is none, or not what was sealed. One without a checksum passes."""
    record = json.loads(data)
    if not isinstance(record, dict):
        raise ValueError("it is no JSON object")
    checksum = record.pop("checksum", None)
    if checksum is not None and checksum != sha256(to_json(record)):
        raise ValueError("its checksum is another")
    return record


def _is_s3(path: UPath) -> bool:
    return getattr(path, "protocol", "") in ("s3", "s3a")


def remove_leftovers(folder: Path | UPath, *, older_than_s: float = 3600) -> None:
    """Remove what a killed write_atomic left in a local ``folder``; younger files may be another's work."""
    if not is_local(folder):
        return
    for path in Path(str(folder)).glob(".*.tmp"):
        with contextlib.suppress(FileNotFoundError):  # another has removed it
            if time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()


def write_synced(path: Path, data: bytes) -> None:
    """Write ``data`` to a local ``path`` and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Wait until the disk has the names in ``folder``: a rename counts only then."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def to_json(value: Any) -> bytes:
    """Return ``value`` as the JSON text that this project writes: sorted, indented, UTF-8."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()
