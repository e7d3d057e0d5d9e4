"""Pieces that the rules' examples share."""

from __future__ import annotations

EMPTY = "operator: airflow.providers.standard.operators.empty.EmptyOperator"
BASH = "operator: airflow.providers.standard.operators.bash.BashOperator"
PYTHON = "operator: airflow.providers.standard.operators.python.PythonOperator"
PRUNE = f"{PYTHON}\npython_callable: callables.models.prune"
PRUNE_REST = "keep: 10, run_id: '{{ run_id }}'"
GOOD_PRUNE = f"{PRUNE}\nop_kwargs: {{model: digits, {PRUNE_REST}}}"
