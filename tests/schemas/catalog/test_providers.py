"""Providers: which one a path needs, which the schema in git has, and how those of extras are looked up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from schemas.catalog.lookup import find_definition, load_schema
from schemas.catalog.providers import base_providers, extras, hint_where, installed_providers
from schemas.reports.formats import as_text
from schemas.validation import check_paths

ROOT = Path(__file__).resolve().parents[3]
SQL_SENSOR = "airflow.providers.common.sql.sensors.sql.SqlSensor"
HTTP = "airflow.providers.http.operators.http.HttpOperator"
HTTP_TASK = f"""\
example:
  default_args: {{http_conn_id: service}}
  tasks:
    get:
      operator: {HTTP}
      endpoint: prices
"""


@pytest.mark.parametrize(
    ("path", "extra"),
    [
        (HTTP, "http"),
        ("airflow.providers.http.sensors.http.HttpSensor", "http"),
        ("airflow.operators.http_operator.SimpleHttpOperator", "http"),
        ("HttpSensor", "http"),
        ("airflow.providers.mysql.operators.mysql.MySqlOperator", "sql"),
        ("airflow.providers.postgres.hooks.postgres.PostgresHook", "sql"),
        ("airflow.operators.sqlite_operator.SqliteOperator", "sql"),
        ("airflow.providers.amazon.aws.sensors.s3.S3KeySensor", "s3"),
        ("airflow.providers.cncf.kubernetes.operators.pod.KubernetesPodOperator", "kubernetes"),
        ("airflow.providers.sftp.operators.sftp.SFTPOperator", "sftp"),
        ("airflow.providers.ssh.operators.ssh.SSHOperator", "sftp"),
    ],
)
def test_the_hint_is_the_command_that_installs_the_provider(path: str, extra: str) -> None:
    assert hint_where(path, base_providers()).endswith(f"which is not installed: make setup EXTRAS={extra}")
    assert hint_where(path, base_providers() | extras()[extra]) == ""


def test_a_provider_without_an_extra_is_named_with_the_page_that_says_how() -> None:
    hint = hint_where(
        "airflow.providers.microsoft.azure.operators.batch.AzureBatchOperator", base_providers()
    )
    assert "apache-airflow-providers-microsoft-azure, which is not installed" in hint
    page = hint.rpartition("(")[2].rstrip(")")
    assert (ROOT / page).exists()


def test_every_environment_has_the_providers_of_the_dependencies_and_no_extra() -> None:
    assert {"common-sql", "slack", "standard", "smtp"} <= base_providers()  # Airflow itself brings the last
    assert base_providers() <= installed_providers()
    assert not base_providers() & frozenset().union(*extras().values())


def test_namespace_packages_are_in_the_schema() -> None:
    assert {"conn_id", "sql", "success"} <= load_schema()["$defs"]["operators"][SQL_SENSOR][
        "properties"
    ].keys()


@pytest.mark.extra("http")
@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "", ""),
        ("endpoint:", "endpont:", "DAG002 error: unknown key 'endpont' for HttpOperator"),
        ("endpoint: prices", "log_response: often", "DAG003 error: log_response must be true or false"),
        ("http_conn_id: service", "http_con_id: service", "DAG002 error: unknown key 'http_con_id'"),
        ("endpoint: prices", "response_check: os.system", "DAG201 error: 'os.system' may not be named"),
        ("HttpOperator", "HttpOperater", "did you mean 'HttpOperator'?"),
    ],
)
def test_an_operator_that_the_schema_in_git_lacks_is_checked_all_the_same(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    assert HTTP not in load_schema()["$defs"]["operators"]
    found = find_definition("operators", HTTP)
    assert found is not None
    assert "response_check" in found["properties"]
    path = tmp_path / "http.yaml"
    path.write_text(HTTP_TASK.replace(old, new) if old else HTTP_TASK, encoding="utf-8")
    text = as_text(check_paths([path]))
    assert expected in text if expected else text == ""


@pytest.mark.slow
@pytest.mark.extra("http")
def test_the_schema_for_the_editor_has_the_operators_of_extras(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    command = [sys.executable, "-m", "schemas", "schema", "--installed", str(file)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert f'"{HTTP}"' in file.read_text(encoding="utf-8")
