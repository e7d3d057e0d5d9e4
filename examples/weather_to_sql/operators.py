"""The operator that collects forecasts and writes them into a table, in one task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.sdk import BaseOperator

from batch_serving.shared.airflow import database_engine, fail, find_connection
from batch_serving.weather import sql_table
from batch_serving.weather.collector import AnswersInMemory, Collection, Collector
from batch_serving.weather.districts import cells_of, read_districts
from batch_serving.weather.kma_errors import KmaError
from batch_serving.weather.rows import read_rows
from batch_serving.weather.runs import Run
from batch_serving.weather.sources import find_source


class WeatherToSqlOperator(BaseOperator):
    """Requests the forecast of the next hour for districts, and upserts a row of each into a table.

    What ``callables.weather`` does in two tasks with files between them, for those who need the table alone.
    """

    template_fields: Sequence[str] = ("districts", "conn_id", "table", "kma_conn_id")

    def __init__(
        self,
        *,
        conn_id: str,
        table: str,
        districts: str = "data/seoul_districts.csv",
        kma_conn_id: str = "kma_api",
        without_connection: str = "sample",
        seconds_between_calls: float = 0.2,
        **arguments: Any,
    ) -> None:
        """``conn_id`` names the database, and ``table`` its table, which is created if need be.

        ``districts`` is a CSV as ``data/seoul_districts.csv``. The other arguments are those of
        ``callables.weather.collect``; ``kma_conn_id`` is called ``connection`` there.
        """
        super().__init__(**arguments)
        self.conn_id = conn_id
        self.table = table
        self.districts = districts
        self.kma_conn_id = kma_conn_id
        self.without_connection = without_connection
        self.seconds_between_calls = seconds_between_calls

    def execute(self, context: Any) -> dict[str, Any]:
        """Collect what the table lacks for the run's hour, and return how many rows it has then.

        A retry, and a run that is cleared, requests only the districts without a row. What arrived is written
        even if other cells failed; then the task fails, and a retry asks for those.
        """
        instance, dag_run = context["ti"], context["dag_run"]
        run = Run(dag_run.run_id, dag_run.run_after.isoformat(), self.districts)
        engine = database_engine(self.conn_id)
        try:
            wanted = read_districts(self.districts)
            source = find_source(
                find_connection(self.kma_conn_id),
                conn_id=self.kma_conn_id,
                without_connection=self.without_connection,
                now=instance.start_date,
                pause_s=self.seconds_between_calls,
            )
            there = sql_table.codes_with(run.hour, source.name, engine, self.table)
            lacking = [district for district in wanted if district.code not in there]
            answers = AnswersInMemory()
            try:
                failures = Collector(source, instance.start_date, answers).collect(run, cells_of(lacking))
            finally:  # a wrong key ends the collection: what came before is written
                batch = read_rows(answers.by_cell.values(), lacking)
                sql_table.upsert(batch.rows, engine, self.table)
        except (ValueError, KmaError) as error:
            fail(str(error))  # a retry cannot help
        finally:
            engine.dispose()
        for row in batch.missing:
            self.log.warning("%s has no forecast for this hour: %s", row.district_en, row.reason)
        for rejected in batch.quarantine:
            self.log.warning("%s: %s is left out: %s", rejected.district_en, rejected.column, rejected.reason)
        if failures:
            raise RuntimeError(Collection(lacking, failures).message(self.districts))  # Airflow retries
        self.log.info("%d rows for %s are in %s", len(there) + len(batch.rows), run.hour, self.table)
        return {
            "hour": run.hour.isoformat(),
            "source": source.name,
            "written": len(batch.rows),
            "were_there": len(there),
            "missing": len(batch.missing),
        }
