"""Faults of the machine under a cluster: a wall clock that jumps, and a disk that is full."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import programs

SOURCE = Path(__file__).with_name("wall_clock.c")
PIECES = (1 << 20, 1 << 12, 1)  # bytes


class WallClock:
    """The clock of all programs that have ``settings`` and of PostgreSQL and Redis, which find ``folder`` on the PATH."""

    def __init__(self, folder: Path) -> None:
        """Compile what is preloaded, and put a script in the place of each service; the folder is for all users."""
        folder.chmod(0o755)
        self.folder = folder
        self._offset = folder / "seconds"
        self.jump(0)
        library = folder / "wall_clock.so"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl"], check=True)
        self.settings = {"LD_PRELOAD": str(library), "WALL_CLOCK_FILE": str(self._offset)}
        for name in ("postgres", "redis-server"):
            given = " ".join(f"{key}={value}" for key, value in self.settings.items())
            script = folder / name
            script.write_text(f'#!/bin/sh\nexec env {given} {programs.find(name)} "$@"\n')
            script.chmod(0o755)

    def jump(self, seconds: int) -> None:
        """Set all clocks to so many seconds after the true time."""
        with self._offset.open("r+b" if self._offset.exists() else "wb") as file:
            file.write(struct.pack("l", seconds))
        self._offset.chmod(0o644)


class SmallDisk:
    """A disk of its own in memory, mounted on a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Leave no byte free."""
        with self._filler.open("ab", buffering=0) as file:
            for size in PIECES:
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))

    def free(self) -> None:
        """Give back what ``fill`` took."""
        self._filler.unlink()

    def free_bytes(self) -> int:
        """Return how many bytes are free."""
        return shutil.disk_usage(self.folder).free


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """Mount a disk on a new folder, which only this user may enter, until the block has ended."""
    folder.mkdir(mode=stat.S_IRWXU)
    as_root = programs.as_root([], os.geteuid())
    options = f"size={megabytes}m,mode=0700,uid={os.geteuid()},gid={os.getegid()}"
    subprocess.run([*as_root, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run([*as_root, "umount", "--lazy", str(folder)], check=True)
