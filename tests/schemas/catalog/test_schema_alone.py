"""The schema by itself, under a validator that is not ours: it says the same of the same files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
CONFIGS = ROOT / "tests" / "configs"
SCHEMA = ROOT / "schemas" / "dag_config.schema.json"
# What a schema can say; the other codes need the functions, the calendar or the graph.
OF_THE_SCHEMA = {"DAG001", "DAG002", "DAG003", "DAG006"}
NOT_ITS_OWN = {
    "date_no_such_day.yaml",  # another YAML reader takes this date for text
    # What may be mapped over depends on the operator: a list of names for each would double the file.
    *("expand_given_twice.yaml", "expand_misspelt.yaml", "expand_op_kwargs.yaml"),
}


def refused(files: list[Path]) -> set[str]:
    """Return the names of the files that check-jsonschema refuses."""
    program = Path(sys.executable).with_name("check-jsonschema")
    command = [str(program), "--schemafile", str(SCHEMA), "--output-format", "json", *map(str, files)]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=False).stdout)
    problems = [*found.get("errors", []), *found.get("parse_errors", [])]
    return {Path(problem["filename"]).name for problem in problems}


def codes(path: Path) -> set[str]:
    lines = path.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return {line.split(": ")[1].split()[0] for line in lines if not line.startswith("  hint")}


def test_what_is_right_passes() -> None:
    assert refused([*(ROOT / "dag_configs").glob("*.yaml"), *(CONFIGS / "valid").glob("*.yaml")]) == set()


def test_what_the_schema_can_know_is_refused() -> None:
    invalid = sorted((CONFIGS / "invalid").glob("*.yaml"))
    expected = [path for path in invalid if codes(path) <= OF_THE_SCHEMA and path.name not in NOT_ITS_OWN]
    assert len(expected) >= 40
    assert {path.name for path in expected} - refused(expected) == set()
