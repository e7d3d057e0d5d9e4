"""``python -m schemas`` as a person or a script calls it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from schemas.diagnostics import CODES
from schemas.explanations import EXPLANATIONS, codes_page
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


def test_every_code_is_explained_and_on_the_page() -> None:
    assert list(EXPLANATIONS) == list(CODES)
    assert (ROOT / "schemas" / "README.md").read_text(encoding="utf-8") == codes_page(), (
        "run: python -m schemas schema"
    )
    found = run("explain", "dag103")
    assert found.stdout == (
        "DAG103: a schedule that is not one\n\nAirflow would blame the loader, and every DAG with it.\n\n"
        "bad:\n    schedule: '0 25 * * *'\n\ngood:\n    schedule: '0 5 * * *'\n"
    )
    assert run("explain", "DAG999").returncode == 2


def test_github_marks_the_line() -> None:
    found = run("check", INVALID, "--format", "github")
    place = f"file={INVALID},line=2,col=3,title=DAG002"
    assert (found.returncode, found.stdout) == (
        1,
        f"::error {place}::unknown key 'schedul' (did you mean 'schedule'?)\n",
    )


def test_sarif_has_the_place_and_the_rule() -> None:
    found = run("check", INVALID, "--format", "sarif")
    (sarif_run,) = json.loads(found.stdout)["runs"]
    (result,) = sarif_run["results"]
    assert result["ruleId"] in {rule["id"] for rule in sarif_run["tool"]["driver"]["rules"]}
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == INVALID
    assert place["region"] == {"startLine": 2, "startColumn": 3}
