"""Reading files and folders, on disk or elsewhere: what is absent is not what cannot be reached."""

from __future__ import annotations

import contextlib
import io
import os
import re
import stat
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar

from batch_serving.shared import object_storage
from batch_serving.shared.paths import is_local
from batch_serving.shared.unreachable import UnreachableError, check_links, of_local, of_storage

if TYPE_CHECKING:
    from upath import UPath

Found = TypeVar("Found")
_ENDING = re.compile(r"\.[A-Za-z0-9]{1,8}$")  # of a file that somebody has put there, such as README.md


@contextlib.contextmanager
def reached(path: Path, action: str) -> Iterator[None]:
    """Raise UnreachableError for what the disk refuses; FileNotFoundError only if a path does not exist.

    For a path that is to be written that is an error as well: its folder has been removed meanwhile.
    """
    try:
        yield
    except FileNotFoundError as error:
        check_links(path, action)
        if action == "written":
            raise of_local(path, action, error) from error
        raise
    except IsADirectoryError as error:
        if action == "read":
            raise  # it can be reached, and is not a file
        raise of_local(path, action, error) from error
    except OSError as error:
        check_links(path, action)
        raise of_local(path, action, error) from error


def reached_elsewhere(path: UPath, ask: Callable[[], Found], action: str = "read") -> Found:
    """Return what ``ask`` returns; UnreachableError for what another kind of storage refuses."""
    try:
        return ask()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise of_storage(path, action, error) from error


def read_whole(path: UPath) -> bytes:
    """Return a file's content as it is at one moment, also while others replace it.

    Raises FileNotFoundError if it does not exist, and UnreachableError if that cannot be known.
    """
    if object_storage.is_s3(path):
        return object_storage.get(path)[0]
    if is_local(path):
        with reached(Path(str(path)), "read"):
            return Path(str(path)).read_bytes()
    data: bytes = reached_elsewhere(path, lambda: path.fs.cat_file(path.path))
    return data


def exists(path: UPath) -> bool:
    """Return whether a file exists; UnreachableError if that cannot be known."""
    if object_storage.is_s3(path):
        return object_storage.tag(path) != ""
    if not is_local(path):
        return bool(reached_elsewhere(path, path.exists))
    return _exists_on_disk(Path(str(path)))


def _exists_on_disk(path: Path) -> bool:
    try:
        with reached(path, "read"):
            path.stat()
    except FileNotFoundError:
        return False
    return True


def identity_of(path: UPath) -> str:
    """Return what changes when a file is replaced, without reading it on disk; empty if it does not exist.

    Files are only ever replaced by others, so on disk it is the file's number, time and size; in S3, the tag.
    """
    if object_storage.is_s3(path):
        return object_storage.tag(path)
    try:
        if is_local(path):
            with reached(Path(str(path)), "read"):
                status = Path(str(path)).stat()
            return f"{status.st_ino} {status.st_mtime_ns} {status.st_size}"
        return str(reached_elsewhere(path, lambda: path.fs.ukey(path.path)))
    except FileNotFoundError:
        return ""


def modified_at(path: UPath) -> float:
    """Return when a file was written, in seconds since 1970; FileNotFoundError if it does not exist."""
    if object_storage.is_s3(path):
        return object_storage.modified_at(path)
    if is_local(path):
        with reached(Path(str(path)), "read"):
            return Path(str(path)).stat().st_mtime
    return float(reached_elsewhere(path, lambda: path.stat().st_mtime))


@dataclass(frozen=True)
class Entry:
    """What a folder has: a file or another folder."""

    folder: UPath
    name: str
    is_folder: bool

    @property
    def path(self) -> UPath:
        """Where it is; made when it is asked for, as that takes longer than to list it."""
        return self.folder / self.name


def entries(folder: UPath) -> list[Entry]:
    """Return what a folder has, by name; nothing if it does not exist, UnreachableError if it cannot be read.

    No patterns: a name with ``[`` or ``*`` in it is a name.
    """
    if object_storage.is_s3(folder):
        names = object_storage.keys_below(folder, delimiter="/")
        found = [Entry(folder, name.rstrip("/"), name.endswith("/")) for name in names]
    elif is_local(folder):
        found = _entries_on_disk(folder)
    else:
        found = _entries_elsewhere(folder)
    return sorted(found, key=lambda entry: entry.name)


def _entries_on_disk(folder: UPath) -> list[Entry]:
    try:
        with reached(Path(str(folder)), "read"), os.scandir(str(folder)) as found:
            return [Entry(folder, one.name, _is_folder(one)) for one in found]
    except FileNotFoundError:
        return []


def _is_folder(found: os.DirEntry[str]) -> bool:
    """Return whether an entry is a folder; UnreachableError for a link to a place that cannot be reached."""
    if not found.is_symlink() or found.name.startswith("."):
        return found.is_dir(follow_symlinks=False)
    path = Path(found.path)
    try:
        with reached(path, "read"):
            return stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:  # the link was removed meanwhile
        return False


