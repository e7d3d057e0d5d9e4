"""Providers that are not installed: which one a dotted path or a class needs, and how it is added."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, requires
from typing import Any

from packaging.requirements import Requirement

from batch_serving.shared.root import PROJECT_ROOT

PREFIX = "apache-airflow-providers-"
# What lies between airflow.providers and the provider's own name.
NAMESPACES = frozenset({"apache", "atlassian", "cncf", "common", "dbt", "ibm", "microsoft"})
# Classes of Airflow 2's own modules, by the provider that has them now.
CLASSES = {
    "BigQueryInsertJobOperator": "google",
    "DockerOperator": "docker",
    "HttpOperator": "http",
    "HttpSensor": "http",
    "KubernetesPodOperator": "cncf-kubernetes",
    "MySqlOperator": "mysql",
    "PostgresOperator": "postgres",
    "S3KeySensor": "amazon",
    "SFTPOperator": "sftp",
    "SFTPSensor": "sftp",
    "SSHOperator": "ssh",
    "SimpleHttpOperator": "http",
    "SparkSubmitOperator": "apache-spark",
    "SqliteOperator": "sqlite",
}


def provider_hint(path: str) -> str:
    """Return how to add the provider that a dotted path needs, empty if none is missing for it."""
    return hint_where(path, installed_providers())


def hint_where(path: str, installed: frozenset[str]) -> str:
    """Return how to add the provider that a dotted path needs where these providers are installed."""
    provider = _provider_of(path)
    if not provider or provider in installed:
        return ""
    extra = next((name for name, found in extras().items() if provider in found), "")
    if extra:
        return f"it needs the provider {provider}, which is not installed: make setup EXTRAS={extra}"
    package = f"{PREFIX}{provider}"
    return f"it needs {package}, which is not installed: add it to pyproject.toml (docs/providers.md)"


def _provider_of(path: str) -> str:
    parts = path.split(".")
    if path.startswith("airflow.providers.") and len(parts) > 3:
        return "-".join(parts[2 : 4 if parts[2] in NAMESPACES else 3])
    return CLASSES.get(parts[-1], "") if parts[0] == "airflow" or len(parts) == 1 else ""


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
    waiting = [Requirement(line) for line in _project()["dependencies"]]
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
    found = _project().get("optional-dependencies", {})
    return {
        name: frozenset(
            line.partition(">")[0].partition("[")[0].removeprefix(PREFIX)
            for line in lines
            if line.startswith(PREFIX)
        )
        for name, lines in found.items()
    }


@cache
def _project() -> dict[str, Any]:
    with (PROJECT_ROOT / "pyproject.toml").open("rb") as file:
        project: dict[str, Any] = tomllib.load(file)["project"]
    return project
