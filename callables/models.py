"""The model store at the command line, for the operator on call.

``python -m callables.models list|show|card|history|promote|rollback|reproduce|prune`` runs the same code as
the DAGs.
``prune`` can be a task in YAML, too.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from batch_serving.ml.reproduction_report import Reproduction
from batch_serving.registry.overview import models_overview, versions_overview
from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.command_line import Parser, run_command
from batch_serving.shared.env import start_command
from batch_serving.shared.paths import output_path
from batch_serving.shared.suggestions import did_you_mean
from batch_serving.shared.unreachable import UnreachableError
from batch_serving.shared.wording import counted

EXIT_CODES = "0 done, 1 with the reason, 2 wrong usage"
OF_REPRODUCE = "0 all results are equal, 1 some differ, 2 it cannot be trained again, or wrong usage"
MODEL = "the model's name: a folder of output/models"
VERSION = "a version, as list prints it"
HISTORY_COLUMNS = ("at", "verdict", "version", "reason")


def prune(*, model: str, keep: int, run_id: str) -> dict[str, Any]:
    """Remove all versions of ``model`` except the newest ``keep``, the champion and the one before it.

    Returns the versions that were removed.
    """
    return {"model": model, "removed": ModelStore(model).prune(keep, run_id=run_id)}


EXAMPLES = {  # what follows each command
    "list": "digits",
    "show": "digits",
    "history": "digits --json",
    "card": "digits",
    "promote": "digits 20260101T000000Z-0a1b2c3d",
    "rollback": "digits",
    "reproduce": "digits 20260101T000000Z-0a1b2c3d",
    "prune": "digits --keep 100",
}


def main(arguments: list[str] | None = None, *, prog: str = "python -m callables.models") -> int:
    """Run the command line; return 0 on success, 1 with the reason on stderr otherwise."""
    options = _parser(prog).parse_args(arguments)
    return run_command(lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    try:
        found = options.run(options)
    except (ModelStoreError, UnreachableError, ValueError, FileNotFoundError) as error:
        print(f"models: {error}", file=sys.stderr)
        return int(options.failed)
    if isinstance(found, Reproduction):
        print(_as_json(found.to_json()) if options.json else found.report())
        return 1 if found.differences else 0
    if options.json:
        print(_as_json(found))
    elif isinstance(found, dict):
        _print_record(found)
    elif found:
        _print_table(found)
    else:
        print("no models yet; run train_model")
    return 0


def _as_json(found: Any) -> str:
    return json.dumps(found, indent=2, ensure_ascii=False)


def _parser(prog: str) -> argparse.ArgumentParser:
    about = (
        "List, show, promote, roll back, reproduce and prune the versions of a model: the code that the DAGs "
        "run, too."
    )
    parser = Parser(prog=prog, description=about, example=f"{prog} list")
    commands = parser.add_subparsers(dest="command", required=True)

    def add(
        name: str, run: Callable[[argparse.Namespace], Any], about: str, exit_codes: str = EXIT_CODES
    ) -> argparse.ArgumentParser:
        example = f"{prog} {name} {EXAMPLES[name]}"
        command: argparse.ArgumentParser = commands.add_parser(
            name, help=about, description=about, example=example, exit_codes=exit_codes
        )
        command.add_argument("--json", action="store_true", help="print JSON instead of a table")
        command.set_defaults(run=run, failed=1 if exit_codes == EXIT_CODES else 2)
        return command

    command = add("list", _list, "list the models, or the versions of one model, newest first")
    command.add_argument("model", nargs="?", help="whose versions are listed; all models if left out")
    command = add("show", _show, "print the record of a version, or of the champion")
    command.add_argument("model", help=MODEL)
    command.add_argument("version", nargs="?", help=f"{VERSION}; the champion if left out")
    add("history", _history, "print all verdicts, newest first").add_argument("model", help=MODEL)
    command = add("card", _card, "make the card (a page with pictures) of a version, or of the champion")
    command.add_argument("model", help=MODEL)
    command.add_argument("version", nargs="?", help=f"{VERSION}; the champion if left out")
    command = add("promote", _promote, "make a version the champion, whatever its score")
    command.add_argument("model", help=MODEL)
    command.add_argument("version", help=VERSION)
    add("rollback", _roll_back, "make the previous champion the champion again").add_argument(
        "model", help=MODEL
    )
    about = "train a version again from its record, and say whether the results are equal; nothing is saved"
    command = add("reproduce", _reproduce, about, OF_REPRODUCE)
    command.add_argument("model", help=f"{MODEL}; a version alone names its model, too")
    command.add_argument("version", nargs="?", help=f"{VERSION}; the champion if left out")
    command = add("prune", _prune, "remove old versions, but never the champion or the one before it")
    command.add_argument("model", help=MODEL)
    command.add_argument("--keep", type=int, required=True, metavar="N", help="how many new versions stay")
    return parser


def _list(options: argparse.Namespace) -> list[dict[str, Any]]:
    return versions_overview(_store(options.model)) if options.model else models_overview()


def _show(options: argparse.Namespace) -> dict[str, Any]:
    store = _store(options.model)
    record = store.metadata(_version(store, options.version))
    if not options.json:  # one line per feature is too long for a screen
        record["features"] = f"{counted(len(record.get('features', [])), 'column')} (listed with --json)"
    return record


def _history(options: argparse.Namespace) -> list[dict[str, Any]]:
    entries = _store(options.model).history()[::-1]
    if options.json:
        return entries
    return [{name: entry.get(name) for name in HISTORY_COLUMNS} for entry in entries]


def _card(options: argparse.Namespace) -> dict[str, Any]:
    from batch_serving.cards.card import write_card

    store = _store(options.model)
    return {"card": str(write_card(store, _version(store, options.version)))}


def _promote(options: argparse.Namespace) -> dict[str, Any]:
    return _move(_store(options.model), options.version, "chosen by hand")


def _roll_back(options: argparse.Namespace) -> dict[str, Any]:
    store = _store(options.model)
    return _move(store, store.before_champion(), "rolled back by hand")


def _move(store: ModelStore, version: str, reason: str) -> dict[str, Any]:
    pointer = store.usable_pointer()
    verdict = "rolled back" if pointer is not None and version == pointer.previous else "promoted"
    champion = pointer.version if pointer else None
    if pointer is not None and champion == version and not pointer.lost:
        print(f"models: {version} is already the champion", file=sys.stderr)
    try:
        moved = store.promote(version, expect=champion, run_id=_run_id(), reason=reason, verdict=verdict)
    except UnreachableError as error:
        # A second `rollback` would lead back to the version before, if this one is in place.
        name = store.name
        raise ModelStoreError(
            f"{error}\nit is not known whether {version} is the champion now: `batch models show {name}` "
            f"says so; to repeat this, run `batch models promote {name} {version}`"
        ) from error
    return moved.to_json()


def _reproduce(options: argparse.Namespace) -> Reproduction:
    from batch_serving.ml.reproduction import reproduce

    names = ModelStore.names()
    if options.version is None and options.model not in names:
        for name in names:
            if options.model in ModelStore(name).versions():
                return reproduce(ModelStore(name), options.model)
    store = _store(options.model)
    return reproduce(store, _version(store, options.version))


def _prune(options: argparse.Namespace) -> dict[str, Any]:
    return prune(model=_store(options.model).name, keep=options.keep, run_id=_run_id())


def _store(model: str) -> ModelStore:
    names = ModelStore.names()
    if model not in names:
        hint = did_you_mean(model, names) or f"there are: {', '.join(names) or 'none'}"
        raise ModelStoreError(f"there is no model {model!r} in {output_path('models')}; {hint}")
    return ModelStore(model)


def _version(store: ModelStore, version: str | None) -> str:
    if version:
        return version
    pointer = store.usable_pointer()
    if pointer is None:
        raise ModelStoreError(f"model {store.name!r} has no champion yet; name a version")
    return pointer.version


def _run_id() -> str:
    """Return the run_id for the history: who has done it, and when."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # in a container the user may have no name
        user = f"user {os.getuid()}"
    return f"command line, {user}, {datetime.now(UTC).isoformat()}"


def _print_record(record: dict[str, Any], indent: str = "") -> None:
    """Print one line for each value; nested values and tables are indented."""
    for name, value in record.items():
        if isinstance(value, dict) and value:
            print(f"{indent}{name}")
            _print_record(value, f"{indent}  ")
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            print(f"{indent}{name}")
            _print_table(value, f"{indent}  ")
        else:
            print(f"{indent + name:<18} {_cell(value)}".rstrip())


def _print_table(lines: Sequence[dict[str, Any]], indent: str = "") -> None:
    columns = list(dict.fromkeys(name for line in lines for name in line))
    rows = [columns] + [[_cell(line.get(name)) for name in columns] for line in lines]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print(f"{indent}{_line(row, widths)}")


def _line(row: Iterable[str], widths: Iterable[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name}={_cell(item)}" for name, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(_cell, value))
    if not isinstance(value, float):
        return str(value)
    return f"{value:.4g}" if 0 < abs(value) < 0.01 else f"{value:.4f}"


if __name__ == "__main__":
    start_command()
    raise SystemExit(main())