def _entries_elsewhere(folder: UPath) -> list[Entry]:
    try:
        found = reached_elsewhere(folder, lambda: folder.fs.ls(folder.path, detail=True))
    except FileNotFoundError:
        return []
    pairs = [(one["name"].rstrip("/").rpartition("/")[2], one["type"] == "directory") for one in found]
    return [Entry(folder, name, is_folder) for name, is_folder in pairs]


def folders_in(folder: UPath) -> list[UPath]:
    """Return the folders in a folder, except hidden ones, by name.

    Only folders belong there: on disk, a file whose name has no usual ending stands where one should be, and
    raises UnreachableError.
    """
    return [entry.path for entry in _folders_in(folder)]


def _folders_in(folder: UPath) -> list[Entry]:
    shown = [entry for entry in entries(folder) if not entry.name.startswith(".")]
    for entry in shown if is_local(folder) else ():
        if not entry.is_folder and not _ENDING.search(entry.name):
            reason = f"{entry.path} is a file and not a folder"
            raise UnreachableError(folder, "read", reason, "move that file away")
    return [entry for entry in shown if entry.is_folder]


def files_in(folder: UPath, ending: str) -> list[UPath]:
    """Return the files of a folder whose names have an ending, except hidden ones, by name."""
    return [entry.path for entry in entries(folder) if _is_shown(entry.name, ending) and not entry.is_folder]


def _is_shown(name: str, ending: str) -> bool:
    return name.endswith(ending) and not name.startswith(".")


def newest_in(folder: UPath, ending: str) -> float | None:
    """Return when the newest file with an ending in a folder was written, in seconds since 1970.

    None if there is none. In S3 this is one listing, where a question per file would take a request each.
    """
    if object_storage.is_s3(folder):
        return max(
            (time for name, time in object_storage.times_in(folder) if _is_shown(name, ending)), default=None
        )
    times = []
    for path in files_in(folder, ending):
        with contextlib.suppress(FileNotFoundError):  # compacted meanwhile
            times.append(modified_at(path))
    return max(times, default=None)


def files_below(folder: UPath, ending: str) -> list[UPath]:
    """Return the files with an ending in a folder and all folders in it, except hidden ones, by path."""
    found = []
    for entry in entries(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_folder:
            found += files_below(entry.path, ending)
        elif entry.name.endswith(ending):
            found.append(entry.path)
    return sorted(found, key=str)


def folders_with(folder: UPath, name: str, since: str = "") -> list[str]:
    """Return the names, from ``since`` on, of the folders in ``folder`` that have a file ``name``; sorted."""
    if object_storage.is_s3(folder):
        keys = (key.split("/") for key in object_storage.keys_below(folder, after=since))
        return sorted(parts[0] for parts in keys if parts[1:] == [name])
    names = [entry.name for entry in _folders_in(folder) if entry.name >= since]
    if is_local(folder):
        root = Path(str(folder))
        return [each for each in names if _exists_on_disk(root / each / name)]
    return [each for each in names if exists(folder / each / name)]


def identities_below(folder: UPath, first: str, last: str) -> dict[str, str]:
    """Return the files of a folder and of all folders in it, each with its identity, except hidden ones.

    Only of the entries from ``first`` to ``last``; the names are relative to the folder. In S3 this is one
    listing, where a question per file would take a request each.
    """
    if object_storage.is_s3(folder):
        found = {}
        # From a little before: some servers take the name of a folder for what comes after all that is in it.
        for name, tag in object_storage.tags_below(folder, after=first[:-1]):
            if name[: len(last)] > last:
                break
            if name >= first and not any(part.startswith(".") for part in name.split("/")):
                found[name] = tag
        return found
    shown = [each for each in entries(folder) if first <= each.name <= last and not each.name.startswith(".")]
    found = {each.name: identity_of(each.path) for each in shown if not each.is_folder}
    for each in shown:
        if each.is_folder:
            below = identities_below(each.path, "", "\U0010ffff")
            found |= {f"{each.name}/{name}": identity for name, identity in below.items()}
    return {name: identity for name, identity in found.items() if identity}


@contextlib.contextmanager
def opened(path: UPath, *, encoding: str | None = None) -> Iterator[IO[Any]]:
    """Open a file for reading: as bytes, or as text in an ``encoding``, with its line ends unchanged.

    What is elsewhere is copied first, so that memory does not grow with the file, and no reader sees half of
    it. Raises FileNotFoundError or UnreachableError.
    """
    with local_copy(path) as copy, reached(copy, "read"), copy.open("rb") as file:
        yield file if encoding is None else io.TextIOWrapper(file, encoding=encoding, newline="")


@contextlib.contextmanager
def local_copy(path: UPath) -> Iterator[Path]:
    """Give a file's path on this machine's disk: its own, or that of a copy, which is deleted afterwards."""
    if is_local(path):
        with reached(Path(str(path)), "read"):
            Path(str(path)).open("rb").close()
        yield Path(str(path))
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        if object_storage.is_s3(path):
            object_storage.download(path, copy)
        else:
            reached_elsewhere(path, lambda: path.fs.get_file(path.path, str(copy)))
        yield copy
