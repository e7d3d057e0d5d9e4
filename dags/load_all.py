"""Every pipeline of this project: the YAML files in ``dag_configs/``, beside this folder, as Airflow DAGs.

Those of the folders in ``examples/`` that were chosen by `make up EXAMPLES=…`, too.

A file with errors loads none of its DAGs and shows them as an import error under its own name; the others
load. In a task only the file of that DAG is loaded.
"""

from pathlib import Path

# dag-factory needs this. Airflow's DAG processor imports what is named here once, not at each parse (20 ms).
import airflow.providers.standard.operators.python  # noqa: F401

from schemas.loading import load_dags

PROJECT = Path(__file__).resolve().parent.parent
load_dags(PROJECT / "dag_configs", globals(), PROJECT / "examples")
