"""Any name may be that of the output: under an odd prefix the same files appear as under a plain one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from buckets import new_bucket
from fault_steps import RUN_AFTER, Steps, outcome_of, write_inputs
from upath import UPath

from batch_serving.shared.paths import project_path
from batch_serving.shared.reading import files_below
from callables import prediction

pytestmark = pytest.mark.slow

PREFIXES = ("team[a]*", "a?b{1}#2%20+ c&d='e'", "팀 날씨", "deep/er", "slash/", "team")
RUN_IDS = ("manual__2026-01-01T00:00:00+00:00", "한글 [run] *?#%20+{1}/..")


def run_all(steps: Steps) -> None:
    """Run a whole cycle, and predict twice more: with run_ids of any characters."""
    for name, step in steps.all.items():
        if not name.startswith(("train a third", "train a fourth", "batch models list")):
            step()
    rows = {"dataset": steps.dataset, "row_id": "id"}
    for run_id in RUN_IDS:
        drawn = prediction.draw_rows(**rows, run_id=run_id)
        run = {"run_id": run_id, "run_after": RUN_AFTER, "selection": json.dumps(drawn)}
        assert prediction.predict_rows(**rows, **run, model="m")["rows"] == 5


def outcome(place: UPath) -> dict[str, Any]:
    root = str(place).rstrip("/")
    files = {str(path).removeprefix(f"{root}/"): path.read_bytes() for path in files_below(place, "")}
    return outcome_of(files, set())


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("inputs")


@pytest.fixture(scope="module")
def plain(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is there after a cycle under a plain name."""
    folder = tmp_path_factory.mktemp("plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCH_OUTPUT", str(folder))
        run_all(write_inputs(inputs))
    found = outcome(UPath(folder))
    assert found["new versions"] == 2
    return found


def check(location: str, sibling: str, plain: dict[str, Any], inputs: Path) -> None:
    """Run a cycle at a place; what was beside it before, under a longer name, stays unchanged."""
    beside = project_path(sibling) / "models" / "m" / "champion.json"
    if project_path(sibling) != project_path(location):
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(b"of another team")
    run_all(write_inputs(inputs))
    found = outcome(project_path(location))
    # On disk a lock does what these records do in object storage (batch_serving/registry/saving.py).
    other = {name: value for name, value in found.items() if not name.startswith("models/m/runs/")}
    assert {name: value for name, value in other.items() if plain.get(name) != value} == {}
    assert other.keys() == plain.keys()
    assert project_path(sibling) == project_path(location) or beside.read_bytes() == b"of another team"


@pytest.mark.parametrize("prefix", PREFIXES)
def test_on_disk(
    prefix: str, plain: dict[str, Any], inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_OUTPUT", f"{tmp_path}/{prefix}")
    check(f"{tmp_path}/{prefix}", f"{tmp_path}/{prefix.rstrip('/')}2", plain, inputs)


@pytest.mark.parametrize("prefix", [*PREFIXES, ""])
def test_in_s3(
    prefix: str,
    plain: dict[str, Any],
    inputs: Path,
    s3_settings: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in s3_settings.items():
        monkeypatch.setenv(name, value)
    bucket = new_bucket(s3_settings)
    location = f"{bucket}/{prefix}" if prefix else bucket
    monkeypatch.setenv("BATCH_OUTPUT", location)
    check(location, f"{location.rstrip('/')}2" if prefix else location, plain, inputs)
