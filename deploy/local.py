"""The commands ``make up`` and ``make down``."""

from __future__ import annotations

import shlex
import sys

from instance import STOP_TIMEOUT_S, Instance, free_ports, relative
from project import HOME, ROOT, LocalError, project_settings, read_env_file
from rest import Api

# Also what the demo and the tests use.
__all__ = ["HOME", "ROOT", "Api", "Instance", "LocalError", "free_ports", "project_settings", "read_env_file"]

HEALTHY_WITHIN_S = 60  # one that is already running


def up() -> int:
    """Start the project's Airflow, or print where it is already running."""
    instance = Instance(HOME, project_settings(_up_say), say=_up_say)
    if instance.processes():
        _up_say("Airflow is already running")
        instance.wait_until_healthy(HEALTHY_WITHIN_S)
    else:
        instance.start()
    paused = [dag["dag_id"] for dag in Api(instance).get("/dags")["dags"] if dag["is_paused"]]
    output = instance.settings.get("BATCH_OUTPUT") or "output"
    print(f"\n  {instance.address}\n  user      admin\n  password  {instance.password()}")
    print(f"  output    {output}\n")
    if paused:
        print(f"  paused in the UI: {', '.join(paused)}")
    print("  An edited pipeline is loaded within 2 s; its errors are in the UI under Dag Import Errors.")
    print(f"  Airflow runs in the background, with its output in {relative(instance.log_file)}.")
    print("  `make down` stops it.")
    return 0


def _up_say(text: str) -> None:
    print(f"up: {text}", flush=True)


def down() -> int:
    """Stop the project's Airflow."""
    instance = Instance(HOME, project_settings(lambda _: None))
    print(f"down: stopping Airflow; a running task has {STOP_TIMEOUT_S} s to end", flush=True)
    print("down: stopped" if instance.stop() else "down: nothing was running")
    return 0


def main(arguments: list[str]) -> int:
    """Run ``up`` or ``down``."""
    commands = {"up": up, "down": down}
    if len(arguments) != 1 or arguments[0] not in commands:
        print(f"usage: {shlex.join(['python', 'deploy/local.py'])} up|down", file=sys.stderr)
        return 2
    try:
        return commands[arguments[0]]()
    except LocalError as error:
        print(f"{arguments[0]}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{arguments[0]}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
