"""On disk: a place that cannot be read is named with the remedy; it is neither absent nor empty."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock
from privileges import denied_as_others_are
from unreachable_places import make_dangling, make_file, make_loop
from upath import UPath

from batch_serving.shared.files import delete, locked, read_with_tag, tag_of, write_atomic, write_if_unchanged
from batch_serving.shared.reading import (
    entries,
    exists,
    files_below,
    files_in,
    folders_in,
    folders_with,
    local_copy,
    modified_at,
    opened,
    reached,
    read_whole,
)
from batch_serving.shared.unreachable import UnreachableError


def make_denied(place: Path) -> None:
    place.mkdir()
    (place / "x").mkdir()
    place.chmod(0)


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "file": (make_file, "/place is a file and not a folder; move that file away"),
    "loop": (make_loop, "link"),
    "dangling": (make_dangling, "/place is a link to a place that does not exist; mount that place"),
    "denied": (make_denied, "access is denied; give this user access"),
}


def open_it(path: UPath) -> None:
    with opened(path):
        pass


def copy_it(path: UPath) -> None:
    with local_copy(path):
        pass


def lock_it(path: UPath) -> None:
    with locked(path):
        pass


CALLS: dict[str, Callable[[UPath], object]] = {
    "read_whole": read_whole,
    "read_with_tag": read_with_tag,
    "tag_of": tag_of,
    "exists": exists,
    "modified_at": modified_at,
    "entries": entries,
    "files_in": lambda path: files_in(path, ".csv"),
    "files_below": lambda path: files_below(path, ".csv"),
    "folders_with": lambda path: folders_with(path, "metadata.json"),
    "opened": open_it,
    "local_copy": copy_it,
    "write_atomic": lambda path: write_atomic(path, b""),
    "write_if_unchanged": lambda path: write_if_unchanged(path, b"", ""),
    "locked": lock_it,
    "delete": delete,
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_below_it_is_unreachable(tmp_path: Path, fault: str, call: str) -> None:
    make, said = FAULTS[fault]
    make(tmp_path / "place")
    path = UPath(tmp_path / "place" / "x" / "y")
    with denied_as_others_are(), pytest.raises(UnreachableError, match=f"cannot be .*{said}") as found:
        CALLS[call](path)
    assert str(path) in str(found.value)
    if fault == "denied":
        (tmp_path / "place").chmod(0o700)


@pytest.mark.parametrize("call", [name for name in CALLS if name != "delete"])
def test_a_name_that_is_too_long_is_named(tmp_path: Path, call: str) -> None:
    with pytest.raises(UnreachableError, match="its name is too long; use a shorter name or folder"):
        CALLS[call](UPath(tmp_path / ("x" * 300) / "y"))


@pytest.mark.parametrize("call", ["entries", "files_in", "files_below", "folders_with"])
@pytest.mark.parametrize("fault", ["loop", "dangling"])
def test_a_folder_is_not_listed_without_what_a_link_leads_to(tmp_path: Path, fault: str, call: str) -> None:
    """For example versions that were moved to a disk, which is not mounted."""
    FAULTS[fault][0](tmp_path / "place")
    with pytest.raises(UnreachableError, match="/place cannot be read: .*link"):
        CALLS[call](UPath(tmp_path))


def test_links_that_lead_somewhere_are_what_they_lead_to(tmp_path: Path) -> None:
    (tmp_path / "disk" / "v").mkdir(parents=True)
    (tmp_path / "disk" / "v" / "metadata.json").touch()
    (tmp_path / "here").symlink_to("disk")
    (tmp_path / "file.csv").symlink_to("disk/v/metadata.json")
    (tmp_path / ".#lock").symlink_to("an editor's mark")
    found = {entry.name: entry.is_folder for entry in entries(UPath(tmp_path))}
    assert found == {".#lock": False, "disk": True, "here": True, "file.csv": False}
    assert folders_with(UPath(tmp_path / "here"), "metadata.json") == ["v"]


def test_what_does_not_exist_is_absent(tmp_path: Path) -> None:
    path = UPath(tmp_path / "no" / "such" / "place")
    assert (entries(path), exists(path), read_with_tag(path)) == ([], False, (None, ""))
    delete(path)
    with pytest.raises(FileNotFoundError):
        read_whole(path)


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path: Path) -> None:
    """A version, for example; a note that somebody has put beside the versions is none."""
    (tmp_path / "20260101T000000Z-00000000").mkdir()
    for name in ("README.md", "Thumbs.db", ".hidden"):
        (tmp_path / name).touch()
    assert [path.name for path in folders_in(UPath(tmp_path))] == ["20260101T000000Z-00000000"]
    (tmp_path / "20260102T000000Z-00000000").touch()
    with pytest.raises(UnreachableError, match="20260102T000000Z-00000000 is a file and not a folder; move"):
        folders_in(UPath(tmp_path))


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    for call in (read_with_tag, lambda path: write_atomic(path, b"")):
        with pytest.raises(UnreachableError, match="it is a folder and not a file; move that folder away"):
            call(UPath(tmp_path))


def test_a_link_is_deleted_and_not_what_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "file").touch()
    (tmp_path / "link").symlink_to("disk")
    delete(UPath(tmp_path / "link"))
    assert (os.path.lexists(tmp_path / "link"), (tmp_path / "disk" / "file").exists()) == (False, True)


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="only Linux has /dev/full")
def test_a_full_disk_is_named() -> None:
    path = Path("/dev/full")
    with (
        pytest.raises(
            UnreachableError, match="/dev/full cannot be written: the disk is full; free some space"
        ),
        reached(path, "written"),
        path.open("wb", buffering=0) as file,
    ):
        file.write(b"x")


def test_a_lock_that_another_task_holds_is_named(tmp_path: Path) -> None:
    with (
        FileLock(str(tmp_path / ".lock")),
        pytest.raises(UnreachableError, match="another task has held its lock for 0.1 s; wait"),
        locked(UPath(tmp_path), 0.1),
    ):
        pass
