"""Where this project is, and the settings of its Airflow."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from batch_serving.shared import env
from batch_serving.shared.root import PROJECT_ROOT

ROOT = PROJECT_ROOT
HOME = ROOT / ".airflow"
# These decide whose data is changed. A shell may still have them from another project.
NOT_FROM_SHELL = (
    "AIRFLOW_HOME",
    "AIRFLOW_CONFIG",
    "AIRFLOW__CORE__DAGS_FOLDER",
    "AIRFLOW__DATABASE__",
    "BATCH_OUTPUT",
)
INDIRECT = ("_CMD", "_SECRET")  # settings that come from running a command, or from a secrets backend
Say = Callable[[str], None]


class LocalError(Exception):
    """A problem that the user can fix; the text says how."""


def read_env_file(path: Path) -> dict[str, str]:
    """Return the settings in a file; LocalError for a line that is not a setting."""
    try:
        return env.read_env_file(path)
    except ValueError as error:
        raise LocalError(str(error)) from None


def project_settings(say: Say) -> dict[str, str]:
    """Return deploy/local.env, overridden by .env, overridden by the shell."""
    settings = {**read_env_file(ROOT / "deploy" / "local.env"), **read_env_file(ROOT / ".env")}
    ours = {name: value for name, value in os.environ.items() if name.startswith(("AIRFLOW_", "BATCH_"))}
    ignored = sorted(name for name in ours if name.startswith(NOT_FROM_SHELL) or name.endswith(INDIRECT))
    if ignored:
        say(f"ignored from your shell: {', '.join(ignored)} (to use them, put them into .env)")
    return {**settings, **{name: value for name, value in ours.items() if name not in ignored}}
