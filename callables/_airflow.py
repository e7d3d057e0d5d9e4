"""The one place where task functions meet Airflow: connections, databases, and two ways to end a task."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    import sqlalchemy


class UnfitConnectionError(ValueError):
    """A connection that a person must mend; the text says how."""


def find_connection(conn_id: str) -> Any | None:
    """Return the Airflow connection ``conn_id``, or None when nobody has made one.

    Reading it registers its password with Airflow's secrets masker, so that logs show ``***``. Raises
    UnfitConnectionError when there is one in the environment that Airflow cannot read: it would say "none".
    """
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get(conn_id)
    except AirflowNotFoundException:
        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        if os.environ.get(name):
            raise UnfitConnectionError(
                f"{name} is set but is neither JSON nor a URI that Airflow can read; JSON has double quotes: "
                '{"conn_type": "…", "password": "…"}'
            ) from None
        return None


DRIVERS = {"postgres": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite"}


def database_engine(conn_id: str) -> sqlalchemy.Engine:
    """Return a SQLAlchemy engine for the database that the Airflow connection ``conn_id`` names.

    UnfitConnectionError if there is no such connection, or it is of a type that DRIVERS lacks.
    """
    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from sqlalchemy.engine import URL

    class Hook(DbApiHook):
        conn_name_attr = "conn_id"

        @property
        def sqlalchemy_url(self) -> URL:
            """The address, with the driver that this project installs."""
            found = self.connection
            options = {"charset": "utf8mb4"} if found.conn_type == "mysql" else {}
            for name, value in found.extra_dejson.items():
                if isinstance(value, dict | list):
                    raise UnfitConnectionError(
                        f"extra {name!r} of connection {conn_id!r} must be a plain value, as the driver "
                        "takes it (ssl_ca with a file, say)"
                    )
            return URL.create(
                DRIVERS[found.conn_type],
                username=found.login,
                password=found.password,
                host=found.host if found.conn_type != "sqlite" else None,
                port=found.port,
                database=found.schema if found.conn_type != "sqlite" else found.host,
                query=options | {name: str(value) for name, value in found.extra_dejson.items()},
            )

    found = find_connection(conn_id)
    if found is None:
        raise UnfitConnectionError(
            f"there is no connection {conn_id!r}; make it: AIRFLOW_CONN_{conn_id.upper()}=…"
        )
    if found.conn_type not in DRIVERS:
        known = ", ".join(DRIVERS)
        raise UnfitConnectionError(
            f"connection {conn_id!r} is of type {found.conn_type!r}; it must be one of {known}"
        )
    try:
        return Hook(conn_id=conn_id).get_sqlalchemy_engine({"hide_parameters": True})
    except ModuleNotFoundError as error:
        raise UnfitConnectionError(
            f"connection {conn_id!r} needs {error.name}: install the project with --extra database"
        ) from None


def skip(reason: str) -> NoReturn:
    """End this task as skipped, with ``reason`` in its log."""
    from airflow.sdk.exceptions import AirflowSkipException

    raise AirflowSkipException(reason)


def fail_as_told(reason: str) -> NoReturn:
    """End this task as failed at once where another task's failure has told Slack already."""
    from airflow.sdk.exceptions import AirflowFailException

    class AlreadyToldError(AirflowFailException):
        already_told = True

    raise AlreadyToldError(reason)


def fail(reason: str) -> NoReturn:
    """End this task as failed at once, without retries: trying again cannot help."""
    from airflow.sdk.exceptions import AirflowFailException

    raise AirflowFailException(reason)
