"""The module through which the library asks Airflow: connections, databases, and ways to end a task.

Only the task functions in ``callables`` call ``skip`` and ``fail``; the library raises its own errors.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, NoReturn

from batch_serving.shared.extras import setup_command

if TYPE_CHECKING:
    import sqlalchemy


log = logging.getLogger(__name__)


class InvalidConnectionError(ValueError):
    """A connection that cannot be used; the text says how to correct it."""


def find_connection(conn_id: str) -> Any | None:
    """Return the Airflow connection ``conn_id``, or None if it does not exist.

    Reading it registers its password with Airflow's secrets masker, so that logs show ``***``. Raises
    InvalidConnectionError for one in the environment that Airflow cannot read, and reports as missing.
    """
    from airflow.sdk import Connection
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return Connection.get(conn_id)
    except AirflowNotFoundException:
        name = f"AIRFLOW_CONN_{conn_id.upper()}"
        if os.environ.get(name):
            raise InvalidConnectionError(
                f"{name} is set but is neither JSON nor a URI that Airflow can read; JSON needs double "
                'quotes: {"conn_type": "…", "password": "…"}'
            ) from None
        return None


def ui_address() -> str:
    """Return the address of Airflow's UI, without a slash at its end."""
    from airflow.configuration import conf

    return str(conf.get("api", "base_url", fallback="http://localhost:8080")).rstrip("/")


DRIVERS = {"postgres": "postgresql+psycopg", "mysql": "mysql+pymysql", "sqlite": "sqlite"}


def database_engine(conn_id: str, *, keep_connections: bool = True) -> sqlalchemy.Engine:
    """Return a SQLAlchemy engine for the database of the Airflow connection ``conn_id``.

    Without ``keep_connections`` each use connects again: a server closes a connection that is idle for hours.

    Raises InvalidConnectionError if the connection does not exist, or its type is not in DRIVERS.
    """
    import sqlalchemy
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    class Hook(DbApiHook):
        conn_name_attr = "conn_id"

        @property
        def sqlalchemy_url(self) -> sqlalchemy.URL:
            """The database's address, with the driver that this project installs."""
            return _database_url(conn_id, self.connection)

    found = find_connection(conn_id)
    if found is None:
        raise InvalidConnectionError(
            f"there is no connection {conn_id!r}; make it: AIRFLOW_CONN_{conn_id.upper()}=…"
        )
    if found.conn_type not in DRIVERS:
        known = ", ".join(DRIVERS)
        raise InvalidConnectionError(
            f"connection {conn_id!r} is of type {found.conn_type!r}; it must be one of {known}"
        )
    pool = {} if keep_connections else {"poolclass": sqlalchemy.NullPool}
    try:
        return Hook(conn_id=conn_id).get_sqlalchemy_engine({"hide_parameters": True, **pool})
    except ModuleNotFoundError as error:
        raise InvalidConnectionError(
            f"connection {conn_id!r} needs {error.name}: {setup_command('database')}"
        ) from None


def _database_url(conn_id: str, connection: Any) -> sqlalchemy.URL:
    from sqlalchemy.engine import URL

    options = {"charset": "utf8mb4"} if connection.conn_type == "mysql" else {}
    for name, value in _driver_options(connection).items():
        if isinstance(value, dict | list):
            raise InvalidConnectionError(
                f"extra {name!r} of connection {conn_id!r} must be a plain value that the driver "
                "accepts, for example ssl_ca with a file name"
            )
        options[name] = str(value)
    is_file = connection.conn_type == "sqlite"
    return URL.create(
        DRIVERS[connection.conn_type],
        username=connection.login,
        password=connection.password,
        host=None if is_file else connection.host,
        port=connection.port,
        database=connection.host if is_file else connection.schema,
        query=options,
    )


# What Airflow's own hooks read from a connection, and the drivers do not know.
FOR_HOOKS = {"mysql": {"client", "cursor"}, "postgres": {"cursor"}}


def _driver_options(connection: Any) -> dict[str, Any]:
    """Return what a connection's extra gives the driver: one connection serves the SQL operators, too.

    Airflow's MySQL hook takes ``ssl`` as a mapping, SQLAlchemy takes ``ssl_ca`` and the like.
    """
    options = dict(connection.extra_dejson)
    for name in FOR_HOOKS.get(connection.conn_type, ()):
        options.pop(name, None)
    if connection.conn_type == "mysql" and isinstance(options.get("ssl"), dict):
        options |= {f"ssl_{name}": value for name, value in options.pop("ssl").items()}
    return options


def mask(secret: str) -> None:
    """Let Airflow show ``***`` in place of a secret in each log."""
    from airflow.sdk.log import mask_secret

    mask_secret(secret)


def states_of_tasks(dag_id: str, run_id: str) -> dict[str, str]:
    """Return the state of each task of a run, by task_id; none where Airflow does not answer.

    For callbacks of a DAG, which know their run but not its tasks.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        found = RuntimeTaskInstance.get_task_states(dag_id, run_ids=[run_id])
    except Exception:  # a message with less in it is better than none
        log.warning("the states of the tasks of %s are not known", dag_id, exc_info=True)
        return {}
    return {task: str(getattr(state, "value", state)) for task, state in (found.get(run_id) or {}).items()}


def is_no_failure(instance: Any) -> bool:
    """Return whether Airflow ended this task itself, and not as failed, before it raised its error.

    It does after a run's timeout, when someone marks a running task in the UI, and when a scheduler starts it
    again. For callbacks in the process of the task; False where Airflow does not answer.
    """
    from airflow.sdk.exceptions import AirflowRuntimeError
    from airflow.sdk.execution_time import comms, task_runner

    send = getattr(getattr(task_runner, "SUPERVISOR_COMMS", None), "send", None)
    if send is None:  # such as `airflow dags test`
        return False
    try:
        send(
            comms.ValidateInletsAndOutlets(ti_id=instance.id)
        )  # an error, if this try is not the task's any more
    except AirflowRuntimeError as error:
        return (error.error.detail or {}).get("status_code") == 404  # Airflow gives each try another id
    except Exception:
        return False
    states = states_of_tasks(instance.dag_id, instance.run_id)
    name = (
        instance.task_id if instance.map_index in (None, -1) else f"{instance.task_id}_{instance.map_index}"
    )
    return states.get(name) in ("success", "skipped", "removed", "restarting", "up_for_retry")


def skip(reason: str) -> NoReturn:
    """End this task as skipped, with ``reason`` in its log."""
    from airflow.sdk.exceptions import AirflowSkipException

    raise AirflowSkipException(reason)


def fail_already_reported(reason: str) -> NoReturn:
    """End this task as failed, without retries or a message: another task has already reported the cause."""
    from airflow.sdk.exceptions import AirflowFailException

    class AlreadyReportedError(AirflowFailException):
        already_reported = True

    raise AlreadyReportedError(reason)


def fail(reason: str) -> NoReturn:
    """End this task as failed, without retries: trying again cannot help."""
    from airflow.sdk.exceptions import AirflowFailException

    raise AirflowFailException(reason)
