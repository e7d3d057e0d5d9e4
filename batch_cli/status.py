"""``batch status``: how old the outputs are, and how good the models: for the operator on call."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from batch_page.stale import OutputAge, output_ages
from batch_serving.monitoring.alarm import OK, announced
from batch_serving.monitoring.measuring import measured_rows
from batch_serving.prediction.places import days_of
from batch_serving.promotion.trials import trial_of
from batch_serving.registry.store import ModelStore
from batch_serving.shared.command_line import Parser, run_command
from batch_serving.shared.unreachable import UnreachableError
from batch_serving.shared.wording import counted

HEAD = ["output", "newest", "age", "limit", ""]
DAYS_READ = 30
EXIT_CODES = "0 in order, 1 something is stale or cannot be read, 2 wrong usage"


def main(arguments: list[str], *, prog: str) -> int:
    """Print the ages and the models; 1 if something is stale."""
    about = "Show how old the outputs are, by the deadlines in YAML, and how good the models are."
    parser = Parser(prog=prog, description=about, example=f"{prog} --json", exit_codes=EXIT_CODES)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args(arguments)
    return run_command(lambda: _status(as_json=options.json))


def _status(*, as_json: bool) -> int:
    try:
        ages = output_ages(datetime.now(UTC))
        models = {name: list(model_lines(ModelStore(name))) for name in ModelStore.names()}
    except UnreachableError as error:
        print(f"status: {error}", file=sys.stderr)
        return 1
    if as_json:
        found: dict[str, Any] = {"outputs": [one.to_json() for one in ages], "models": models}
        print(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        print("\n".join(age_lines(ages)))
        for name, lines in models.items():
            print("\n".join(["", name, *(f"  {line}" for line in lines)]))
    return int(any(one.is_stale for one in ages))


def age_lines(ages: list[OutputAge]) -> list[str]:
    """Return a table of the ages."""
    if not ages:
        return ["no output yet"]
    rows = [HEAD, *(one.cells() for one in ages)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEAD))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]


def model_lines(store: ModelStore) -> Iterator[str]:
    """Yield what is known of a model: its champion, its live quality, the alarm, the trial."""
    pointer, versions = store.usable_pointer(), store.versions()
    champion = f"champion {pointer.version}, since {pointer.promoted_at}" if pointer else "no champion yet"
    yield f"{champion}; {counted(len(versions), 'version')}"
    if quality := _newest_quality(store.name):
        yield quality
    last = announced(store.name)
    if last.reason:
        yield f"{'quality' if last.state == OK else 'ALARM'}: {last.reason}"
    try:
        trial = trial_of(store)
    except UnreachableError as error:  # what else there is, is as true without it
        yield f"trial: {error}"
        return
    if trial is not None:
        yield f"trial: {trial.evidence().sentence}"


def _newest_quality(model: str) -> str:
    """Return the first metric of the newest mature day; an empty text without one."""
    for day in reversed(days_of(model)[-DAYS_READ:]):
        for row in measured_rows(model, day):
            if row["mature"] == "yes":
                value, low, high = (f"{float(row[name]):.4f}" for name in ("value", "low", "high"))
                rows = f"{row['labelled']} of {counted(int(row['rows']), 'row')} labelled"
                return f"{row['metric']} {value} ({low} to {high}) on {row['date']}, {rows}"
    return ""
