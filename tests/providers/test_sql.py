"""SQL tasks and the pipelines' own functions use one connection, in each of the three databases."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from dag_runs import DAY, Project
from databases import database
from pages import page

from batch_serving.shared.airflow import database_engine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extra("sql"),
    pytest.mark.needs("postgres"),
    pytest.mark.needs("mariadb"),
]

TABLES = (
    "CREATE TABLE sales (id INT, day DATE, amount INT)",
    "CREATE TABLE totals (day DATE, amount INT)",
    f"INSERT INTO sales VALUES (1, '{DAY}', 3), (2, '{DAY}', 4), (3, '2026-01-04', 5)",
)
DRAW_ROWS = """\
    draw_rows:
      operator: airflow.providers.standard.operators.python.PythonOperator
      dependencies: [check_totals]
      python_callable: callables.prediction.draw_rows
      op_kwargs: {sql: SELECT * FROM sales, connection: shop, row_id: id, rows: 2, run_id: "{{ dag.dag_id }}"}
"""
TASKS = ("wait_for_sales", "add_up", "check_totals", "draw_rows")


def execute(connection: str, *statements: str) -> list[tuple[object, ...]]:
    """Run statements in a database and return the rows of the last one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW_CONN_TABLES", connection)
        engine = database_engine("tables")
    with engine.begin() as opened:
        results = [opened.exec_driver_sql(statement) for statement in statements]
        rows = [tuple(row) for row in results[-1]] if results[-1].returns_rows else []
    engine.dispose()
    return rows


def test_one_connection_serves_operators_and_draw_rows(
    tmp_path: Path, project: Project, example: Callable[[str], str]
) -> None:
    with ExitStack() as stack:
        servers = {
            kind: stack.enter_context(database(kind, tmp_path / kind)).connection
            for kind in ("postgres", "mysql")
        }
        servers["sqlite"] = f'{{"conn_type": "sqlite", "host": "{tmp_path}/shop.db"}}'
        project.add("totals.sql", page("docs/providers.md").of("sql")[0])
        for kind, connection in servers.items():
            text = (example("daily_totals") + DRAW_ROWS).replace("daily_totals", f"totals_in_{kind}")
            project.add(f"{kind}.yaml", text.replace(": shop", f": {kind}"))
            execute(connection, *TABLES)
        states = project.run(*(f"totals_in_{kind}" for kind in servers), **servers)
        for kind, connection in servers.items():
            assert states[f"totals_in_{kind}"] == dict.fromkeys(TASKS, "success"), project.output[-6000:]
            assert [amount for _, amount in execute(connection, "SELECT * FROM totals")] == [7]
