"""Providers that are not installed: which one a dotted path or a class needs, and how it is added."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, distributions, requires

from packaging.requirements import Requirement

from batch_serving.shared.extras import how_to_add, packages_of_extras, project
from batch_serving.shared.suggestions import nearest

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
