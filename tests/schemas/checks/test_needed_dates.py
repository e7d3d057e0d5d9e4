"""Functions that need a date of the run, in DAGs whose runs may have none."""

from __future__ import annotations

from pathlib import Path

import pytest
from named_functions import as_module

from schemas.validation import check_paths

MODULE = "callables.needs_a_date"
PYTHON = "airflow.providers.standard.operators.python.PythonOperator"


def needs_ds(ds: str, *, name: str = "") -> None:
    """Needs the logical date."""


def can_do_without(ds: str = "", logical_date: object = None) -> None:
    """Takes dates and needs none."""


@pytest.fixture(autouse=True)
def module(monkeypatch: pytest.MonkeyPatch) -> None:
    as_module(monkeypatch, MODULE, needs_ds, can_do_without)


def codes(tmp_path: Path, schedule: str, task: str) -> list[str]:
    file = tmp_path / "a.yaml"
    text = f"a:\n  schedule: {schedule}\n  start_date: 2026-01-01\n  tasks:\n    one: {{operator: {PYTHON}, {task}}}\n"
    file.write_text(text, encoding="utf-8")
    return [problem.code for problem in check_paths([file], build=False)]


@pytest.mark.parametrize(
    ("schedule", "task", "expected"),
    [
        ("null", f"python_callable: {MODULE}.needs_ds", ["DAG138"]),
        ("['s3://x/y']", f"python_callable: {MODULE}.needs_ds, op_kwargs: {{name: x}}", ["DAG138"]),
        ("'@daily'", f"python_callable: {MODULE}.needs_ds", []),
        ("null", f"python_callable: {MODULE}.needs_ds, op_kwargs: {{ds: '2026-01-01'}}", []),
        ("null", f"python_callable: {MODULE}.needs_ds, op_args: ['2026-01-01']", []),
        ("null", f"python_callable: {MODULE}.needs_ds, expand: {{op_kwargs: [{{ds: a}}, {{ds: b}}]}}", []),
        ("null", f"python_callable: {MODULE}.can_do_without", []),
    ],
)
def test_a_date_that_a_run_may_lack_is_reported(
    tmp_path: Path, schedule: str, task: str, expected: list[str]
) -> None:
    assert codes(tmp_path, schedule, task) == expected
