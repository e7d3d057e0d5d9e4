"""``make demo``: runs the four pipelines once through a separate scheduler and shows what they wrote.

The demo has its own home, ports and output, so an Airflow that ``make up`` started is not disturbed.
"""

from __future__ import annotations

import csv
import json
import shutil
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from local import HOME, ROOT, Api, Instance, LocalError, free_ports, project_settings

from batch_serving.shared.command_line import end_in_order

DEMO_HOME = HOME / "demo"
OUTPUT = ROOT / "output" / "demo"
RUN_TIMEOUT_S = 300
# In this order, one after the other; promote_model is started by train_model's asset.
TRIGGERED = ("train_model", "predict", "collect_weather")
FINAL = ("success", "failed")


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"demo: {text}", flush=True)


def main() -> int:
    """Run the demo; 0 only if every run of every pipeline succeeded."""
    end_in_order()
    try:
        # Without connections: a demo sends nothing to Slack and does not use up KMA's quota.
        own = {name: value for name, value in project_settings(say).items() if "_CONN_" not in name}
        settings = {
            **own,
            **free_ports(),
            "BATCH_OUTPUT": str(OUTPUT),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "True",
        }
    except LocalError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    instance = Instance(DEMO_HOME, settings, say=say, temporary=True)
    try:
        if instance.stop():
            say("stopped an earlier demo that was still running")
        shutil.rmtree(DEMO_HOME, ignore_errors=True)
        shutil.rmtree(OUTPUT, ignore_errors=True)
        instance.start()
        succeeded = run_pipelines(Api(instance))
    except LocalError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("interrupted")
        return 130
    finally:
        say("stopping")
        instance.stop()
    show_output()
    return 0 if succeeded else 1


def run_pipelines(api: Api) -> bool:
    """Trigger the pipelines one after the other, wait for all their runs, and return whether all succeeded.

    The scheduler also starts the latest scheduled run of a DAG that is not paused. No DAG is paused again
    here, because a run of a paused DAG would never finish.
    """
    api.patch("/dags/promote_model", {"is_paused": False})
    for dag_id in TRIGGERED:
        run_id = api.trigger(dag_id)
        say(f"triggered {dag_id}")
        wait_for(api, [dag_id], run_id)
        if dag_id == "train_model":
            wait_for(api, ["promote_model"])
    runs = wait_for(api, [*TRIGGERED, "promote_model"])
    failed = [run for run in runs if run["state"] != "success"]
    for run in failed:
        say(f"{run['dag_id']} {run['dag_run_id']}: {run['state']}; its logs are in {DEMO_HOME / 'logs'}")
    say(f"{len(runs) - len(failed)} of {len(runs)} runs succeeded")
    return not failed


def wait_for(api: Api, dag_ids: Sequence[str], run_id: str | None = None) -> list[dict[str, Any]]:
    """Wait until run ``run_id`` (or any run) exists and all runs of the DAGs have ended; return the runs.

    Raises LocalError if they have not ended within ``RUN_TIMEOUT_S``.
    """
    deadline = time.monotonic() + RUN_TIMEOUT_S
    while time.monotonic() < deadline:
        runs = [run for dag_id in dag_ids for run in api.runs(dag_id)]
        for run in runs:
            path = f"/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances"
            for task in api.get(path)["task_instances"]:
                _show_task(task)
        started = run_id in {run["dag_run_id"] for run in runs} if run_id else bool(runs)
        if started and all(run["state"] in FINAL for run in runs):
            return runs
        time.sleep(0.5)
    raise LocalError(f"not all runs of {', '.join(dag_ids)} have ended after {RUN_TIMEOUT_S} s")


_shown: set[tuple[str, ...]] = set()


def _show_task(task: dict[str, Any]) -> None:
    key = (task["dag_id"], task["dag_run_id"], task["task_id"], task["state"])
    if task["state"] in ("success", "failed", "skipped", "up_for_retry") and key not in _shown:
        _shown.add(key)
        kind = "scheduled" if task["dag_run_id"].startswith("scheduled") else "run"
        say(f"  {task['dag_id']}.{task['task_id']} {task['state']} ({kind} {task['run_after'][11:19]} UTC)")


def show_output() -> None:
    """Print how many files were written, and a few rows of each kind."""
    files = [path for path in sorted(OUTPUT.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    print(f"\nWritten to {OUTPUT.relative_to(ROOT)}/\n")
    for kind in ("models", "predictions", "weather"):
        count = sum(path.is_relative_to(OUTPUT / kind) for path in files)
        print(f"  {kind:<12} {count:>3} files")
    pointer = OUTPUT / "models" / "digits" / "champion.json"
    if pointer.exists():
        champion = json.loads(pointer.read_text(encoding="utf-8"))
        print(f"\nThe champion: {champion['version']}\n  {champion['reason']}")
    for path in sorted((OUTPUT / "predictions").rglob("*.csv"))[-1:]:
        show_rows(path, ("row_id", "prediction", "probability", "model_version"))
    for path in OUTPUT.glob("weather/latest.csv"):
        show_rows(path, ("district", "forecast_at", "temperature_c", "sky", "rain_1h_text", "source"))


def show_rows(path: Path, columns: Sequence[str], limit: int = 5) -> None:
    """Print some columns of the first rows of a CSV."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    print(f"\n{path.relative_to(ROOT)}: {len(rows)} rows")
    print_table([list(columns), *([row[name][:25] for name in columns] for row in rows[:limit])])


def print_table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows as aligned columns; a Korean letter is two columns wide."""
    table = [list(row) for row in rows]
    widths = [max(map(_width, column)) for column in zip(*table, strict=True)]
    for row in table:
        cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        print("  " + "  ".join(cells).rstrip())


def _width(text: str) -> int:
    return sum(2 if "\u1100" <= letter <= "\ud7a3" else 1 for letter in text)


if __name__ == "__main__":
    sys.exit(main())
