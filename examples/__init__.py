"""Pipelines that are ready to run: each folder has its YAML, its functions, its SQL and a README.

`make up EXAMPLES=1` loads them beside those of ``dag_configs/``; ``batch new`` makes a copy to change.
"""
