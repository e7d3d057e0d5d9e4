"""The extras of pyproject.toml: which packages each brings, and the command that adds one to the others."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from batch_serving.shared.root import PROJECT_ROOT

PROVIDERS = "apache-airflow-providers-"
# The packages of connection types that are not called as their provider is, from each provider's own list.
CONNECTION_PACKAGES = {
    "athena": "amazon",
    "aws": "amazon",
    "databricks_sql": "databricks",
    "drill": "apache-drill",
    "druid": "apache-druid",
    "gcpbigquery": "google",
    "gcpcloudsqldb": "google",
    "google_cloud_platform": "google",
    "hive_cli": "apache-hive",
    "hiveserver2": "apache-hive",
    "iceberg": "apache-iceberg",
    "impala": "apache-impala",
    "kubernetes": "cncf-kubernetes",
    "mssql": "microsoft-mssql",
    "pinot": "apache-pinot",
    "redshift": "amazon",
}
UNKNOWN_TYPE = re.compile(r"""Unknown hook type ["'](?P<kind>[\w-]+)["']""")  # Airflow's own words
COMMAND = "make setup EXTRAS="
WRITTEN = re.compile(rf'{COMMAND}(?:"([^"]*)"|([\w-]+))')
STAMP = ".installed"  # `make setup` writes it into the environment: a hash, and the extras that are installed


@cache
def project() -> dict[str, Any]:
    """Return the table ``[project]`` of pyproject.toml."""
    with (PROJECT_ROOT / "pyproject.toml").open("rb") as file:
        found: dict[str, Any] = tomllib.load(file)["project"]
    return found


@cache
def packages_of_extras() -> dict[str, frozenset[str]]:
    """Return the packages that each extra names, without their versions; not what these need themselves."""
    extras = project().get("optional-dependencies", {})
    return {
        name: frozenset(re.split(r"[\[<>=~!; ]", line, maxsplit=1)[0].lower() for line in lines)
        for name, lines in extras.items()
    }


def extra_with(package: str) -> str:
    """Return the extra that names a package, empty if none does."""
    return next((name for name, found in packages_of_extras().items() if package in found), "")


def installed_extras() -> list[str]:
    """Return the extras that `make setup` has installed, sorted; none where something else installs."""
    try:
        lines = (Path(sys.prefix) / STAMP).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
    return sorted(name for line in lines[1:] for name in line.split() if name in packages_of_extras())


def setup_command(*missing: str) -> str:
    """Return the command that adds extras to those that are installed, and removes none."""
    names = sorted({*installed_extras(), *missing})
    return f'{COMMAND}"{" ".join(names)}"' if len(names) > 1 else f"{COMMAND}{' '.join(names)}"


def how_to_add(provider: str) -> str:
    """Return what to do to have a provider that is not installed: ``http``, for example."""
    package = f"{PROVIDERS}{provider}"
    if extra := extra_with(package):
        return f"it needs the provider {provider}, which is not installed: {setup_command(extra)}"
    return f"it needs {package}, which is not installed: add it to pyproject.toml (docs/providers.md)"


def hint_of_error(text: str) -> str:
    """Return what to do about an error that says that a type of connection is not installed, or nothing."""
    found = UNKNOWN_TYPE.search(text)
    return how_to_add(provider_of_type(found["kind"])) if found else ""


def provider_of_type(kind: str) -> str:
    """Return the provider that a type of connection is in: its own name, but for a few."""
    return CONNECTION_PACKAGES.get(kind, kind.replace("_", "-"))


def with_one_command(texts: Iterable[str]) -> list[str]:
    """Return texts in which each command that adds extras adds those of all of them."""
    texts = list(texts)
    names = {name for text in texts for match in WRITTEN.finditer(text) for name in _names(match)}
    if not names:
        return texts
    command = setup_command(*names)
    return [WRITTEN.sub(lambda _match: command, text) for text in texts]


def _names(match: re.Match[str]) -> list[str]:
    return (match[1] or match[2]).split()
