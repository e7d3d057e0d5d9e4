"""Airflow imports this in each of its processes; it holds what Airflow has no setting for."""

import importlib
import os
import sys
from types import SimpleNamespace
from typing import Any

LOADER = "load_all.py"
YAML = (".yaml", ".yml")
MARK = "schemas.loading.ConfigError: \n"


def import_before_fork() -> None:
    """Import what training needs once, in the scheduler, so that the workers it forks have it already.

    A task then spends its time on its work; nothing is computed here, since a fork copies threads badly.
    """
    for module in (
        "pandas",
        "sklearn.compose",
        "sklearn.impute",
        "sklearn.linear_model",
        "sklearn.model_selection",
        "sklearn.pipeline",
        "upath.implementations.local",
        "matplotlib.backends.backend_svg",
        "matplotlib.figure",
    ):
        importlib.import_module(module)


def serve_logs_to_this_machine_only() -> None:
    """Bind the two log servers to 127.0.0.1; Airflow 3.3 binds them to every address of the machine."""
    import uvicorn
    from airflow.utils.serve_logs import core

    def run(app: Any, **arguments: Any) -> None:
        uvicorn.run(app, **{**arguments, "host": "127.0.0.1"})

    core.uvicorn = SimpleNamespace(run=run)


def keep_errors_of_yaml_files() -> None:
    """Let the errors of YAML files come and go with the loader's own parse.

    Airflow 3.3 drops an error of a file that it did not itself list, which a YAML file never is, at each
    look into the DAGs folder, and never when the file has been mended. In the UI's banner an error would
    flicker while it stands, and stay once it is gone.
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
                # What follows is for people; the two frames of Airflow's before it are not.
                import_errors[key] = import_errors[key].rpartition(MARK)[2]
        update(files_parsed, bundle_name, import_errors, session)

    DagFileProcessorManager.clear_orphaned_import_errors = clear_others
    collection._update_import_errors = update_with_yaml


if "dag-processor" in sys.argv:
    keep_errors_of_yaml_files()
if "scheduler" in sys.argv and os.environ.get("BATCH_WARM_WORKERS", "1") != "0":
    import_before_fork()
if {"scheduler", "triggerer"} & set(sys.argv):
    serve_logs_to_this_machine_only()
