"""Raw answers of the weather service: one file a run and grid cell, from which everything else can be made.

``output/weather/raw/date=<day of the hour>/<run>/<nx>-<ny>.json.gz``
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

from callables._files import is_local, output_path, safe_name, to_json, write_atomic

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


def folder_of(hour: datetime, run_id: str) -> UPath:
    """Return the folder of one run, which forecasts ``hour`` (KST)."""
    return output_path("weather", "raw", f"date={hour:%Y-%m-%d}", safe_name(run_id))


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
    """Remove the days that lie more than ``keep_days`` before ``today``; return them."""
    root = output_path("weather", "raw")
    removed = []
    for path in _folders(root):
        match = DAY.fullmatch(path.name)
        # As text: a folder that somebody called after no day at all sorts, too.
        if match and match[1] < (today - timedelta(days=keep_days)).isoformat():
            _remove(path)
            removed.append(match[1])
    return sorted(removed)


def _remove(folder: UPath) -> None:
    if is_local(folder):
        import shutil

        shutil.rmtree(Path(str(folder)), ignore_errors=True)  # another run may be removing it, too
    else:
        folder.fs.rm(folder.path, recursive=True)
