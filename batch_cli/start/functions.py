"""The task functions of ``start.yaml``."""

from __future__ import annotations


def count(rows: int) -> int:
    """Return how many rows there are. What a task function returns is its XCom, for the tasks after it.

    Import pandas and the like inside a function: Airflow imports this file whenever it loads the pipeline.
    """
    print(f"{rows} rows")
    return rows
