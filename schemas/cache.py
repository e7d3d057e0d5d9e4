"""Which texts passed all checks, and what they hold, until they or anything that the checks look at change.

The DAG processor parses in a new process each time: without this, each of them would check every unchanged
file again. What failed is never kept: its cause may have been the machine, and be gone by now. A lost, old
or corrupt cache costs time, nothing else.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from batch_serving.shared.root import PROJECT_ROOT, airflow_home

# The checks themselves, what is allowed, what is installed, and the functions that YAML names.
FOLDERS = ("schemas", "callables", "batch_serving", "examples")
FILES = ("pyproject.toml", "uv.lock")
HEADER = "header"  # the key of the first entry
DATE = "__date__"
CHECKSUM = 16  # characters


class Passed:
    """Texts without an error, by hash of text, name and defaults, with their data; kept in Airflow's home.

    The file has one entry per line: a checksum, the key, the data as JSON. An entry whose checksum is wrong
    counts as missing. The first entry says where the others are, so that a task reads only one of them. The
    file is as trustworthy as the rest of that home, where Airflow finds code to run: one that other users
    can write to is not read.
    """

    def __init__(self, purpose: str) -> None:
        """Read what earlier processes saved for this purpose, without what no longer holds."""
        self._file = airflow_home() / f"dag_configs_{purpose}.cache"
        self._world = world()
        self._used: dict[str, bytes] = {}
        self._is_new = False
        self._header = _first_line(self._file)
        self._content: bytes | None = None
        header = _decode(_body(self._header, HEADER)) or {}
        self.places: dict[str, str] = header.get("places", {})  # the file of each dag_id
        is_current = header.get("world") == self._world
        self._old: dict[str, tuple[int, int]] = (
            header.get("entries", {}) if is_current else {}
        )  # start and end
        self._lookups = 0

    @staticmethod
    def key(name: str, texts: Iterable[bytes]) -> str:
        """Return the hash that stands for a file of this name with these texts, its defaults included."""
        digest = hashlib.sha256(name.encode())
        for text in texts:
            digest.update(len(text).to_bytes(8, "big") + text)
        return digest.hexdigest()[:32]

    def __contains__(self, key: str) -> bool:
        """Whether this text passed before. If it did, the next process finds it, too."""
        if key not in self._used and key in self._old and _body(line := self._entry(key), key) is not None:
            self._used[key] = line
        return key in self._used

    def _entry(self, key: str) -> bytes:
        """Return an entry as it was saved. A task needs one: only the second lookup reads all of them."""
        start, end = (len(self._header) + 1 + place for place in self._old[key])
        self._lookups += 1
        if self._lookups == 1:
            return _read(self._file, start, end - start)
        if self._content is None:
            self._content = _read(self._file)
        return self._content[start:end]

    def data(self, key: str) -> dict[str, Any] | None:
        """Return a new copy of what a text that passed holds, or None if only the text itself has it."""
        line = self._used.get(key)
        data: dict[str, Any] | None = None if line is None else _decode(line[_start(key) :])
        return data

    def add(self, key: str, data: dict[str, Any] | None = None) -> None:
        """Remember that this text passed, and what it holds."""
        self._used[key] = _line(key, _encode(data))
        self._is_new = True

    def save(self) -> None:
        """Save what was used, if anything is new or gone; do nothing if the home cannot be written to."""
        entries: dict[str, list[int]] = {}
        start = 0
        for key, line in sorted(self._used.items()):
            entries[key] = [start, start + len(line)]
            start += len(line) + 1
        saved = {"world": self._world, "places": self.places, "entries": entries}
        header = _line(HEADER, _encode(saved))
        if header == self._header and not self._is_new:
            return
        lines = [header, *(self._used[key] for key in entries)]
        content = b"".join(line + b"\n" for line in lines)
        temporary = self._file.with_name(f".{self._file.name}.{uuid.uuid4().hex[:8]}")
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(mode=0o600, exist_ok=False)
            temporary.write_bytes(content)
            temporary.replace(self._file)


def pass_file() -> Path:
    """Return the file whose time of modification is the start of the last pass over all files."""
    return airflow_home() / "dag_configs_pass"


def note_pass() -> None:
    """Note that a pass over all files starts: what changes from now on needs another one."""
    with contextlib.suppress(OSError):
        pass_file().touch()


def _read(path: Path, start: int = 0, length: int = -1) -> bytes:
    """Return a part of a file, or nothing if it is not there or another user could have written it."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        if _is_ours(file):
            file.seek(start)
            return file.read(length)
    return b""


def _first_line(path: Path) -> bytes:
    with contextlib.suppress(OSError), path.open("rb") as file:
        if _is_ours(file):
            return file.readline().rstrip(b"\n")
    return b""


def _is_ours(file: BinaryIO) -> bool:
    """Whether no other user but root can have written an open file."""
    status = os.fstat(file.fileno())
    return status.st_uid in (0, os.geteuid()) and not status.st_mode & 0o022


def _line(key: str, body: bytes) -> bytes:
    content = key.encode() + b" " + body
    return hashlib.sha256(content).hexdigest()[:CHECKSUM].encode() + b" " + content


def _start(key: str) -> int:
    return CHECKSUM + len(key) + 2


def _body(line: bytes, key: str) -> bytes | None:
    """Return the data of an entry, or None if it is not exactly as it was saved."""
    body = line[_start(key) :]
    return body if line and line == _line(key, body) else None


def _encode(data: dict[str, Any] | None) -> bytes:
    """Return the data as JSON, or as ``null`` if JSON cannot hold it exactly.

    YAML has what JSON lacks: keys that are numbers, sets, bytes. Of these only dates have a form here.
    """
    with contextlib.suppress(TypeError, ValueError):
        encoded = json.dumps(data, default=_encode_date, allow_nan=False).encode()
        if repr(_decode(encoded)) == repr(data):
            return encoded
    return b"null"


def _encode_date(value: object) -> dict[str, str]:
    if isinstance(value, datetime.date):
        return {DATE: value.isoformat()}
    raise TypeError(value)


def _decode(encoded: bytes | None) -> Any:
    return None if encoded is None else json.loads(encoded, object_hook=_decode_date)


def _decode_date(value: dict[str, Any]) -> Any:
    if value.keys() != {DATE}:
        return value
    text = value[DATE]
    return (datetime.datetime if "T" in text else datetime.date).fromisoformat(text)


@cache
def world() -> str:
    """Return a hash of everything beside the YAML that a check's result depends on, by time and size."""
    packages = Path(yaml.__file__).parent.parent  # its time changes when a package is installed or removed
    seen = sorted(entry for name in FOLDERS for entry in _code(str(PROJECT_ROOT / name)))
    for path in (packages, *(PROJECT_ROOT / name for name in FILES)):
        with contextlib.suppress(OSError):
            seen.append(_as_seen(str(path), path.stat()))
    executor = os.environ.get("AIRFLOW__CORE__EXECUTOR")
    return hashlib.sha256(repr((executor, seen)).encode()).hexdigest()


def _code(folder: str) -> Iterator[tuple[str, int, int]]:
    """Yield the files of a package: 100 take 0.3 ms, and 1.2 ms with ``Path.glob``."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _code(entry.path)
            elif entry.name.endswith((".py", ".json")):
                yield _as_seen(entry.path, entry.stat())


def _as_seen(path: str, status: os.stat_result) -> tuple[str, int, int]:
    return path, status.st_mtime_ns, status.st_size
