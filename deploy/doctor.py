"""``make doctor``: is everything in order? The pipelines' YAML, Airflow, the connections, the outputs' ages.

Each line says what is right or wrong, and what to do.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from instance import Instance
from project import HOME, LocalError, project_settings

from batch_serving.shared.command_line import end_in_order
from batch_serving.shared.env import start_command
from batch_serving.shared.unreachable import UnreachableError
from batch_serving.shared.wording import counted

CONNECTIONS = {
    "AIRFLOW_CONN_SLACK_WEBHOOK": "Slack gets no message; put its webhook into .env (docs/notifications.md)",
    "AIRFLOW_CONN_KMA_API": "the weather is made up; put KMA's key into .env (docs/runbook.md)",
}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; ``is_wrong`` None: it may be intended."""

    text: str
    is_wrong: bool | None = False

    @property
    def line(self) -> str:
        """The line that is printed."""
        return f"{'note ' if self.is_wrong is None else 'WRONG' if self.is_wrong else 'ok   '}  {self.text}"


def yaml_findings() -> Iterator[Finding]:
    """Check the YAML that Airflow loads."""
    # Importing Airflow makes a home and writes its log to the screen: into the project's, and errors alone.
    os.environ.setdefault("AIRFLOW_HOME", str(HOME))
    os.environ.setdefault("AIRFLOW__LOGGING__LOGGING_LEVEL", "ERROR")
    from batch_page.pipelines import config_files
    from schemas.validation import check_paths

    problems = check_paths(config_files())
    errors = [problem for problem in problems if problem.severity == "error"]
    files = counted(len(config_files()), "file")
    if errors:
        yield Finding(f"YAML: {counted(len(errors), 'error')} in {files}: make check", is_wrong=True)
    else:
        yield Finding(f"YAML: no error in {files}")


def airflow_findings(instance: Instance) -> Iterator[Finding]:
    """Look whether Airflow runs and is healthy."""
    if not instance.processes():
        yield Finding("Airflow is not running: make up", is_wrong=True)
        return
    try:
        instance.wait_until_healthy(5)
        yield Finding(f"Airflow is running and healthy: {instance.address}")
    except LocalError as error:
        yield Finding(f"Airflow is not healthy: {error}", is_wrong=True)


def connection_findings(settings: dict[str, str]) -> Iterator[Finding]:
    """Look which connections there are; never what is in them."""
    from schemas.catalog.existing import PREFIX, existing

    known = existing()
    for name, without in CONNECTIONS.items():
        connection = name.removeprefix(PREFIX).lower()
        if settings.get(name):
            yield Finding(f"{name} is set")
        elif connection in known.connections:
            yield Finding(f"connection {connection} is in Airflow's database")
        elif known.elsewhere:
            yield Finding(f"{name} is not set; the secrets backend may have {connection}", is_wrong=None)
        else:
            yield Finding(f"{name} is not set: {without}", is_wrong=None)


def age_findings() -> Iterator[Finding]:
    """Compare the ages of the outputs with the deadlines in YAML."""
    from batch_page.stale import output_ages

    try:
        for one in output_ages(datetime.now(UTC)):
            output, what, age, limit, _ = one.cells()
            text = f"{output}: {what}" if one.age is None else f"{output}: {what}, {age} old (limit {limit})"
            look = f": look at {one.dag_id}" if one.is_stale else ""
            yield Finding(f"{text}{look}", is_wrong=None if one.age is None else one.is_stale)
    except UnreachableError as error:
        yield Finding(str(error), is_wrong=True)


def main() -> int:
    """Print all findings; 1 if something is wrong."""
    end_in_order()
    start_command()
    settings = project_settings(lambda _: None)
    wrong = 0
    parts = (
        yaml_findings(),
        airflow_findings(Instance(HOME, settings, say=lambda _: None)),
        connection_findings(settings),
        age_findings(),
    )
    for finding in (one for part in parts for one in part):
        print(finding.line, flush=True)
        wrong += finding.is_wrong is True
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
