"""Ignore comments: what they are about, what they must have, and what they cannot ignore."""

from __future__ import annotations

from pathlib import Path

import pytest

from schemas.checks.registry import RULES
from schemas.validation import check_paths

EMPTY = "airflow.providers.standard.operators.empty.EmptyOperator"
TASKS = f"  tasks:\n    first: {{operator: {EMPTY}}}\n"


def check(folder: Path, text: str) -> list[str]:
    path = folder / "example.yaml"
    path.write_text(text, encoding="utf-8")
    return [f"{problem.line} {problem.code}" for problem in check_paths([path], build=False)]


@pytest.mark.parametrize(
    "lines",
    [
        "  start_date: 2 days  # ignore[DAG113]: no history\n",
        "  # ignore[DAG113]: no history\n  start_date: 2 days\n",
        "  # ignore[DAG113]: no history\n  # and a second comment\n\n  start_date: 2 days\n",
        "  start_date: 2 days  # ignore[ dag113 ]:no history\n",
        "  start_date: 2 days  # the date moves # ignore[DAG113]: no history\n",
    ],
)
def test_a_comment_with_a_reason_ignores_the_line(tmp_path: Path, lines: str) -> None:
    assert check(tmp_path, f"example:\n{lines}{TASKS}") == []


def test_several_codes_in_one_comment(tmp_path: Path) -> None:
    bash = "airflow.providers.standard.operators.bash.BashOperator"
    line = f"    first: {{operator: {bash}, bash_command: 'echo {{{{ params.x }}}} $(./a)', retriez: 1}}"
    assert check(tmp_path, f"example:\n  tasks:\n{line}\n") == ["3 DAG139", "3 DAG002"]
    assert check(tmp_path, f"example:\n  tasks:\n{line}  # ignore[DAG002, DAG139]: both are meant\n") == []


@pytest.mark.parametrize(
    ("comment", "found"),
    [
        ("# ignore[DAG113]", ["2 DAG008", "2 DAG113"]),
        ("# ignore[DAG113]:  ", ["2 DAG008", "2 DAG113"]),
        ("# ignore[DAG999]: why", ["2 DAG008", "2 DAG113"]),
        ("# ignore[]: why", ["2 DAG008", "2 DAG113"]),
        ("# ignore[DAG109]: why", ["2 DAG007", "2 DAG113"]),
        ("# ignore[DAG113, DAG109]: why", ["2 DAG007"]),
        ("# IGNORE[DAG113]: why", ["2 DAG008", "2 DAG113"]),
        ("# ignore: DAG113", ["2 DAG008", "2 DAG113"]),
        ("# ignore[DAG113] no colon", ["2 DAG008", "2 DAG113"]),
        ("# ignore this line", ["2 DAG113"]),
    ],
)
def test_what_is_wrong_with_a_comment(tmp_path: Path, comment: str, found: list[str]) -> None:
    assert sorted(check(tmp_path, f"example:\n  start_date: 2 days  {comment}\n{TASKS}")) == found


@pytest.mark.parametrize("code", [code for code, rule in RULES.items() if not rule.can_be_ignored])
def test_some_codes_cannot_be_ignored(tmp_path: Path, code: str) -> None:
    assert check(tmp_path, f"example:\n  catchup: false  # ignore[{code}]: why\n{TASKS}") == ["2 DAG008"]


def test_an_error_of_safety_stays(tmp_path: Path) -> None:
    text = "example:\n  tasks:\n    first:\n      operator: os.system  # ignore[DAG201]: it is needed\n"
    assert check(tmp_path, text) == ["4 DAG201", "4 DAG008"]


@pytest.mark.parametrize(
    "value",
    [
        "'a text # ignore[DAG109]: in quotes'",
        '"a text # ignore[DAG109]: in quotes"',
        "|\n    a text\n    # ignore[DAG109]: in a block\n    more\n",
        ">\n    a text # ignore[DAG109]: in a block\n",
    ],
)
def test_a_text_is_no_comment(tmp_path: Path, value: str) -> None:
    assert check(tmp_path, f"example:\n  description: {value}\n{TASKS}") == []


def test_a_comment_in_a_broken_file_still_counts(tmp_path: Path) -> None:
    text = f"example:\n  start_date: 2 days  # ignore[DAG113]: no history\n  tags: [model\n{TASKS}"
    assert check(tmp_path, text) == ["3 DAG001"]
