"""One table with all column types in each source: a CSV, SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from batch_serving.shared.airflow import database_engine


@dataclass(frozen=True)
class Column:
    """A column's type in each database."""

    name: str
    postgres: str
    mysql: str
    sqlite: str = "TEXT"

    def type_in(self, dialect: str) -> str:
        """Return the type's name in a dialect of SQLAlchemy."""
        return {"postgresql": self.postgres, "mysql": self.mysql, "sqlite": self.sqlite}[dialect]


COLUMNS = (
    Column("place", "INT", "INT", "INT"),
    Column("small", "SMALLINT", "SMALLINT", "INT"),
    Column("big", "BIGINT", "BIGINT", "INT"),
    Column("amount", "NUMERIC(12,3)", "DECIMAL(12,3)"),
    Column("measure", "DOUBLE PRECISION", "DOUBLE", "REAL"),
    Column("flag", "BOOLEAN", "BOOLEAN", "INT"),
    Column("kind", "VARCHAR(40)", "VARCHAR(40) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
    Column("code", "CHAR(6)", "CHAR(6) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
    Column("seen_at", "TIMESTAMP(6)", "DATETIME(6)"),
    Column("day", "DATE", "DATE"),
    Column("clock", "TIME(0)", "TIME(0)"),
)
IDS = {
    "BIGINT": Column("id", "BIGINT", "BIGINT", "INT"),
    "NUMERIC": Column("id", "NUMERIC(30)", "DECIMAL(30)"),
    "TEXT": Column("id", "VARCHAR(60)", "VARCHAR(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"),
    "TIME": Column("id", "TIMESTAMP(6)", "DATETIME(6)"),
    "UUID": Column("id", "UUID", "CHAR(36)"),
}


def cell(value: Any) -> str:
    """A value in a CSV: as PostgreSQL's and MySQL's own clients print it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, timedelta):
        raise TypeError("write times of a day as time")
    return value.isoformat() if isinstance(value, date | time) else str(value)


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write rows to a CSV."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([cell(value) for value in row] for row in rows)


def fill(conn_id: str, table: str, columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> None:
    """Make a table, and put rows into it."""
    engine = database_engine(conn_id)
    dialect = engine.dialect.name
    types = ", ".join(f"{column.name} {column.type_in(dialect)}" for column in columns)
    names = [column.name for column in columns]
    insert = sa.text(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
    )
    plain = dialect == "sqlite"
    with engine.begin() as connection:
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {table}")
        connection.exec_driver_sql(f"CREATE TABLE {table} ({types})")
        if rows:
            values = [[_plain(value) if plain else value for value in row] for row in rows]
            connection.execute(insert, [dict(zip(names, row, strict=True)) for row in values])
    engine.dispose()


def _plain(value: Any) -> Any:
    """SQLite has no decimals and no times: it keeps their texts."""
    return cell(value) if isinstance(value, Decimal | date | time) else value


def sqlite_connection(folder: Path) -> str:
    """The value of a connection to a SQLite file."""
    return json.dumps({"conn_type": "sqlite", "host": f"{folder}/rows.db"})
