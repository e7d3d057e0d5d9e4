"""Every pipeline of this project: the YAML files in ``dag_configs/``, beside this folder, as Airflow DAGs.

A file with mistakes loads none of its DAGs and shows them as an import error under its own name; the others
go on. In a task only the file of that DAG is read.
"""

from pathlib import Path

from schemas.loading import load_dags

load_dags(Path(__file__).resolve().parent.parent / "dag_configs", globals())
