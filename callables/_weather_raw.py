"""Raw answers of the weather service: one file a run and grid cell, from which everything else can be made.

``output/weather/raw/<districts file>/date=<day of the hour>/<hour>-<run>/<nx>-<ny>.json.gz``; beside ``raw``,
``unfinished/`` has a mark for each run whose districts are not all in the CSVs, or noted as missing, yet.
"""

from __future__ import annotations

import gzip
import json
import logging
import re
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from callables._files import (
    is_local,
    output_path,
    project_path,
    remove_leftovers,
    safe_name,
    sha256,
    to_json,
    write_atomic,
)
from callables._kma import target_hour
from callables._run import parse_time

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

DAY = re.compile(r"date=(\d{4}-\d\d-\d\d)")


@dataclass(frozen=True)
class Raw:
    """What came for one grid cell, or, where ``gone`` says why, that nothing can come any more."""

    hour: str  # ISO 8601, KST; what the run forecasts
    cell: tuple[int, int]
    source: str  # kma or sample
    run_id: str
    collected_at: str  # ISO 8601, KST
    base_at: str = ""  # ISO 8601, KST
    answer: str = ""  # as it came
    gone: str = ""


@dataclass(frozen=True)
class Run:
    """What one run is to collect: the hour after ``run_after`` (ISO 8601) for a file of districts."""

    run_id: str
    run_after: str
    districts: str

    @property
    def hour(self) -> datetime:
        """The hour to forecast, KST."""
        return target_hour(parse_time(self.run_after))

    @property
    def folder(self) -> UPath:
        """Where its raw answers are."""
        return (
            _raw_of(self.districts)
            / f"date={self.hour:%Y-%m-%d}"
            / f"{self.hour:%H}-{safe_name(self.run_id)}"
        )

    @property
    def mark_path(self) -> UPath:
        """Where it is marked as unfinished."""
        name = f"{self.hour:%Y-%m-%dT%H}-{safe_name(self.run_id)}-{sha256(self.districts.encode())[:8]}.json"
        return output_path("weather", "unfinished", name)

    def finish(self) -> None:
        """Take the mark away: nothing is left to be done."""
        self.mark_path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Mark:
    """Says that a run is unfinished, so that later ones help it."""

    run: Run
    source: str = ""  # kma or sample; empty where it never came to know
    told: bool = False  # collect has failed, and Slack was told

    def write(self) -> None:
        """Put the mark in place of the one that there may be."""
        remove_leftovers(self.run.mark_path.parent)
        write_atomic(self.run.mark_path, to_json(asdict(self)))


def read_mark(run: Run) -> Mark | None:
    """Return a run's mark; None where it has none."""
    return _mark_in(run.mark_path)


def unfinished(districts: str) -> list[Mark]:
    """Return the marks of the runs for a file of districts that are unfinished, oldest hour first.

    With those for files that are no more: they were called otherwise when their runs began.
    """
    folder = output_path("weather", "unfinished")
    paths = sorted(folder.glob("*.json"), key=str) if folder.exists() else []
    marks = [mark for path in paths if (mark := _mark_in(path)) is not None]
    return [
        mark
        for mark in sorted(marks, key=lambda mark: (mark.run.hour, mark.run.run_id))
        if mark.run.districts == districts or not project_path(mark.run.districts).exists()
    ]


def _mark_in(path: UPath) -> Mark | None:
    try:
        found = json.loads(path.read_bytes())
        mark = Mark(Run(**found.pop("run")), **found)
        texts = (mark.run.run_id, mark.run.run_after, mark.run.districts, mark.source)
        fits = all(isinstance(text, str) for text in texts) and mark.run.mark_path.name == path.name
        return mark if fits else None
    except FileNotFoundError:
        return None
    except Exception as error:  # whatever somebody else has put there
        log.warning("%s is no mark of an unfinished run (%s)", path, type(error).__name__)
        return None


def _raw_of(districts: str) -> UPath:
    return output_path("weather", "raw", safe_name(districts))


def path_of(folder: UPath, cell: tuple[int, int]) -> UPath:
    """Return the file of one grid cell."""
    return folder / f"{cell[0]}-{cell[1]}.json.gz"


def write(folder: UPath, raw: Raw) -> None:
    """Keep what came for a cell; the same content gives the same bytes."""
    write_atomic(path_of(folder, raw.cell), gzip.compress(to_json(asdict(raw)), mtime=0))


def read(path: UPath) -> Raw | None:
    """Return what came for a cell; None where there is nothing, or nothing that can be read."""
    try:
        found = json.loads(gzip.decompress(path.read_bytes()))
        return Raw(**{**found, "cell": tuple(found["cell"])})
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, TypeError, KeyError, AttributeError, zlib.error):
        return None  # torn by a disk, or not ours: asked for again


def read_run(folder: UPath) -> list[Raw]:
    """Return what came for a run, by cell."""
    found = (read(path) for path in sorted(folder.glob("*.json.gz"), key=str))
    return sorted((raw for raw in found if raw is not None), key=lambda raw: raw.cell)


def runs() -> Iterator[UPath]:
    """Yield the folders of all runs for all files of districts, oldest day first."""
    days = [day for root in _folders(output_path("weather", "raw")) for day in _days(root)]
    for day in sorted(days, key=lambda path: (path.name, str(path))):
        yield from sorted(_folders(day), key=str)


def _days(root: UPath) -> list[UPath]:
    return [path for path in _folders(root) if DAY.fullmatch(path.name)]


def _folders(path: UPath) -> list[UPath]:
    return [found for found in path.iterdir() if found.is_dir()] if path.exists() else []


def prune(keep_days: int, today: date, districts: str) -> list[str]:
    """Remove the days of a file of districts that lie more than ``keep_days`` before ``today``; return them.

    Days on which a run is unfinished stay.
    """
    first = (today - timedelta(days=keep_days)).isoformat()
    needed = {mark.run.hour.date().isoformat() for mark in unfinished(districts)}
    removed = []
    for path in _days(_raw_of(districts)):
        day = path.name.removeprefix("date=")
        # As text: a folder that somebody called after no day at all sorts, too.
        if day < first and day not in needed:
            _remove(path)
            removed.append(day)
    return sorted(removed)


def _remove(folder: UPath) -> None:
    if is_local(folder):
        import shutil

        shutil.rmtree(Path(str(folder)), ignore_errors=True)  # another run may be removing it, too
    else:
        folder.fs.rm(folder.path, recursive=True)
