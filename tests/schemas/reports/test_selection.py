"""``--select`` and ``--ignore`` on the command line."""

from __future__ import annotations

import pytest

from schemas.problems import Problem
from schemas.reports.selection import Selection


def codes(select: str, ignore: str) -> list[str]:
    problems = [Problem("a.yaml", (), code, "error", "") for code in ("DAG002", "DAG103", "DAG112", "DAG201")]
    return [problem.code for problem in Selection.of(select, ignore).filter(problems)]


@pytest.mark.parametrize(
    ("select", "ignore", "found"),
    [
        ("", "", ["DAG002", "DAG103", "DAG112", "DAG201"]),
        ("DAG103", "", ["DAG103"]),
        ("dag1, DAG002", "", ["DAG002", "DAG103", "DAG112"]),
        ("", "DAG1", ["DAG002", "DAG201"]),
        ("DAG1", "DAG112", ["DAG103"]),
        ("", "DAG204", ["DAG002", "DAG103", "DAG112", "DAG201"]),
    ],
)
def test_codes_and_prefixes(select: str, ignore: str, found: list[str]) -> None:
    assert codes(select, ignore) == found


@pytest.mark.parametrize("ignore", ["DAG201", "DAG203", "DAG2", "DAG", "D"])
def test_errors_of_safety_cannot_be_ignored(ignore: str) -> None:
    with pytest.raises(ValueError, match="errors of safety"):
        Selection.of("", ignore)


@pytest.mark.parametrize("code", ["DAG999", "X", "DAG1033"])
def test_a_code_that_does_not_exist(code: str) -> None:
    with pytest.raises(ValueError, match=f"there is no code '{code}'"):
        Selection.of(code, "")
