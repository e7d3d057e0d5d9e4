"""Functions that operators call: with how many values, and with which names of the context."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from named_functions import as_module

from schemas.validation import check_paths

MODULE = "callables.called_by_operators"
HTTP = "airflow.providers.http.operators.http.HttpOperator"
S3 = "airflow.providers.amazon.aws.sensors.s3.S3KeySensor"
INSERT = "airflow.providers.common.sql.operators.sql.SQLInsertRowsOperator"
EMPTY = "airflow.providers.standard.operators.empty.EmptyOperator"

pytestmark = [pytest.mark.extra("http"), pytest.mark.extra("s3")]


def of_one(value: Any) -> Any:
    """Takes one value."""


def of_one_and_ti(value: Any, ti: Any) -> Any:
    """Takes one value, and something of the context."""


def of_one_and_more(value: Any, other: Any) -> Any:
    """Takes something that no operator gives."""


def of_any_names(value: Any, **context: Any) -> Any:
    """Takes the whole context."""


@pytest.mark.parametrize(
    ("operator", "key", "name", "problem"),
    [
        (HTTP, "response_check", "of_one", ""),
        (HTTP, "response_check", "of_one_and_ti", ""),
        (HTTP, "response_check", "of_one_and_more", "also needs 'other'"),
        (HTTP, "pagination_function", "of_one", ""),
        (HTTP, "pagination_function", "of_one_and_ti", "also needs 'ti'"),
        (S3, "check_fn", "of_one", ""),
        (S3, "check_fn", "of_any_names", ""),
        (S3, "check_fn", "of_one_and_ti", "also needs 'ti'"),
        (INSERT, "rows_processor", "of_one", "it needs **context"),
        (INSERT, "rows_processor", "of_any_names", ""),
        (EMPTY, "pre_execute", "of_one", ""),
        (EMPTY, "post_execute", "of_one", "takes 1 by position"),
        (EMPTY, "post_execute", "of_one_and_more", ""),
    ],
)
def test_a_function_takes_what_its_operator_gives_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, operator: str, key: str, name: str, problem: str
) -> None:
    as_module(monkeypatch, MODULE, of_one, of_one_and_ti, of_one_and_more, of_any_names)
    file = tmp_path / "a.yaml"
    task = f"{{operator: {operator}, {key}: {MODULE}.{name}}}"
    file.write_text(f"a:\n  schedule: '@daily'\n  start_date: 2026-01-01\n  tasks:\n    one: {task}\n")
    found = [one.message for one in check_paths([file], build=False) if one.code == "DAG148"]
    assert (problem in found[0]) if problem else found == []
