"""The command ``batch``: one name for the project's command lines, which stay available as modules.

``batch check`` is ``python -m schemas check``; ``batch models list`` is ``python -m callables.models list``.
A command's module is imported when the command is called, so ``batch --help`` needs no Airflow.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from batch_serving.shared.command_line import Parser

COMMANDS = {
    "new": "make a pipeline of your own, from an example or from a small start",
    "check": "report every mistake in the given files and folders",
    "diff": "print what an edit changes in DAGs, tasks, edges and schedules",
    "graph": "print a Mermaid graph of a file",
    "explain": "explain a code, with a bad and a good example",
    "generate": "write the JSON Schema and docs/checker.md from what is installed",
    "models": "list, show, promote, roll back, reproduce and prune the versions of a model",
    "status": "show how old the outputs are, and how good the models are",
    "serve": "serve the champions over HTTP",
    "weather": "rebuild the weather's CSV files from the raw answers",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code, which is 2 for wrong usage."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    command, rest = _parser().parse_args(given[:1]).command, given[1:]
    if command == "new":
        return _new(rest)
    if command == "models":
        return _models(rest)
    if command == "status":
        return _status(rest)
    if command == "serve":
        return _serve(rest)
    if command == "weather":
        return _weather(rest)
    return _schemas(command, rest)


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="batch",
        description="Check, compare and draw DAG files; manage models and weather files.",
        epilog="example: batch check dag_configs. `batch COMMAND --help` lists the options of one command.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        commands.add_parser(name, help=about, add_help=False)
    return parser


def _new(arguments: list[str]) -> int:
    from batch_cli.new import main as run

    return run(arguments, prog="batch new")


def _schemas(command: str, arguments: list[str]) -> int:
    from schemas.__main__ import main as run

    return run([command, *arguments], prog="batch")


def _models(arguments: list[str]) -> int:
    from batch_serving.shared.env import start_command
    from callables.models import main as run

    start_command()
    return run(arguments, prog="batch models")


def _status(arguments: list[str]) -> int:
    from batch_cli.status import main as run
    from batch_serving.shared.env import start_command

    start_command()
    return run(arguments, prog="batch status")


def _serve(arguments: list[str]) -> int:
    from batch_serving.api.command import main as run
    from batch_serving.shared.env import start_command
    from callables.notifications import warn

    start_command()
    return run(arguments, prog="batch serve", send=warn)


def _weather(arguments: list[str]) -> int:
    from batch_serving.shared.env import start_command
    from callables.weather import main as run

    start_command()
    return run(arguments, prog="batch weather")
