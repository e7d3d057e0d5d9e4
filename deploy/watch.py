"""Makes Airflow load the pipelines again when a file changes. ``deploy/local.py`` starts it beside Airflow.

Airflow parses a DAG file again when the time of its last modification is new, and looks at that time once
per second. So this process touches ``load_all.py``; git sees no change. Airflow ignores a touch during a
parse. So the touch is repeated until a parse has started after it, which the loader notes. If this process
cannot work, Airflow still parses at its interval.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import watchfiles

from schemas.cache import pass_file

FOLDERS = ("dag_configs", "callables", "batch_serving", "examples", "schemas")
SUFFIXES = (".yaml", ".yml", ".py", ".json", "")  # the last is that of a folder
STEP_MS = 100  # changes with less time between them are one change: an editor saves in several steps
TICK_MS = 1000
REPEAT_AFTER_S = 1.5  # a parse starts 0.2 to 1.3 s after a touch
GIVE_UP_AFTER_S = 300  # no DAG processor is running
# File systems where a change by another machine is not reported to this one.
REMOTE = ("9p", "cifs", "drvfs", "fuse", "nfs", "prl_fs", "smb", "vboxsf", "virtiofs")
INTERVAL = "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL"


class TouchError(Exception):
    """The DAG file cannot be touched."""


@dataclass
class DagFile:
    """The file that Airflow parses again after a touch."""

    path: Path
    pass_file: Path
    _changed_at: float = 0.0
    _touched_at: float = 0.0
    _touch_ns: int = 0  # of the touch that no parse has followed yet

    def changed(self) -> None:
        """Let Airflow parse the file, since what it loads has changed."""
        self._changed_at = time.monotonic()
        self._touch()

    def repeat(self) -> None:
        """Touch the file again if no parse has started since the last touch."""
        now = time.monotonic()
        if not self._touch_ns or now - self._touched_at < REPEAT_AFTER_S:
            return
        if _modified_ns(self.pass_file) > self._touch_ns or now - self._changed_at > GIVE_UP_AFTER_S:
            self._touch_ns = 0
        else:
            self._touch()

    def _touch(self) -> None:
        try:
            os.utime(self.path)
        except FileNotFoundError:  # it is being replaced, which Airflow sees without a touch
            return
        except OSError as error:
            raise TouchError(f"{self.path} cannot be touched ({error.strerror})") from error
        self._touched_at, self._touch_ns = time.monotonic(), _modified_ns(self.path)


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@dataclass
class Watcher:
    """Watches a project, and touches its DAG file after each change."""

    project: Path
    dag_file: DagFile
    is_needed: Callable[[], bool]
    polling: bool = False
    _missed: bool = False  # changes may have happened while nothing watched

    def run(self) -> None:
        """Watch as long as that is needed.

        Raises TouchError, or what watchfiles raises if the folders cannot even be polled.
        """
        self.polling = self.polling or is_remote(self.project, mounted())
        while self.is_needed():
            folders = identities(self.project)
            try:
                self._watch(folders)
            except (OSError, RuntimeError) as error:  # watchfiles raises either at a limit of the system
                if folders == identities(self.project):
                    if self.polling:
                        raise
                    say(f"the system cannot report changes ({error}); polling once per second instead")
                    self.polling = True
            self._missed = True

    def _watch(self, folders: dict[Path, tuple[int, int]]) -> None:
        """Watch until a folder comes, goes or is replaced: the system reports nothing about its successor."""
        for changes in watchfiles.watch(
            *folders,
            watch_filter=lambda _, path: is_source(Path(path).relative_to(self.project)),
            step=STEP_MS,
            rust_timeout=TICK_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            force_polling=self.polling or None,
            poll_delay_ms=TICK_MS,
            ignore_permission_denied=True,
        ):
            if not self.is_needed():
                return
            if changes or self._missed:
                self._missed = False
                self.dag_file.changed()
            else:
                self.dag_file.repeat()
            if identities(self.project) != folders:
                return


def identities(project: Path) -> dict[Path, tuple[int, int]]:
    """Return the folders that exist, each with what distinguishes it from another of the same name."""
    found = {}
    for name in FOLDERS:
        try:
            status = (project / name).stat()
        except OSError:
            continue
        found[project / name] = (status.st_dev, status.st_ino)
    return found


def is_source(path: Path) -> bool:
    """Whether a pipeline can depend on a file; bytecode and the temporary files of editors are left out."""
    hidden = any(part.startswith((".", "__pycache__")) for part in path.parts)
    return path.suffix in SUFFIXES and not hidden


def is_remote(folder: Path, file_systems: dict[str, str]) -> bool:
    """Whether a folder is on a file system that other machines can change."""
    mounts = [mount for mount in file_systems if folder.is_relative_to(mount)]
    return bool(mounts) and file_systems[max(mounts, key=len)].startswith(REMOTE)


def mounted() -> dict[str, str]:
    """Return the type of the file system at each mount point."""
    return {partition.mountpoint: partition.fstype for partition in psutil.disk_partitions(all=True)}


def say(text: str) -> None:
    """Print one line to Airflow's output."""
    print(f"watch: {text}", flush=True)


def main(arguments: list[str]) -> int:
    """Watch the project of the DAG file, the only argument, until the process that started this one ends."""
    path = Path(arguments[0]).absolute()
    parent = os.getppid()
    say(f"a change in {', '.join(FOLDERS)} is loaded within 2 s")
    try:
        Watcher(path.parent.parent, DagFile(path, pass_file()), lambda: os.getppid() == parent).run()
    except (TouchError, OSError, RuntimeError) as error:
        say(f"{error}; a change is loaded after up to {os.environ.get(INTERVAL, '30')} s")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
