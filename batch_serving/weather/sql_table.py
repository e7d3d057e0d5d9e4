"""The weather's rows in a SQL table, beside the CSVs: the newest forecast of each district and hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

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


def upsert(rows: Sequence[WeatherRow], engine: sa.Engine) -> None:
    """Write rows into the table ``weather`` of a database, in one transaction.

    Creates the table if it does not exist. An older row never replaces a newer one, in whatever order they
    come and however many writers there are. Times are stored as Korean time without an offset. Works with
    PostgreSQL, MySQL, MariaDB and SQLite; ValueError for any other database.
    """
    table = weather_table()
    statement = _statement(engine.dialect.name, table)
    _create_if_missing(table, engine)
    # Always in the same order, so that two writers cannot wait for each other in a circle.
    ordered = sorted(rows, key=lambda row: (row.code, row.forecast_at))
    with engine.begin() as transaction:
        transaction.execute(statement, [_values_of(row) for row in ordered])


def weather_table() -> sa.Table:
    """Return the table, with the columns of the CSVs."""
    import sqlalchemy as sa

    table_columns = [
        sa.Column(name, _type_of(column), primary_key=name in KEY, autoincrement=False)
        for name, column in columns().items()
    ]
    return sa.Table(TABLE, sa.MetaData(), *table_columns, mysql_charset="utf8mb4")


def _type_of(column: Column) -> sa.types.TypeEngine[Any]:
    import sqlalchemy as sa

    if column.type is ColumnType.TIME:
        return sa.DateTime()
    if column.type is ColumnType.NUMBER:
        return sa.Double()
    if column.type is ColumnType.WHOLE_NUMBER:
        return sa.Integer()
    return sa.Unicode(CODE_LENGTH if column.name == "code" else TEXT_LENGTH)


def _create_if_missing(table: sa.Table, engine: sa.Engine) -> None:
    """Create the table, unless it exists or another writer creates it at the same moment."""
    import sqlalchemy as sa

    if sa.inspect(engine).has_table(table.name):
        return
    try:
        with engine.begin() as transaction:
            transaction.execute(sa.schema.CreateTable(table))
    except sa.exc.DBAPIError:
        if not sa.inspect(engine).has_table(table.name):
            raise


def _values_of(row: WeatherRow) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for text, (name, column) in zip(row, columns().items(), strict=True):
        if column.type is ColumnType.TIME:
            values[name] = datetime.fromisoformat(text).astimezone(KST).replace(tzinfo=None)
        else:
            values[name] = column.parse(text)
    return values


def _statement(dialect: str, table: sa.Table) -> Any:
    """Return the statement that inserts a row, or replaces the row with the same key if it is not newer."""
    if dialect == "mysql":
        return _mysql_statement(table)
    from sqlalchemy.dialects import postgresql, sqlite

    if dialect not in ("postgresql", "sqlite"):
        raise ValueError(f"a {dialect} database is not supported; use PostgreSQL, MySQL, MariaDB or SQLite")
    new: Any = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return new.on_conflict_do_update(
        index_elements=list(KEY),
        set_={column.name: new.excluded[column.name] for column in table.columns if column.name not in KEY},
        where=_age(table.c) <= _age(new.excluded),
    )


def _mysql_statement(table: sa.Table) -> Any:
    import sqlalchemy as sa
    from sqlalchemy.dialects.mysql import insert

    new = insert(table)
    is_newer = _age(table.c) <= _age(new.inserted)
    # MySQL sets columns one after the other, and `is_newer` sees those that are already set. With the columns
    # of the age last, and the most significant one at the very end, its result stays the same.
    age = ["source", *AGE]
    others = [column.name for column in table.columns if column.name not in (*KEY, *age)]
    return new.on_duplicate_key_update(
        [
            (name, sa.func.if_(is_newer, new.inserted[name], table.c[name]))
            for name in [*others, *reversed(age)]
        ]
    )


def _age(row: Any) -> sa.Tuple:
    """Return what decides which of two rows is newer, as in the CSVs: sample weather is the oldest.

    Without parameters: PyMySQL does not fill those after the values of many rows.
    """
    import sqlalchemy as sa

    is_sample = row["source"] == sa.literal_column("'sample'")
    rank = sa.case((is_sample, sa.literal_column("0")), else_=sa.literal_column("1"))
    return sa.tuple_(rank, *(row[name] for name in AGE))
