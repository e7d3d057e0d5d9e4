"""The weather's rows in a SQL table, beside the CSVs: the newest forecast of each district and hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from batch_serving.shared import sql_tables
from batch_serving.shared.sql_tables import Age
from batch_serving.weather.columns import Column, ColumnType, columns
from batch_serving.weather.kma_bases import KST
from batch_serving.weather.rows import WeatherRow

if TYPE_CHECKING:
    import sqlalchemy as sa

TABLE = "weather"
KEY = ("code", "forecast_at")
AGE = ("base_at", "collected_at", "run_id")  # the row with the greater values is newer
CODE_LENGTH = 10
TEXT_LENGTH = 250


def upsert(rows: Sequence[WeatherRow], engine: sa.Engine, table: str = TABLE) -> None:
    """Write rows into a table of a database, ``weather`` if no other is named, in one transaction.

    Creates the table if it does not exist. An older row never replaces a newer one, in whatever order they
    come and however many writers there are. Times are stored as Korean time without an offset. Works with
    PostgreSQL, MySQL, MariaDB and SQLite; ValueError for any other database.
    """
    age = Age(("source", *AGE), _age)
    sql_tables.upsert(weather_table(table), [_values_of(row) for row in rows], engine, age)


def codes_with(hour: datetime, source: str, engine: sa.Engine, table: str = TABLE) -> set[str]:
    """Return the codes of the districts whose row for an hour is from this source; none without the table."""
    import sqlalchemy as sa

    if not sa.inspect(engine).has_table(table):
        return set()
    columns_of = weather_table(table).c
    query = sa.select(columns_of.code).where(
        columns_of.forecast_at == hour.astimezone(KST).replace(tzinfo=None), columns_of.source == source
    )
    with engine.connect() as connection:
        return set(connection.scalars(query))


def weather_table(name: str = TABLE) -> sa.Table:
    """Return the table, with the columns of the CSVs."""
    import sqlalchemy as sa

    table_columns = [
        sa.Column(name, _type_of(column), primary_key=name in KEY, autoincrement=False)
        for name, column in columns().items()
    ]
    return sa.Table(name, sa.MetaData(), *table_columns, mysql_charset="utf8mb4")


def _type_of(column: Column) -> sa.types.TypeEngine[Any]:
    import sqlalchemy as sa

    if column.type is ColumnType.TIME:
        return sa.DateTime()
    if column.type is ColumnType.NUMBER:
        return sa.Double()
    if column.type is ColumnType.WHOLE_NUMBER:
        return sa.Integer()
    return sa.Unicode(CODE_LENGTH if column.name == "code" else TEXT_LENGTH)


def _values_of(row: WeatherRow) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text, (name, column) in zip(row, columns().items(), strict=True):
        if column.type is ColumnType.TIME:
            values[name] = datetime.fromisoformat(text).astimezone(KST).replace(tzinfo=None)
        else:
            values[name] = column.parse(text)
    return values


def _age(row: Any) -> sa.Tuple:
    """Return what decides which of two rows is newer, as in the CSVs: sample weather is the oldest.

    Without parameters: PyMySQL does not fill those after the values of many rows.
    """
    import sqlalchemy as sa

    is_sample = row["source"] == sa.literal_column("'sample'")
    rank = sa.case((is_sample, sa.literal_column("0")), else_=sa.literal_column("1"))
    return sa.tuple_(rank, *(row[name] for name in AGE))
