"""Compacted days: once a day is over, one file has the rows of all its runs."""

from __future__ import annotations

import logging
from datetime import date
from typing import TYPE_CHECKING

from batch_serving.prediction.places import compacted_path, folder_of, locked_for
from batch_serving.prediction.run_files import CorruptFileError, RunFile, rows_in
from batch_serving.shared.files import ChangedError, delete_if_unchanged, remove_leftovers, tag_of
from batch_serving.shared.reading import exists, files_in

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)

Run = tuple[str, str]  # run_after, run_id
Part = tuple[Run, "UPath | list[list[str]]"]  # a run's file, or its rows


def compact_day(model: str, day: date) -> bool:
    """Put the files of a day's runs into one; return whether there were any.

    A kill at any moment loses no row: the next call does what is left. The same runs give the same file,
    however often and in whatever order they are compacted.
    """
    try:
        with locked_for(model):
            remove_leftovers(folder_of(model, day))
            return _compact(model, day)
    except (ChangedError, FileNotFoundError):  # on object storage, where no lock keeps others out
        log.info("another run compacts %s", day)
        return False


def _compact(model: str, day: date) -> bool:
    target = compacted_path(model, day)
    files = [path for path in files_in(folder_of(model, day), ".csv") if "=" not in path.name]
    parts, tags = _whole_runs(sorted(files, key=str))
    if not tags:
        return False
    tag = tag_of(target)
    replaced = {run_id for (_, run_id), _ in parts}
    parts += [(run, rows) for run, rows in _runs_in(target).items() if run[1] not in replaced]
    collected = RunFile(target)
    try:
        for _, part in sorted(parts, key=lambda part: part[0]):
            collected.add_rows(part if isinstance(part, list) else rows_in(part))
        collected.publish(tag=tag)
    finally:
        collected.discard()
    for path, seen in tags.items():
        delete_if_unchanged(path, seen)  # a run that was cleared meanwhile has written it again
    return True


def _whole_runs(files: list[UPath]) -> tuple[list[Part], dict[UPath, str]]:
    """Return the runs that have rows, and the tag of each file that is whole."""
    parts: list[Part] = []
    tags = {}
    for path in files:
        tag = tag_of(path)
        first = None
        try:
            for row in rows_in(path):  # to the end, to know that the file is whole
                first = first or row
        except CorruptFileError as error:
            log.warning("%s; it stays unchanged: clear its run", error)
            continue
        if first is not None:
            parts.append(((first[1], first[0]), path))
        tags[path] = tag
    return parts, tags


def _runs_in(path: UPath) -> dict[Run, list[list[str]]]:
    """Return the rows of a compacted day by run."""
    found: dict[Run, list[list[str]]] = {}
    for row in rows_in(path) if exists(path) else []:
        found.setdefault((row[1], row[0]), []).append(row)
    return found
