"""A place on disk that cannot be read: a clear error or the same result as without; never a skip, never a loss.

Each folder and file of the output is made unreachable in each way, for each task and command.
"""

from __future__ import annotations

import copy
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from fault_steps import Steps, outcome_of, without_times, write_inputs
from privileges import denied_as_others_are
from unreachable_places import make_dangling, make_file, make_loop

from callables import promotion

pytestmark = pytest.mark.slow

CLEAR = re.compile(r"/output\S* cannot be (read|written|deleted): .+; .+")
PREPARED = ("train_challenger", "predict_holdout", "compare", "promote", "draw_rows", "predict_rows")
PREPARED += (
    "train another",
    "batch models promote",
    "train a third",
    "train a fourth",
    "collect",
    "preprocess",
)


@dataclass
class Before:
    """An output folder with everything in it, and the steps on it."""

    steps: Steps
    folder: Path
    output: Path

    def restore(self) -> None:
        shutil.rmtree(self.output, ignore_errors=True)
        shutil.copytree(self.folder, self.output)

    def files(self) -> dict[str, Any]:
        paths = [path for path in self.output.rglob("*") if path.is_file() and path.name[0] != "."]
        files = {path.relative_to(self.output).as_posix(): path.read_bytes() for path in paths}
        return outcome_of(files, {name.split("/")[-2] for name in files if name.endswith("/metadata.json")})

    def calls(self) -> dict[str, Callable[[], Any]]:
        steps = copy.deepcopy(self.steps)
        kept = ("compare", "draw_rows", "predict_rows", "maintain_predictions", "collect", "preprocess")
        found = {name: call for name, call in steps.all.items() if name in kept or name.startswith("batch")}
        found.pop("batch models promote")
        found["roll back in the UI"] = lambda: promotion.compare(model="m", metric="accuracy", roll_back=True)
        return found


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Before:
    folder = tmp_path_factory.mktemp("before")
    steps = write_inputs(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCH_OUTPUT", str(folder / "output"))
        for name in PREPARED:
            steps.all[name]()
    shutil.move(folder / "output", folder / "kept")
    return Before(steps, folder / "kept", folder / "output")


def places(folder: Path) -> list[str]:
    """The folders and files of the output, of several alike only the first two."""
    found, seen = [""], dict[str, int]()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        kind = re.sub(r"\d{8}T\d{6}Z-[0-9a-f]{8}|[A-Z][a-z-]+-gu", "*", name)
        seen[kind] = seen.get(kind, 0) + 1
        if seen[kind] <= 2 and path.name != ".lock":
            found.append(name)
    return found


FAULTS = {"file": make_file, "loop": make_loop, "dangling": make_dangling, "denied": lambda place: None}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_place_that_cannot_be_read_is_never_empty(
    fault: str, before: Before, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_OUTPUT", str(before.output))
    wrong, counts = [], {"the same": 0, "clear error, then the same": 0}
    for name in before.calls():
        before.restore()
        right = without_times(name, before.calls()[name]())
        files = before.files()
        for place in places(before.folder):
            if fault == "file" and (before.folder / place).is_file():
                continue
            before.restore()
            result, errors = with_fault(before, name, fault, before.output / place)
            problems = [text for text in errors if not CLEAR.search(text)]
            is_rest = errors and name in ("maintain_predictions", "batch models prune")
            if result != right and not is_rest:
                problems.append(f"{result} and not {right}")
            if errors and before.files() != files:
                now = before.files()
                problems += [one for one in {*now, *files} if now.get(one) != files.get(one)]
            if problems:
                wrong.append((name, place, problems, errors))
            else:
                counts["clear error, then the same" if errors else "the same"] += 1
    print(counts, *wrong, sep="\n")
    assert wrong == []
    assert counts["clear error, then the same"] > 50


def with_fault(before: Before, name: str, fault: str, place: Path) -> tuple[Any, list[str]]:
    """Run a call while a place cannot be read; after an error once more when it can be again."""
    calls, aside = before.calls(), before.output.with_name("aside")
    mode = place.stat().st_mode
    if fault == "denied":
        place.chmod(0)
    else:
        place.rename(aside)
        FAULTS[fault](place)
    try:
        with denied_as_others_are():
            return without_times(name, calls[name]()), []
    except AirflowSkipException as error:
        return f"skipped: {error}", []
    except Exception as error:
        found = error
    finally:
        if fault == "denied":
            place.chmod(mode)
        else:
            if os.path.lexists(place):
                place.unlink()
            aside.rename(place)
    return without_times(name, calls[name]()), [str(found)]
