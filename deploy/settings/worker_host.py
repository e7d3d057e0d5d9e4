"""The address of a worker, where its log server is found: workers on one machine need one each.

``AIRFLOW__CORE__HOSTNAME_CALLABLE=worker_host.name`` writes it into the metadata of each task.
"""

import os

SETTING = "BATCH_WORKER_HOST"


def name() -> str:
    """Return the setting, otherwise 127.0.0.1."""
    return os.environ.get(SETTING) or "127.0.0.1"
