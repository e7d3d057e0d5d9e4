"""Connections of the environment whose type needs what is not installed, as a check without extras says."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch_serving.shared.extras import hint_of_error
from schemas.catalog import providers
from schemas.catalog.existing import connection_types
from schemas.checks.connections import check_connection_types
from schemas.documents.reading import read_document
from schemas.reports.formats import as_text
from schemas.validation import check_paths

SQL = "airflow.providers.common.sql.operators.sql.SQLExecuteQueryOperator"
TASK = """\
example:
  schedule: "@daily"
  timezone: UTC
  {defaults}
  tasks:
    one:
      {task}
"""
PREDICT = (
    "operator: airflow.providers.standard.operators.python.PythonOperator\n"
    "      python_callable: callables.weather.preprocess\n"
    "      op_kwargs: {collected: '{}', database: shop}"
)


def messages(folder: Path, task: str, types: dict[str, str], defaults: str = "") -> list[str]:
    path = folder / "example.yaml"
    path.write_text(TASK.format(task=task, defaults=defaults), encoding="utf-8")
    return [
        f"{one.line}: {one.message}; {one.hint}" for one in check_connection_types(read_document(path), types)
    ]


def test_the_operators_of_sql_need_the_provider_of_their_connections_type(tmp_path: Path) -> None:
    task = f"operator: {SQL}\n      conn_id: shop\n      sql: SELECT 1"
    expected = (
        "8: connection 'shop' is of type oracle, which is not installed; it needs apache-airflow-providers-oracle, "
        "which is not installed: add it to pyproject.toml (docs/providers.md)"
    )
    assert messages(tmp_path, task, {"shop": "oracle"}) == [expected]
    assert (
        messages(tmp_path, task, {"shop": "mssql"})[0].count("apache-airflow-providers-microsoft-mssql") == 1
    )
    assert messages(tmp_path, task, {"shop": "no_such_type"}) == []
    assert messages(tmp_path, task, {}) == []
    assert messages(tmp_path, task.replace("shop", "'{{ params.shop }}'"), {"shop": "oracle"}) == []


@pytest.mark.extra("sql")
def test_what_is_installed_is_no_problem(tmp_path: Path) -> None:
    task = f"operator: {SQL}\n      conn_id: shop\n      sql: SELECT 1"
    for kind in ("sqlite", "mysql", "postgres"):
        assert messages(tmp_path, task, {"shop": kind}) == []
        assert messages(tmp_path, PREDICT, {"shop": kind}) == []


@pytest.mark.parametrize(
    ("task", "defaults", "line"),
    [
        (f"operator: {SQL}\n      sql: SELECT 1", "default_args: {conn_id: shop}", 7),
        (f"operator: {SQL}\n      partial: {{conn_id: shop}}\n      expand: {{sql: [SELECT 1]}}", "", 8),
        (
            "operator: airflow.providers.common.sql.sensors.sql.SqlSensor\n      conn_id: SHOP\n      sql: SELECT 1",
            "",
            8,
        ),
        (
            "operator: airflow.providers.common.sql.operators.generic_transfer.GenericTransfer\n"
            "      source_conn_id: shop\n      destination_conn_id: other\n      sql: a\n      destination_table: b",
            "",
            8,
        ),
    ],
)
def test_wherever_the_connection_is_named(tmp_path: Path, task: str, defaults: str, line: int) -> None:
    assert [one.partition(":")[0] for one in messages(tmp_path, task, {"shop": "trino"}, defaults)] == [
        str(line)
    ]


def test_an_operator_that_brings_its_hook_along_takes_any_type(tmp_path: Path) -> None:
    """Slack's webhook is often kept as a connection of type http."""
    task = (
        "operator: airflow.providers.slack.operators.slack_webhook.SlackWebhookOperator\n"
        "      slack_webhook_conn_id: shop\n      message: good morning"
    )
    assert messages(tmp_path, task, {"shop": "grpc"}) == []


def test_without_the_extra_the_command_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the list of what is installed is another one: that of an environment without extras."""
    base = providers.base_providers()
    monkeypatch.setattr("schemas.checks.connections.installed_providers", lambda: base)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", '{"conn_type": "sqlite", "host": "/tmp/shop.db"}')
    path = tmp_path / "example.yaml"
    task = f"operator: {SQL}\n      conn_id: shop\n      sql: SELECT 1"
    path.write_text(TASK.format(task=task, defaults=""), encoding="utf-8")
    found = as_text(check_paths([path], build=False))
    assert "8:16: DAG155 warning: connection 'shop' is of type sqlite, which is not installed\n" in found
    assert "hint: it needs the provider sqlite, which is not installed: make setup EXTRAS=" in found


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ('{"conn_type": "sqlite", "host": "/a.db"}', "sqlite"),
        ("postgresql://user:secret@host/name", "postgres"),
        ("google-cloud-platform://?project=a", "google_cloud_platform"),
        ('{"host": "a"}', ""),
        ("{'conn_type': 'sqlite'}", ""),
        ("", ""),
    ],
)
def test_the_type_is_read_as_airflow_reads_it(value: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", value)
    assert connection_types().get("shop", "") == kind


def test_the_error_of_the_task_has_the_same_answer() -> None:
    assert "it needs the provider sqlite, which is not installed: make setup EXTRAS=" in hint_of_error(
        'Unknown hook type "sqlite"'
    )
    assert hint_of_error("no such table: sales") == ""
