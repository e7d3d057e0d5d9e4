"""Providers that are not installed: which one a dotted path or a class needs, and how it is added."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, requires
from pathlib import Path

from packaging.requirements import Requirement

from batch_serving.shared.extras import how_to_add, packages_of_extras, project
from batch_serving.shared.suggestions import nearest
from schemas.catalog.old_names import CLASS_NAMES

PREFIX = "apache-airflow-providers-"
# What lies between airflow.providers and the provider's own name.
NAMESPACES = frozenset({"apache", "atlassian", "cncf", "common", "dbt", "ibm", "microsoft"})
# Operators and sensors that people know by name, and where each is today. Airflow 2 had many of them in its
# own modules, and providers have moved others. Source: the providers' own documentation.
TODAY = {
    path.rpartition(".")[2]: f"airflow.providers.{path}"
    for path in (
        "amazon.aws.operators.athena.AthenaOperator",
        "amazon.aws.operators.glue.GlueJobOperator",
        "amazon.aws.operators.lambda_function.LambdaInvokeFunctionOperator",
        "amazon.aws.sensors.s3.S3KeySensor",
        "amazon.aws.transfers.local_to_s3.LocalFilesystemToS3Operator",
        "apache.hive.operators.hive.HiveOperator",
        "apache.livy.operators.livy.LivyOperator",
        "apache.spark.operators.spark_submit.SparkSubmitOperator",
        "cncf.kubernetes.operators.pod.KubernetesPodOperator",
        "databricks.operators.databricks.DatabricksRunNowOperator",
        "databricks.operators.databricks.DatabricksSubmitRunOperator",
        "dbt.cloud.operators.dbt.DbtCloudRunJobOperator",
        "discord.operators.discord_webhook.DiscordWebhookOperator",
        "docker.operators.docker.DockerOperator",
        "google.cloud.operators.bigquery.BigQueryInsertJobOperator",
        "google.cloud.operators.dataproc.DataprocSubmitJobOperator",
        "google.cloud.sensors.gcs.GCSObjectExistenceSensor",
        "google.cloud.transfers.gcs_to_bigquery.GCSToBigQueryOperator",
        "http.operators.http.HttpOperator",
        "http.sensors.http.HttpSensor",
        "papermill.operators.papermill.PapermillOperator",
        "sftp.operators.sftp.SFTPOperator",
        "sftp.sensors.sftp.SFTPSensor",
        "slack.operators.slack.SlackAPIPostOperator",
        "slack.operators.slack_webhook.SlackWebhookOperator",
        "smtp.operators.smtp.EmailOperator",
        "ssh.operators.ssh.SSHOperator",
    )
}
# Operators that are gone: their databases' providers have what SQLExecuteQueryOperator needs.
OF_A_DATABASE = {"MySqlOperator": "mysql", "PostgresOperator": "postgres", "SqliteOperator": "sqlite"}
DEFINED = re.compile(r"^class (\w+)\(", re.MULTILINE)
# Where providers have what YAML may name.
FOLDERS = frozenset({"notifications", "operators", "sensors", "transfers"})


MISSING_PROVIDER = "it needs the provider"  # the start of the hint where an extra has it


def provider_hint(path: str) -> str:
    """Return how to add the provider that a dotted path needs, empty if none is missing for it."""
    return hint_where(path, installed_providers())


def lacks_provider(path: str) -> bool:
    """Return whether a dotted path is in a provider that is not installed, whatever its name is meant for."""
    provider = _provider_of(path)
    return bool(provider) and provider not in installed_providers()


def hint_where(path: str, installed: frozenset[str]) -> str:
    """Return how to add the provider that a dotted path needs where these providers are installed.

    What Airflow publishes, or an extra has, is meant as it is written, however close its name is to that of
    an installed one: sftp is not a typo of smtp. Of any other name, a close one is meant.
    """
    provider = _provider_of(path)
    if not provider or provider in installed:
        return ""
    if provider in published_providers():
        return how_to_add(provider)
    close = nearest(provider, published_providers() | installed)
    if installed.intersection(close):
        return ""  # a typo of what is there
    if close:
        return f"did you mean the provider {close[0]!r}? {how_to_add(close[0])}"
    return how_to_add(provider)


@cache
def published_providers() -> frozenset[str]:
    """Return the providers that Airflow's own package has as extras, and those of the project's extras."""
    ours = frozenset().union(*extras().values())
    try:
        lines = requires("apache-airflow") or []
    except PackageNotFoundError:
        return ours
    names = {Requirement(line).name.lower() for line in lines if line.startswith(PREFIX)}
    return ours | {name.removeprefix(PREFIX) for name in names}


def _provider_of(path: str) -> str:
    parts = path.split(".")
    if path.startswith("airflow.providers.") and len(parts) > 3:
        return "-".join(parts[2 : 4 if parts[2] in NAMESPACES else 3])
    if parts[0] != "airflow" and len(parts) > 1:
        return ""
    today = TODAY.get(CLASS_NAMES.get(parts[-1], parts[-1]), "")
    return _provider_of(today) if today else OF_A_DATABASE.get(parts[-1], "")


def paths_today(name: str) -> list[str]:
    """Return the dotted paths of a class of this name in the installed providers, or where it is published.

    The installed ones are searched as text: importing all modules of a provider takes seconds.
    """
    found = _defined().get(name, [])
    return found or ([TODAY[name]] if name in TODAY else [])


@cache
def _defined() -> dict[str, list[str]]:
    import airflow.providers

    found: dict[str, list[str]] = {}
    for folder in map(Path, airflow.providers.__path__):
        for file in sorted(folder.rglob("*.py")):
            parts = file.relative_to(folder).with_suffix("").parts
            if FOLDERS & {*parts[:-1]} and not any(part.startswith("_") for part in parts):
                module = ".".join(("airflow", "providers", *parts))
                for name in DEFINED.findall(file.read_text(encoding="utf-8")):
                    found.setdefault(name, []).append(f"{module}.{name}")
    return found


def is_of(path: str, providers: frozenset[str]) -> bool:
    """Return whether a dotted path or a module is in one of these providers."""
    return path.startswith("airflow.providers.") and _provider_of(f"{path}.") in providers


@cache
def installed_providers() -> frozenset[str]:
    """Return the providers that are installed, such as ``http`` or ``cncf-kubernetes``."""
    names = (str(found.metadata["Name"]).lower() for found in distributions())
    return frozenset(name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX))


@cache
def base_providers() -> frozenset[str]:
    """Return the providers that every environment of the project has: those that need no extra."""
    found: set[str] = set()
    waiting = [Requirement(line) for line in project()["dependencies"]]
    seen = set()
    while waiting:
        requirement = waiting.pop()
        name = requirement.name.lower().replace("_", "-")
        key = (name, tuple(sorted(requirement.extras)))
        if key in seen:
            continue
        seen.add(key)
        if name.startswith(PREFIX):
            found.add(name.removeprefix(PREFIX))
        waiting += _needs_of(requirement)
    return frozenset(found)


def _needs_of(requirement: Requirement) -> list[Requirement]:
    """Return what an installed package of Airflow's needs; others need no provider."""
    if not requirement.name.startswith("apache-airflow"):
        return []
    try:
        lines = requires(requirement.name) or []
    except PackageNotFoundError:
        return []
    found = [Requirement(line) for line in lines]
    chosen = [{"extra": name} for name in ("", *requirement.extras)]
    return [one for one in found if one.marker is None or any(one.marker.evaluate(extra) for extra in chosen)]


@cache
def extras() -> dict[str, frozenset[str]]:
    """Return the providers that each extra of the project brings."""
    return {
        name: frozenset(package.removeprefix(PREFIX) for package in packages if package.startswith(PREFIX))
        for name, packages in packages_of_extras().items()
    }
