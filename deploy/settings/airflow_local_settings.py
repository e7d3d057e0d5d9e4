"""What Airflow has no setting for. Airflow imports this file in each of its processes."""

import importlib
import inspect
import json
import os
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

LOADER = "load_all.py"
YAML = (".yaml", ".yml")
MARK = "schemas.airflow_internals.ConfigError: \n"


# What training needs. A task then spends its time on its work.
FOR_TASKS = (
    "pandas",
    "sklearn.compose",
    "sklearn.impute",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "upath.implementations.local",
    "matplotlib.backends.backend_svg",
    "matplotlib.figure",
)
# What the loader needs: 10 ms of each parse.
FOR_PARSES = ("dagfactory.dagbuilder",)


def import_before_fork(modules: tuple[str, ...]) -> None:
    """Import modules once, so that the processes that this one forks have them already.

    Nothing is computed here, since a fork does not copy threads.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # dag-factory tries Airflow 2 paths, too
        for module in modules:
            importlib.import_module(module)


def is_celery_worker(command: list[str]) -> bool:
    """Whether this process is a Celery worker, which forks tasks."""
    return {"celery", "worker"} <= set(command)


def runs_tasks(command: list[str]) -> bool:
    """Whether tasks are forked from this process: a scheduler does that only with the LocalExecutor."""
    from airflow.configuration import conf

    is_local = "LocalExecutor" in conf.get("core", "executor")
    return is_celery_worker(command) or ("scheduler" in command and is_local)


def serve_logs_to_this_machine_only() -> None:
    """Bind the log servers to 127.0.0.1, or a worker's own address (worker_host.py).

    Airflow 3.3 binds them to every address of the machine.
    """
    import uvicorn
    from airflow.utils.serve_logs import core

    host = importlib.import_module("worker_host").name()

    def run(app: Any, **arguments: Any) -> None:
        uvicorn.run(app, **{**arguments, "host": host})

    core.uvicorn = SimpleNamespace(run=run)


def keep_errors_of_yaml_files() -> None:
    """Let the errors of YAML files come and go with the parse of the loader.

    Airflow 3.3 does not list YAML files as DAG files. So it removes their errors each time it lists the DAGs
    folder, and does not remove them when the file is fixed: in the UI, an error would come and go as long as
    it is true, and stay when it no longer is.
    """
    from airflow.dag_processing import collection
    from airflow.dag_processing.manager import DagFileProcessorManager
    from airflow.models.errors import ParseImportError
    from sqlalchemy import select

    clear, update = DagFileProcessorManager.clear_orphaned_import_errors, collection._update_import_errors

    class WithYaml(set[str]):
        def __contains__(self, name: object) -> bool:
            return str(name).endswith(YAML) or super().__contains__(name)

    def clear_others(self: Any, bundle_name: str, observed_filelocs: set[str], **more: Any) -> None:
        clear(self, bundle_name, WithYaml(observed_filelocs), **more)

    def update_with_yaml(
        files_parsed: set[tuple[str, str]],
        bundle_name: str,
        import_errors: dict[tuple[str, str], str],
        session: Any,
    ) -> None:
        if any(name.endswith(LOADER) for _, name in files_parsed):
            known = select(ParseImportError.filename).where(ParseImportError.bundle_name == bundle_name)
            shown = {(bundle_name, name) for name in session.scalars(known) if name.endswith(YAML)}
            files_parsed = files_parsed | shown
            for key in import_errors:
                # Without the two lines of Airflow's own code that precede the problems.
                import_errors[key] = import_errors[key].rpartition(MARK)[2]
        update(files_parsed, bundle_name, import_errors, session)

    DagFileProcessorManager.clear_orphaned_import_errors = clear_others
    collection._update_import_errors = update_with_yaml


def let_users_come_and_go() -> None:
    """Let the users that `make user` adds log in immediately, and log those out that it removes.

    Airflow 3.3 takes users from a setting, which is fixed when it starts, and accepts a token for a day,
    whoever has been removed since then.
    """
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
    from airflow.configuration import AIRFLOW_HOME, conf

    of_setting, deserialize = SimpleAuthManager.get_users, SimpleAuthManager.deserialize_user
    file = Path(AIRFLOW_HOME, "users.json")

    def get_users() -> list[Any]:
        users: list[Any] = of_setting()
        added = json.loads(file.read_bytes()) if file.exists() else {}
        there = {user.username for user in users}
        more = [SimpleAuthManagerUser(username=name, role=role) for name, role in added.items()]
        return users + [user for user in more if user.username not in there]

    def deserialize_user(self: Any, token: dict[str, Any]) -> Any:
        user = deserialize(self, token)
        if conf.getboolean("core", "simple_auth_manager_all_admins"):
            return user  # no one has logged in
        if user not in get_users():
            raise ValueError(f"the user {user.username} was removed, or has another role now")
        return user

    SimpleAuthManager.get_users = staticmethod(get_users)
    SimpleAuthManager.deserialize_user = deserialize_user


def commit_the_audit_log_in_a_thread() -> None:
    """Let no request of the API server wait for the database in the event loop.

    Airflow 3.3 commits the audit log of a request there. With SQLite, whose one writer may be another request
    that the same loop has to end, both wait until the time-out, and so do the scheduler and all others.
    """
    from airflow.api_fastapi.logging import decorators
    from starlette.concurrency import run_in_threadpool

    logging_of = decorators.action_logging

    class Adding:
        """A session that adds, and whose commit comes later."""

        def __init__(self, session: Any) -> None:
            self.add = session.add

        def commit(self) -> None:
            pass

    def action_logging(event: str | None = None) -> Any:
        log_action = logging_of(event)

        async def log_and_commit(request: Any, session: Any, user: Any) -> None:
            await log_action(request, Adding(session), user)
            await run_in_threadpool(session.commit)

        log_and_commit.__signature__ = inspect.signature(log_action, eval_str=True)  # type: ignore[attr-defined]
        return log_and_commit

    decorators.action_logging = action_logging


if "api-server" in sys.argv:
    let_users_come_and_go()
    commit_the_audit_log_in_a_thread()
if "dag-processor" in sys.argv:
    keep_errors_of_yaml_files()
    import_before_fork(FOR_PARSES)
if runs_tasks(sys.argv) and os.environ.get("BATCH_WARM_WORKERS", "1") != "0":
    import_before_fork(FOR_TASKS)
if {"scheduler", "triggerer"} & set(sys.argv) or is_celery_worker(sys.argv):
    serve_logs_to_this_machine_only()
