"""The model store for the person on call.

``python -m callables.models list|show|card|history|promote|rollback|prune``; the same code as the DAGs.
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

from callables._env import start_command
from callables._files import output_path
from callables._model_store import ModelStore
from callables._model_versions import ModelStoreError


def prune(*, model: str, keep: int, run_id: str) -> dict:
    """Remove all versions of ``model`` but the newest ``keep``, the champion and the one before it.

    Returns the versions that were removed.
    """
    return {"model": model, "removed": ModelStore(model).prune(keep, run_id=run_id)}


def overview(model: str) -> list[dict[str, Any]]:
    """Return what there is to know of each version in a line, newest first."""
    store = ModelStore(model)
    pointer = store.usable_pointer() or {}
    roles = {pointer.get("previous"): "previous", pointer.get("version"): "champion"}
    found = []
    for version in reversed(store.versions()):
        line: dict[str, Any] = {"version": version, "role": roles.get(version, "")}
        try:
            record = store.metadata(version)
        except ModelStoreError as error:
            found.append({**line, "problem": str(error)})
            continue
        estimator = str(record.get("estimator", "")).rpartition(".")[2]
        found.append({**line, "estimator": estimator, **record["metrics"], "run_id": record["run_id"]})
    return found


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 when done, 1 with the reason on stderr when not."""
    options = _parser().parse_args(arguments)
    try:
        found = options.run(options)
    except (ModelStoreError, ValueError, FileNotFoundError) as error:
        print(f"models: {error}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(found, indent=2, ensure_ascii=False))
    elif isinstance(found, list):
        if not found:
            print("no models yet; run train_model")
        _print_table(found)
    else:
        _print_record(found)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m callables.models", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)

    def add(name: str, run: Callable[[argparse.Namespace], Any], about: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("--json", action="store_true", help="print JSON in place of a table")
        command.set_defaults(run=run)
        return command

    add("list", _list, "list the models, or the versions of one, newest first").add_argument(
        "model", nargs="?"
    )
    command = add("show", _show, "print the record of a version, or of the champion")
    command.add_argument("model")
    command.add_argument("version", nargs="?")
    add("history", _history, "print every verdict, newest first").add_argument("model")
    command = add("card", _card, "make the page with pictures of a version, or of the champion, anew")
    command.add_argument("model")
    command.add_argument("version", nargs="?")
    command = add("promote", _promote, "make a version the champion, whatever its score")
    command.add_argument("model")
    command.add_argument("version")
    add("rollback", _roll_back, "make the champion before this one the champion again").add_argument("model")
    command = add("prune", _prune, "remove old versions; never the champion, nor the one before it")
    command.add_argument("model")
    command.add_argument("--keep", type=int, required=True, metavar="N", help="how many of the newest stay")
    return parser


def _list(options: argparse.Namespace) -> list[dict[str, Any]]:
    if options.model:
        return overview(_known(options.model))
    found = []
    for name in ModelStore.names():
        store = ModelStore(name)
        pointer = store.usable_pointer() or {}
        line = {"model": name, "versions": len(store.versions()), "champion": pointer.get("version")}
        found.append({**line, "since": pointer.get("promoted_at")})
    return found


def _version(store: ModelStore, version: str | None) -> str:
    pointer = None if version else store.usable_pointer()
    if not version and pointer is None:
        raise ModelStoreError(f"model {store.name!r} has no champion yet; name a version")
    return version or (pointer or {})["version"]


def _card(options: argparse.Namespace) -> dict[str, Any]:
    from callables._model_card import write_card

    store = ModelStore(_known(options.model))
    return {"card": str(write_card(store, _version(store, options.version)))}


def _show(options: argparse.Namespace) -> dict[str, Any]:
    store = ModelStore(_known(options.model))
    record = store.metadata(_version(store, options.version))
    if not options.json:  # a line a feature is no help to a person
        record["features"] = f"{len(record.get('features', []))} columns (--json has them)"
    return record


def _history(options: argparse.Namespace) -> list[dict[str, Any]]:
    entries = reversed(ModelStore(_known(options.model)).history())
    if options.json:
        return list(entries)
    return [{name: entry.get(name) for name in ("at", "verdict", "version", "reason")} for entry in entries]


def _promote(options: argparse.Namespace) -> dict[str, Any]:
    store = ModelStore(_known(options.model))
    return _move(store, options.version, "chosen by hand", "promoted")


def _roll_back(options: argparse.Namespace) -> dict[str, Any]:
    store = ModelStore(_known(options.model))
    return _move(store, store.before_champion(), "rolled back by hand", "rolled back")


def _move(store: ModelStore, version: str, reason: str, verdict: str) -> dict[str, Any]:
    pointer = store.usable_pointer() or {}
    if pointer.get("version") == version and "lost" not in pointer:
        print(f"models: {version} is the champion already", file=sys.stderr)
    return store.promote(
        version, expect=pointer.get("version"), run_id=_by_whom(), reason=reason, verdict=verdict
    )


def _prune(options: argparse.Namespace) -> dict[str, Any]:
    return prune(model=_known(options.model), keep=options.keep, run_id=_by_whom())


def _known(model: str) -> str:
    if model not in ModelStore.names():
        known = ", ".join(ModelStore.names()) or "none"
        raise ModelStoreError(f"there is no model {model!r} in {output_path('models')}; there are: {known}")
    return model


def _by_whom() -> str:
    try:
        person = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        person = f"user {os.getuid()}"
    return f"command line, {person}, {datetime.now(UTC).isoformat()}"


def _print_record(record: dict[str, Any], indent: str = "") -> None:
    """Print a line for each value; those within others, and tables, are indented."""
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
    rows = [columns, *([_cell(line.get(name)) for name in columns] for line in lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows if lines else ():
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
