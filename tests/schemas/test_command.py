"""``python -m schemas`` as a person or a script calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from schemas.schema import SCHEMA_FILE, schema_text

ROOT = Path(__file__).resolve().parent.parent.parent
INVALID = "tests/configs/invalid/unknown_dag_key.yaml"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schemas", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_check_of_the_project_is_clean() -> None:
    found = run("check")
    assert (found.returncode, found.stdout) == (0, "all right: no problems found\n")


def test_errors_are_text_with_a_place_and_a_hint() -> None:
    found = run("check", INVALID)
    assert found.returncode == 1
    assert found.stdout == (
        f"{INVALID}:2:3: DAG002 error: unknown key 'schedul'\n  hint: did you mean 'schedule'?\n"
        "1 errors, 0 warnings\n"
    )


def test_json_is_a_list_of_objects_with_the_seven_fields() -> None:
    found = run("check", INVALID, "--format", "json")
    assert found.returncode == 1
    assert json.loads(found.stdout) == [
        {
            "file": INVALID,
            "line": 2,
            "column": 3,
            "code": "DAG002",
            "severity": "error",
            "message": "unknown key 'schedul'",
            "hint": "did you mean 'schedule'?",
        }
    ]


def test_a_path_that_is_not_there_is_exit_code_2() -> None:
    found = run("check", "nowhere.yaml")
    assert (found.returncode, found.stderr) == (2, "nowhere.yaml does not exist\n")


def test_the_same_dag_in_two_files_names_both(tmp_path: Path) -> None:
    text = (ROOT / "tests/configs/valid/mapping.yaml").read_text(encoding="utf-8")
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = run("check", str(tmp_path))
    assert found.returncode == 1
    assert f"b.yaml:1:1: DAG107 error: dag_id 'example' is in {tmp_path}/a.yaml already" in found.stdout


def test_the_schema_file_is_what_the_installed_airflow_gives() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run: python -m schemas schema"
