"""The rows of the weather in a SQL table, beside the CSVs: the newest forecast of each district and hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from callables import _kma
from callables._airflow import database_engine
from callables._weather_rows import Row, columns, schema, typed

if TYPE_CHECKING:
    import sqlalchemy

TABLE = "weather"
KEY = ("code", "forecast_at")
AGE = ("base_at", "collected_at", "run_id")  # of two rows the one that is greater in these is the newer


def upsert(rows: Sequence[Row], connection: str, table: str = TABLE) -> None:
    """Write rows of the CSV into ``table`` of the database that an Airflow connection names, in one go.

    Makes the table if it is not there. An older row never replaces a newer one, in whatever order, how often
    or by how many at once they come. Times are stored as Korean time without an offset. For PostgreSQL, MySQL
    and MariaDB, and SQLite; ValueError for any other database.
    """
    engine = database_engine(connection)
    try:
        target = _table(table)
        _make(target, engine)
        # In one order always, so that two writers wait for each other and never in a circle.
        values = [_values(row) for row in sorted(rows, key=lambda row: [row[name] for name in KEY])]
        with engine.begin() as transaction:
            transaction.execute(_statement(engine.dialect.name, target), values)
    finally:
        engine.dispose()


def _make(table: sqlalchemy.Table, engine: sqlalchemy.Engine) -> None:
    """Make the table unless it is there, or another writer makes it at the same moment."""
    import sqlalchemy as sa

    if sa.inspect(engine).has_table(table.name):
        return
    try:
        with engine.begin() as transaction:
            transaction.execute(sa.schema.CreateTable(table))
    except sa.exc.DBAPIError:
        if not sa.inspect(engine).has_table(table.name):
            raise


def _table(name: str) -> sqlalchemy.Table:
    import sqlalchemy as sa

    def kind_of(column: str) -> Any:
        kind = schema()[column]
        if kind.get("format") == "date-time":
            return sa.DateTime()
        if "number" in kind.get("type", ()):
            return sa.Double()
        if kind.get("type") == "integer" or any(isinstance(value, int) for value in kind.get("enum", ())):
            return sa.Integer()
        return sa.Unicode(10 if column == "code" else 250)

    return sa.Table(
        name,
        sa.MetaData(),
        *(
            sa.Column(column, kind_of(column), primary_key=column in KEY, autoincrement=False)
            for column in columns()
        ),
        mysql_charset="utf8mb4",
    )


def _values(row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {name: typed(name, row.get(name, "")) for name in columns()}
    for name, kind in schema().items():
        if kind.get("format") == "date-time":
            found[name] = datetime.fromisoformat(row[name]).astimezone(_kma.KST).replace(tzinfo=None)
    return found


def _statement(dialect: str, table: sqlalchemy.Table) -> Any:
    """Return the statement that inserts a row, or replaces the one of its key if that is not newer."""
    from sqlalchemy.dialects import postgresql, sqlite

    others = [column.name for column in table.columns if column.name not in KEY]
    if dialect == "mysql":
        return _mysql(table, others)
    if dialect not in ("postgresql", "sqlite"):
        raise ValueError(f"a {dialect} database is not supported; use PostgreSQL, MySQL, MariaDB or SQLite")
    new: Any = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return new.on_conflict_do_update(
        index_elements=list(KEY),
        set_={name: new.excluded[name] for name in others},
        where=_age(table.c) <= _age(new.excluded),
    )


def _mysql(table: sqlalchemy.Table, others: list[str]) -> Any:
    import sqlalchemy as sa
    from sqlalchemy.dialects.mysql import insert

    new = insert(table)
    newer = _age(table.c) <= _age(new.inserted)
    # MySQL sets columns one after the other, and compares with those that are set already. From the least
    # telling to the most, the comparison says the same all the way.
    ordered = [*(name for name in others if name not in ("source", *AGE)), *reversed(("source", *AGE))]
    return new.on_duplicate_key_update(
        [(name, sa.func.if_(newer, new.inserted[name], table.c[name])) for name in ordered]
    )


def _age(row: Any) -> Any:
    """Return what tells which of two rows is the newer, as in the CSVs: a made-up one is older than any.

    Without parameters: PyMySQL puts none into what follows the values of many rows.
    """
    import sqlalchemy as sa

    def plain(text: str) -> sa.ColumnElement[Any]:
        return sa.literal_column(text)

    made_up = sa.case((row["source"] == plain("'sample'"), plain("0")), else_=plain("1"))
    return sa.tuple_(made_up, *(row[name] for name in AGE))
