"""Says whether the container's role is healthy: exit code 0, or 1 with a reason. The image's HEALTHCHECK.

The role is what the arguments say, otherwise the command of the container's first process. That must be an
init, for Airflow renames its own. Roles: ``api-server``, ``scheduler``, ``dag-processor``, ``triggerer`` and
``celery worker``; any other command is healthy as long as it runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path

TIMEOUT_S = 20
JOBS = {"scheduler": "SchedulerJob", "dag-processor": "DagProcessorJob", "triggerer": "TriggererJob"}


def check(command: Sequence[str]) -> str:
    """Return what is wrong with the role that this command has, empty if nothing is."""
    if "api-server" in command:
        return _answers(f"http://127.0.0.1:{os.environ.get('AIRFLOW__API__PORT', '8080')}/api/v2/version")
    if "celery" in command and "worker" in command:
        name = f"celery@{os.uname().nodename}"
        app = "airflow.providers.celery.executors.celery_executor.app"
        return _succeeds([sys.executable, "-m", "celery", "--app", app, "inspect", "ping", "-d", name])
    for role, job in JOBS.items():
        if role in command:
            return _succeeds(["airflow", "jobs", "check", "--job-type", job, "--local"])
    return ""


def _answers(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S):  # noqa: S310 - the address is this container's own
            return ""
    except (urllib.error.URLError, TimeoutError, OSError) as error:
        return f"{url} does not answer: {error}"


def _succeeds(command: list[str]) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        return f"{' '.join(command)} has not ended within {TIMEOUT_S} s"
    return "" if ended.returncode == 0 else f"{ended.stdout}{ended.stderr}".strip()[-500:] or "it failed"


def main() -> int:
    """Check the container's role."""
    first = Path("/proc/1/cmdline")
    command = sys.argv[1:] or first.read_bytes().decode("utf-8", "replace").replace("\0", " ").split()
    problem = check(command)
    if problem:
        print(problem, file=sys.stderr)
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
