"""The functions that the YAML files of this folder name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any


def greet(*, name: str) -> str:
    """Print a greeting and return it."""
    greeting = f"Hello, {name}"
    print(greeting)
    return greeting


def choose_by_size(*, rows: str, limit: int) -> str:
    """Return the task_id that a branch goes on with. ``rows`` is a number, as a template writes it."""
    return "large" if int(rows) > limit else "small"


def is_wanted(*, wanted: str) -> bool:
    """Return whether the tasks below a short circuit run. ``wanted`` is a flag, as a template writes it."""
    return wanted == "True"


def is_past(*, moment: str) -> bool:
    """Return whether a time in ISO 8601, with its zone, has passed."""
    return datetime.now(UTC) >= datetime.fromisoformat(moment)


def remember_run(*, run_id: str) -> None:
    """Store which run was the last one in an Airflow Variable."""
    from airflow.sdk import Variable

    Variable.set("building_blocks_last_run", run_id)


def describe_connection(*, conn_id: str) -> dict[str, Any]:
    """Return where a connection leads, without its login."""
    from airflow.sdk import Connection

    found = Connection.get(conn_id)
    return {"type": found.conn_type, "host": found.host, "port": found.port}


def measure() -> dict[str, Any]:
    """Return a small result, which Airflow keeps as the task's XCom."""
    return {"rows": 5, "columns": ["day", "amount"]}


def report(*, rows: str, columns: str) -> None:
    """Print what another task has returned."""
    print(f"{rows} rows of {columns}")


def list_cities() -> list[dict[str, str]]:
    """Return the arguments of each copy of a mapped task."""
    return [{"name": name} for name in ("Seoul", "Busan", "Jeju")]


def make_folder(*, run_id: str) -> str:
    """Make a temporary folder of a run and return its path; one that is there stays."""
    folder = _folder_of(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    return str(folder)


def remove_folder(*, run_id: str) -> None:
    """Remove the temporary folder of a run with all that is in it."""
    import shutil

    shutil.rmtree(_folder_of(run_id), ignore_errors=True)


def _folder_of(run_id: str) -> Any:
    import tempfile
    from pathlib import Path

    from batch_serving.shared.paths import safe_name

    return Path(tempfile.gettempdir(), "building_blocks", safe_name(run_id))


def print_cause(*, triggering_asset_events: Mapping[Any, Any]) -> int:
    """Print which changes of assets have started the run, and return their number."""
    events = [event for found in triggering_asset_events.values() for event in found]
    for event in events:
        print(f"{event.asset.uri} was changed by {event.source_task_id}")
    return len(events)


def note_missed_deadline(*, context: Mapping[str, Any], limit_s: int) -> None:
    """Write a file below the output folder that names the run that took too long."""
    from batch_serving.shared.files import write_atomic
    from batch_serving.shared.paths import output_path, safe_name

    run_id = context["dag_run"]["dag_run_id"]
    place = output_path("building_blocks", "missed_deadlines", f"{safe_name(run_id)}.txt")
    write_atomic(place, f"{run_id} had not ended {limit_s} s after it was queued\n".encode())
