"""Raw answers of the weather service: one file a run and grid cell, from which everything else can be made.

``output/weather/raw/date=<day of the hour>/<run>/<nx>-<ny>.json.gz``; beside ``raw``, ``unfinished/`` has a
file for each run whose districts are not all in the CSVs, or noted as missing, yet.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from callables._files import is_local, output_path, safe_name, sha256, to_json, write_atomic
from callables._kma import target_hour
from callables._run import parse_time

if TYPE_CHECKING:
    from upath import UPath

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
        return output_path("weather", "raw", f"date={self.hour:%Y-%m-%d}", safe_name(self.run_id))

    @property
    def _mark(self) -> UPath:
        name = f"{self.hour:%Y-%m-%dT%H}-{safe_name(self.run_id)}-{sha256(self.districts.encode())[:8]}.json"
        return output_path("weather", "unfinished", name)

    def begin(self) -> None:
        """Note that it is unfinished, so that later runs help it if it fails or is killed."""
        write_atomic(self._mark, to_json(asdict(self)))

    def finish(self) -> None:
        """Take the note away: nothing is left to be done."""
        self._mark.unlink(missing_ok=True)


def unfinished(districts: str) -> list[Run]:
    """Return the runs for a file of districts that are unfinished, oldest hour first."""
    folder = output_path("weather", "unfinished")
    found = []
    for path in sorted(folder.glob("*.json"), key=str) if folder.exists() else []:
        try:
            run = Run(**json.loads(path.read_bytes()))
            found += [run] if run.districts == districts and run.hour else []
        except (OSError, ValueError, TypeError):
            continue  # finished meanwhile, or not ours
    return sorted(found, key=lambda run: run.hour)


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


def runs(root: UPath) -> Iterator[UPath]:
    """Yield the folders of all runs, oldest day first."""
    for day in sorted((path for path in _folders(root) if DAY.fullmatch(path.name)), key=str):
        yield from sorted(_folders(day), key=str)


def _folders(path: UPath) -> list[UPath]:
    return [found for found in path.iterdir() if found.is_dir()] if path.exists() else []


def prune(keep_days: int, today: date) -> list[str]:
    """Remove the days that lie more than ``keep_days`` before ``today``, and what is unfinished of them.

    Returns the days.
    """
    first = (today - timedelta(days=keep_days)).isoformat()
    removed = []
    for path in _folders(output_path("weather", "raw")):
        match = DAY.fullmatch(path.name)
        # As text: a folder that somebody called after no day at all sorts, too.
        if match and match[1] < first:
            _remove(path)
            removed.append(match[1])
    marks = output_path("weather", "unfinished")
    for path in marks.glob("*.json") if marks.exists() else []:
        if path.name[:10] < first:
            path.unlink(missing_ok=True)
    return sorted(removed)


def _remove(folder: UPath) -> None:
    if is_local(folder):
        import shutil

        shutil.rmtree(Path(str(folder)), ignore_errors=True)  # another run may be removing it, too
    else:
        folder.fs.rm(folder.path, recursive=True)
