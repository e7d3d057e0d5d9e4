"""The one place where task functions meet Airflow: connections, and the two ways to end a task early."""

from __future__ import annotations

import os
from typing import Any, NoReturn


def find_connection(conn_id: str) -> Any | None:
    """Return the Airflow connection ``conn_id``, or None when nobody has made one.

    Reading it registers its password with Airflow's secrets masker, so that logs show ``***``. Raises
    ValueError when there is one in the environment that Airflow cannot read: it would say "none".
    """
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get(conn_id)
    except AirflowNotFoundException:
        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        if os.environ.get(name):
            raise ValueError(
                f"{name} is set but is neither JSON nor a URI that Airflow can read; JSON has double quotes: "
                '{"conn_type": "…", "password": "…"}'
            ) from None
        return None


def skip(reason: str) -> NoReturn:
    """End this task as skipped, with ``reason`` in its log."""
    from airflow.sdk.exceptions import AirflowSkipException

    raise AirflowSkipException(reason)


def fail(reason: str) -> NoReturn:
    """End this task as failed at once, without retries: trying again cannot help."""
    from airflow.sdk.exceptions import AirflowFailException

    raise AirflowFailException(reason)
