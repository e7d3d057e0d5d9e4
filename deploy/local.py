"""The commands ``make up``, ``make down``, ``make run`` and ``make airflow``."""

from __future__ import annotations

import argparse
import subprocess
import sys

import gallery
import requests
from instance import STOP_TIMEOUT_S, Instance, free_ports, relative
from project import HOME, ROOT, LocalError, project_settings, read_env_file
from rest import Api
from running import run_dag

from batch_serving.shared.command_line import Parser, end_in_order

# Also what the demo and the tests use.
__all__ = ["HOME", "ROOT", "Api", "Instance", "LocalError", "free_ports", "project_settings", "read_env_file"]

HEALTHY_WITHIN_S = 60  # one that is already running


def up(examples: str | None = None) -> int:
    """Start the project's Airflow, or print where it is already running.

    ``examples``: which examples it loads from now on; the same as before if None.
    """
    if examples is not None:
        gallery.keep_choice(examples)
    settings = project_settings(_up_say)
    of_examples = gallery.settings_of_examples(settings, _up_say)
    instance = Instance(HOME, {**settings, **of_examples}, say=_up_say)
    if instance.processes() and not instance.has(of_examples):
        _up_say("starting Airflow again, with the connection that the examples need")
        instance.stop()
    if instance.processes():
        _up_say("Airflow is already running")
        (instance.dags_folder / "load_all.py").touch()  # it loads the choice of examples again
        instance.wait_until_healthy(HEALTHY_WITHIN_S)
    else:
        instance.start()
    _print_where(instance, [folder.name for folder in gallery.chosen(settings)])
    return 0


def _print_where(instance: Instance, examples: list[str]) -> None:
    paused = [dag for dag in Api(instance).get("/dags?limit=200")["dags"] if dag["is_paused"]]
    own = [dag["dag_id"] for dag in paused if "example" not in [tag["name"] for tag in dag["tags"]]]
    output = instance.settings.get("BATCH_OUTPUT") or "output"
    print(f"\n  {instance.address}\n  user      admin\n  password  {instance.password()}")
    print(f"  output    {output}\n")
    if own:
        print(f"  paused in the UI: {', '.join(own)}")
    if examples:
        print(f"  examples: {', '.join(examples)}")
        off = [dag["dag_id"] for dag in paused if dag["dag_id"] not in own]
        one = next((name for name in off if name in examples), "") or "".join(off[:1])
        if one:
            print(f"  They are off. `make run DAG={one}` turns one on and runs it, as does the UI.")
    if gallery.feature_store().process():
        print(f"  Their feature store is a MariaDB on port {gallery.feature_store().port()} of this machine.")
    print("  An edited pipeline is loaded within 2 s; its errors are in the UI under Dag Import Errors.")
    print(f"  Airflow runs in the background, with its output in {relative(instance.log_file)}.")
    print("  `make down` stops it.")


def _up_say(text: str) -> None:
    print(f"up: {text}", flush=True)


def down() -> int:
    """Stop the project's Airflow, and the database of the examples."""
    instance = Instance(HOME, project_settings(lambda _: None))
    if instance.processes():
        print(f"down: stopping Airflow; a running task has {STOP_TIMEOUT_S} s to end", flush=True)
    stopped = instance.stop()
    stopped = gallery.feature_store().stop() or stopped
    print("down: stopped" if stopped else "down: nothing was running")
    return 0


def run(dag_id: str, conf: str) -> int:
    """Run a DAG of the project's Airflow now, show its tasks, and return 0 if the run succeeded."""
    instance = Instance(HOME, project_settings(lambda _: None))
    if not instance.processes():
        raise LocalError("Airflow is not running; start it: make up")
    try:
        return run_dag(Api(instance), dag_id, conf)
    except requests.ConnectionError:
        raise LocalError(
            "Airflow does not answer: was it stopped? Look with make doctor, or: make up"
        ) from None


def airflow(arguments: list[str]) -> int:
    """Run a command of Airflow itself with the settings of the project's Airflow; return its exit code."""
    instance = Instance(HOME, project_settings(lambda _: None))
    command = ["airflow", *arguments]
    return subprocess.run(command, env=instance.environment, cwd=ROOT, check=False).returncode


def _parser() -> Parser:
    parser = Parser(prog="python deploy/local.py", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="start Airflow", example="make up EXAMPLES=hello_world")
    starting.add_argument("--examples", metavar="NAMES", help="which examples are loaded from now on; 1: all")
    commands.add_parser("down", help="stop Airflow", example="make down")
    running = commands.add_parser("run", help="run a DAG now", example="make run DAG=hello_world")
    running.add_argument("--dag", dest="dag_id", default="", metavar="DAG_ID", help="the DAG")
    running.add_argument("--conf", default="{}", metavar="JSON", help="what the run's form would give")
    example = 'make airflow ARGS="backfill create --help"'
    own = commands.add_parser("airflow", help="run a command of Airflow itself", example=example)
    own.add_argument("arguments", nargs=argparse.REMAINDER, help="the command and its options")
    return parser


def main(arguments: list[str]) -> int:
    """Run one of the commands."""
    options = _parser().parse_args(arguments)
    end_in_order()
    try:
        if options.command == "run":
            return run(options.dag_id, options.conf)
        if options.command == "airflow":
            return airflow(options.arguments)
        return up(options.examples) if options.command == "up" else down()
    except LocalError as error:
        print(f"{options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{options.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
