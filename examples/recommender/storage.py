"""The files of a run, the bucket of models, and which of them are removed when they are old."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import delete, remove_leftovers, sha256
from batch_serving.shared.paths import output_path, project_path, safe_name
from batch_serving.shared.reading import entries, folders_in, modified_at, read_whole
from examples.recommender.database import Record

if TYPE_CHECKING:
    from upath import UPath

RUNS, BUCKET = "recommender", "recommender_models"  # below the output folder
COMPARISON = "comparison.md"
_FOLDER = re.compile(r"\d{8}T\d{12}Z-[0-9a-f]{8}")


def run_folder(run_id: str) -> UPath:
    """Return the folder of a run's intermediate files."""
    return output_path(RUNS, safe_name(run_id))


def of_run(run_id: str, name: str, task: str) -> bytes:
    """Return an intermediate file of a run; if it is missing, the error names the task that makes it."""
    path = run_folder(run_id) / name
    try:
        return read_whole(path)
    except FileNotFoundError:
        raise InvalidValueError(f"{path} does not exist", f"clear the task {task} of this run") from None


def bucket() -> UPath:
    """Return where the models are: a folder, or a prefix in object storage."""
    return output_path(BUCKET)


def folder_name(made_at: datetime, content: bytes) -> str:
    """Return the name of a model's folder in the bucket: when it was made (UTC), and which content it has.

    A file there never changes: another content has another folder.
    """
    return f"{made_at.astimezone(UTC):%Y%m%dT%H%M%S%fZ}-{sha256(content)[:8]}"


def superfluous(records: Sequence[Record], keep_best: int, keep_newest: int) -> list[Record]:
    """Return the records, best first, that are neither among the best nor among the newest so many."""
    newest = sorted(records, key=lambda one: (one.made_at, one.file), reverse=True)
    kept = {one.run_id for one in (*records[:keep_best], *newest[:keep_newest])}
    return [one for one in records if one.run_id not in kept]


def delete_models(removed: Sequence[Record], kept: Sequence[Record]) -> None:
    """Delete the folders of removed records, unless a kept record has its file there."""
    in_use = {(one.bucket, one.file) for one in kept}
    for record in removed:
        folder, _, _ = record.file.partition("/")
        if (record.bucket, record.file) not in in_use and _FOLDER.fullmatch(folder):
            delete(project_path(record.bucket) / folder)


def delete_unrecorded(kept: Sequence[Record], days: float) -> list[str]:
    """Delete the models in the bucket that no record names and that are older than ``days``; return which.

    A task that was killed between upload and record, or cleared, leaves such files. Without any record of
    this bucket nothing is deleted: the collection may be in another database.
    """
    in_use = {one.file.partition("/")[0] for one in kept if one.bucket == str(bucket())}
    if not in_use:
        return []
    unnamed = [one for one in folders_in(bucket()) if _FOLDER.fullmatch(one.name) and one.name not in in_use]
    return _delete_older(unnamed, days)


def delete_old_runs(days: float) -> list[str]:
    """Delete the intermediate files of runs that have written nothing for so many days; return which."""
    return _delete_older(folders_in(output_path(RUNS)), days)


def _delete_older(folders: Sequence[UPath], days: float) -> list[str]:
    deleted = []
    for folder in folders:
        if _newest(folder) < time.time() - days * 86_400:
            delete(folder)
            deleted.append(folder.name)
        else:
            remove_leftovers(folder)
    return deleted


def _newest(folder: UPath) -> float:
    """Return when the newest file of a folder was written; now if it has none, another task may make one."""
    times = []
    for entry in entries(folder):
        try:
            times.append(modified_at(entry.path))
        except FileNotFoundError:  # deleted meanwhile
            continue
    return max(times, default=time.time())
