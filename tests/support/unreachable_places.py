"""Places on disk that are there and cannot be read: each maker puts one at a path."""

from __future__ import annotations

from pathlib import Path


def make_file(place: Path) -> None:
    """A file, for what should be a folder."""
    place.write_text("a file", encoding="utf-8")


def make_loop(place: Path) -> None:
    """A link to itself."""
    place.symlink_to(place.name)


def make_dangling(place: Path) -> None:
    """A link to a disk that is not mounted."""
    place.symlink_to(place.with_name("unmounted") / "disk")
