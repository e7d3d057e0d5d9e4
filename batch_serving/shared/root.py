"""Where the project and its Airflow are on this machine."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]


def airflow_home() -> Path:
    """Return the folder where Airflow keeps its state."""
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
