"""Writing files so that no reader ever sees half of one, and no writer overwrites another unseen."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch_serving.shared import object_storage
from batch_serving.shared.paths import is_local
from batch_serving.shared.reading import entries, reached, reached_elsewhere, read_whole
from batch_serving.shared.unreachable import UnreachableError, of_local

if TYPE_CHECKING:
    from upath import UPath


def sha256(data: bytes) -> str:
    """Return the SHA-256 of ``data`` in hex."""
    return hashlib.sha256(data).hexdigest()


def write_atomic(path: Path | UPath, data: bytes) -> None:
    """Write ``data`` to ``path`` so that a reader, or a kill, sees the old file or the new one.

    On local disk: a temporary file beside the target, fsync, one rename. On object storage one PUT is
    atomic on its own.
    """
    if object_storage.is_s3(path):
        object_storage.put(path, data)
        return
    if not is_local(path):
        reached_elsewhere(path, lambda: path.write_bytes(data), "written")
        return
    target = Path(str(path))
    with reached(target, "written"):
        _write_on_disk(target, data)


def _write_on_disk(target: Path, data: bytes) -> None:
    make_folder(target.parent)
    # A hidden name that no other writer has: a kill leaves at most this file, which no reader lists.
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        write_synced(temporary, data)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


class ChangedError(Exception):
    """Another writer has changed the file since it was read."""


def read_with_tag(path: UPath) -> tuple[bytes | None, str]:
    """Return a file's content, None if it does not exist, and a tag for ``write_if_unchanged``."""
    try:
        if object_storage.is_s3(path):
            return object_storage.get(path)
        data = read_whole(path)
    except FileNotFoundError:
        return None, ""
    except IsADirectoryError as error:
        raise of_local(Path(str(path)), "read", error) from error
    return data, sha256(data)


def tag_of(path: UPath) -> str:
    """Return the tag that ``read_with_tag`` would return, without reading more than needed."""
    return object_storage.tag(path) if object_storage.is_s3(path) else read_with_tag(path)[1]


def write_if_unchanged(path: UPath, data: bytes | Path, tag: str) -> None:
    """Write ``data``, or a local file's content, to ``path`` if that has not changed since ``read_with_tag``.

    Raises ChangedError if it has. S3 compares and writes in one request (If-Match). Elsewhere it takes two;
    on local disk the caller holds a lock in between.
    """
    if object_storage.is_s3(path):
        try:
            object_storage.put(path, data, {"IfMatch": tag} if tag else {"IfNoneMatch": "*"})
        except object_storage.ConflictError:
            raise ChangedError(str(path)) from None
        return
    if read_with_tag(path)[1] != tag:
        raise ChangedError(str(path))
    write_atomic(path, data.read_bytes() if isinstance(data, Path) else data)


def put_file(path: UPath, source: Path) -> None:
    """Copy a local file to object storage, in one step."""
    if object_storage.is_s3(path):
        object_storage.put(path, source)
    else:
        reached_elsewhere(path, lambda: path.fs.put_file(str(source), path.path), "written")


@contextlib.contextmanager
def locked(folder: UPath, timeout_s: float = -1) -> Iterator[None]:
    """Keep other processes that lock a local ``folder`` out; a kill frees it.

    On object storage it does nothing: ``write_if_unchanged`` finds out there who came first. Raises
    UnreachableError if the folder cannot be written, or another process holds the lock for longer.
    """
    if not is_local(folder):
        yield
        return
    from filelock import FileLock, Timeout

    path = Path(str(folder))
    lock = FileLock(str(path / ".lock"), timeout=timeout_s)
    with reached(path, "written"):
        make_folder(path)
        try:
            lock.acquire()
        except Timeout:
            reason = f"another task has held its lock for {timeout_s:g} s"
            raise UnreachableError(path, "written", reason, "wait until that task has ended") from None
    try:
        yield
    finally:
        lock.release()


def delete_if_unchanged(path: UPath, tag: str) -> None:
    """Delete a file, unless it has changed since ``tag_of`` gave its tag."""
    if object_storage.is_s3(path):
        object_storage.remove(path, tag)
    elif tag_of(path) == tag:
        delete(path)


def delete(path: UPath) -> None:
    """Delete a file, or a folder with everything in it, on local disk or object storage.

    What does not exist, or is deleted by another process at the same time, is not an error.
    """
    if object_storage.is_s3(path):
        for name in list(object_storage.keys_below(path)):
            object_storage.remove(path / name)
        object_storage.remove(path)
        return
    with contextlib.suppress(FileNotFoundError):
        if is_local(path):
            _delete_on_disk(Path(str(path)))
        else:
            reached_elsewhere(path, lambda: path.fs.rm(path.path, recursive=True), "deleted")


def _delete_on_disk(path: Path) -> None:
    with reached(path, "deleted"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def seal(record: dict[str, Any]) -> bytes:
    """Return a record as JSON with a checksum of itself."""
    return to_json({**record, "checksum": sha256(to_json(record))})


def unseal(data: bytes) -> dict[str, Any]:
    """Return the record; ValueError if it is not what was sealed. A record without a checksum is accepted."""
    record = json.loads(data)
    if not isinstance(record, dict):
        raise ValueError("it is not a JSON object")
    checksum = record.pop("checksum", None)
    if checksum is not None and checksum != sha256(to_json(record)):
        raise ValueError("its checksum does not match")
    return record


def remove_leftovers(folder: UPath, *, older_than_s: float = 3600) -> None:
    """Remove what a killed write_atomic left in a local ``folder``; younger files may still be in use."""
    if not is_local(folder):
        return
    for entry in entries(folder):
        path = Path(str(entry.path))
        if not (path.name.startswith(".") and path.name.endswith(".tmp")):
            continue
        # Another process may have removed it.
        with contextlib.suppress(FileNotFoundError), reached(path, "deleted"):
            if time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()


def write_synced(path: Path, data: bytes) -> None:
    """Write ``data`` to a local ``path`` and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def make_folder(folder: Path) -> None:
    """Make a local folder, with those above it, and wait until the disk has their names.

    Otherwise all that is in it later, although synced, may be gone after a power loss.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


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
