"""Providers: which one a path needs, which the schema in git has, and how those of extras are looked up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from batch_serving.shared.extras import how_to_add, setup_command, with_one_command
from schemas.catalog.lookup import find_definition, load_schema
from schemas.catalog.providers import (
    NAMESPACES,
    base_providers,
    extras,
    hint_where,
    installed_providers,
    published_providers,
)
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
def test_the_hint_is_the_command_that_installs_the_provider(
    path: str, extra: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))  # an environment without extras
    assert hint_where(path, base_providers()).endswith(f"which is not installed: make setup EXTRAS={extra}")
    assert hint_where(path, base_providers() | extras()[extra]) == ""


@pytest.mark.parametrize(
    ("provider", "expected"),
    [
        ("sftp", "it needs the provider sftp, which is not installed"),  # one letter from smtp
        ("ssh", "it needs the provider ssh, which is not installed"),
        ("http", "it needs the provider http, which is not installed"),
        ("ftp", "it needs apache-airflow-providers-ftp, which is not installed"),
        ("git", "it needs apache-airflow-providers-git, which is not installed"),
        ("common.ai", "it needs apache-airflow-providers-common-ai, which is not installed"),
        ("apache.hdfs", "it needs apache-airflow-providers-apache-hdfs, which is not installed"),
        ("stfp", "did you mean the provider 'sftp'? it needs the provider sftp, which is not installed"),
        ("snowflak", "did you mean the provider 'snowflake'? it needs apache-airflow-providers-snowflake"),
        ("smpt", ""),  # smtp is there: the checker looks at the class
        ("smtp", ""),
    ],
)
def test_a_name_that_airflow_publishes_is_no_typo_of_an_installed_one(provider: str, expected: str) -> None:
    found = hint_where(f"airflow.providers.{provider}.operators.some.SomeOperator", base_providers())
    assert found.startswith(expected) if expected else found == ""


def test_no_published_provider_is_taken_for_another_one() -> None:
    assert len(published_providers()) > 90
    for provider in published_providers() - base_providers():
        namespace = provider.partition("-")[0]
        dotted = provider.replace("-", ".", 1) if namespace in NAMESPACES else provider
        hint = hint_where(f"airflow.providers.{dotted}.operators.some.SomeOperator", base_providers())
        assert hint == how_to_add(provider)


@pytest.mark.parametrize(
    ("installed", "missing", "command"),
    [
        ("", ["s3"], "make setup EXTRAS=s3"),
        ("http sql", ["s3"], 'make setup EXTRAS="http s3 sql"'),
        ("http gone", ["http"], "make setup EXTRAS=http"),
        ("sql", ["s3", "http"], 'make setup EXTRAS="http s3 sql"'),
    ],
)
def test_the_command_keeps_the_extras_that_are_there(
    installed: str, missing: list[str], command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / ".installed").write_text(f"0123\n{installed}\n", encoding="utf-8")
    assert setup_command(*missing) == command


def test_what_several_files_lack_is_added_by_one_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    (tmp_path / ".installed").write_text("0123\nsql\n", encoding="utf-8")
    hints = ["did you mean 'a'?", f"b: {setup_command('s3')}", f"c: {setup_command('http')}"]
    assert with_one_command(hints) == [
        "did you mean 'a'?",
        'b: make setup EXTRAS="http s3 sql"',
        'c: make setup EXTRAS="http s3 sql"',
    ]


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
