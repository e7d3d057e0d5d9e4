"""The unfinished runs: those that have districts without a row and without a note in ``missing/``.

``output/weather/unfinished/`` has a file for each; later runs collect and merge what it lacks.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from batch_serving.shared.files import delete, remove_leftovers, sha256, to_json, write_atomic
from batch_serving.shared.paths import output_path, project_path, safe_name
from batch_serving.shared.reading import exists, files_in, read_whole
from batch_serving.shared.unreachable import UnreachableError
from batch_serving.weather.runs import Run

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)


class SourceChangedError(ValueError):
    """A run that started with KMA must not be completed with sample weather."""


@dataclass(frozen=True)
class UnfinishedRun:
    """A run, and what is known about its collection."""

    run: Run
    source: str = ""  # kma or sample; empty until it is known
    reported: bool = False  # collect has failed, and its failure was reported to Slack


def start(run: Run) -> UnfinishedRun:
    """Mark a run as unfinished and return it, with the source that an earlier try has used."""
    earlier = find(run)
    unfinished = UnfinishedRun(run, earlier.source if earlier else "")
    save(unfinished)
    return unfinished


def use_source(unfinished: UnfinishedRun, source: str) -> UnfinishedRun:
    """Save which source the run uses; SourceChangedError if sample weather would complete a run of KMA."""
    if source == "sample" and unfinished.source == "kma":
        raise SourceChangedError(
            f"this run for {unfinished.run.hour:%Y-%m-%d %H:%M} started with a connection to KMA that does "
            "not exist now; sample weather does not fill the gaps: create the connection again"
        )
    changed = replace(unfinished, source=source)
    save(changed)
    return changed


def ensure(run: Run) -> None:
    """Mark a run as unfinished if collect did not, for example because it was killed."""
    if find(run) is None:
        save(UnfinishedRun(run))


def mark_reported(unfinished: UnfinishedRun) -> None:
    """Save that collect has failed: Slack has its message, and preprocess needs no second one."""
    save(replace(unfinished, reported=True))


def save(unfinished: UnfinishedRun) -> None:
    """Write the file of an unfinished run, in place of an earlier one."""
    path = path_of(unfinished.run)
    remove_leftovers(path.parent)
    content = {
        "run": asdict(unfinished.run),
        "source": unfinished.source,
        "told": unfinished.reported,  # the name in existing files
    }
    write_atomic(path, to_json(content))


def finish(run: Run) -> None:
    """Delete the file of a run that has nothing left to collect."""
    delete(path_of(run))


def find(run: Run) -> UnfinishedRun | None:
    """Return a run with what is known about its collection; None if it is not unfinished."""
    return _read(path_of(run))


def find_all(districts: str) -> list[UnfinishedRun]:
    """Return the unfinished runs for a districts file, oldest hour first.

    Includes those for files that do not exist any more: the file was renamed since.
    """
    paths = files_in(output_path("weather", "unfinished"), ".json")
    found = [unfinished for path in paths if (unfinished := _read(path)) is not None]
    found.sort(key=lambda unfinished: (unfinished.run.hour, unfinished.run.run_id))
    return [
        unfinished
        for unfinished in found
        if unfinished.run.districts == districts or not exists(project_path(unfinished.run.districts))
    ]


def path_of(run: Run) -> UPath:
    """Return the file that marks a run as unfinished."""
    name = f"{run.hour:%Y-%m-%dT%H}-{safe_name(run.run_id)}-{sha256(run.districts.encode())[:8]}.json"
    return output_path("weather", "unfinished", name)


def _read(path: UPath) -> UnfinishedRun | None:
    try:
        unfinished = _parse(read_whole(path))
        if path_of(unfinished.run).name != path.name:
            raise ValueError("the file has the name of another run")
        return unfinished
    except FileNotFoundError:
        return None
    except UnreachableError:
        raise
    except Exception as error:  # any file may be in this folder, and none may stop a run
        log.warning("%s does not describe an unfinished run (%s)", path, type(error).__name__)
        return None


def _parse(data: bytes) -> UnfinishedRun:
    content = json.loads(data)
    run, source = Run(**content["run"]), content.get("source", "")
    for text in (run.run_id, run.run_after, run.districts, source):
        if not isinstance(text, str):
            raise TypeError(f"{text!r} is not a text")
    return UnfinishedRun(run, source, bool(content.get("told", False)))
