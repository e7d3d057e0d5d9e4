"""The rows of a SQL query, as the database stores them, without reading more of them than are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from batch_serving.shared.airflow import database_engine

if TYPE_CHECKING:
    import sqlalchemy

Rows = list[tuple[Any, ...]]
Converter = Callable[[Any], Any]

MYSQL_BIT = 16  # the type's number in the protocol: FIELD_TYPE.BIT
POSTGRES_CHAR = 1042  # pg_type.oid of bpchar, which pads with spaces that count for nothing


@contextmanager
def query(connection_id: str, sql: str, rows: int) -> Iterator[tuple[list[str], Iterator[Rows]]]:
    """Run ``sql`` exactly as written; yield the names of the columns, and the rows in lists of ``rows``.

    The database keeps the result (a server-side cursor), so that memory does not grow with it, and a caller
    that stops early does not wait for the rest.
    """
    engine = database_engine(connection_id)
    try:
        with engine.connect() as connection:
            _keep_unusual_times(connection)
            # Without parameters nothing in the text is one: neither :name nor % has a meaning.
            running = connection.execution_options(yield_per=rows, no_parameters=True)
            result = running.exec_driver_sql(sql)
            names = list(result.keys())
            converters = _converters(connection.dialect.name, result)
            try:
                yield names, _converted(result.partitions(rows), converters)
            except BaseException:
                _abandon(connection, result)
                raise
    finally:
        engine.dispose()


def _converted(parts: Iterator[Any], converters: list[tuple[int, Converter]]) -> Iterator[Rows]:
    for part in parts:
        if not converters:
            yield [tuple(row) for row in part]
            continue
        changed = []
        for row in part:
            values = list(row)
            for place, convert in converters:
                if values[place] is not None:
                    values[place] = convert(values[place])
            changed.append(tuple(values))
        yield changed


def _converters(dialect: str, result: Any) -> list[tuple[int, Converter]]:
    """Return how columns are converted whose values a driver gives in the form of their storage."""
    types = [column[1] for column in result.cursor.description]
    if dialect == "mysql":
        return [(place, _bits) for place, kind in enumerate(types) if kind == MYSQL_BIT]
    if dialect == "postgresql":
        return [(place, _without_padding) for place, kind in enumerate(types) if kind == POSTGRES_CHAR]
    return []


def _bits(value: Any) -> Any:
    return int.from_bytes(value, "big") if isinstance(value, bytes) else value


def _without_padding(value: str) -> str:
    return value.rstrip(" ")


def _keep_unusual_times(connection: sqlalchemy.Connection) -> None:
    """Make psycopg give times that Python cannot have, such as ``infinity``, as the texts that they are.

    It would refuse the whole row, also if no one asks for that column.
    """
    if connection.dialect.name != "postgresql":
        return
    from psycopg import DataError
    from psycopg.types import datetime as times

    adapters = connection.connection.dbapi_connection.adapters  # type: ignore[union-attr]
    for name in ("date", "timestamp", "timestamptz", "interval"):
        loader = {
            "date": times.DateLoader,
            "timestamp": times.TimestampLoader,
            "timestamptz": times.TimestamptzLoader,
            "interval": times.IntervalLoader,
        }[name]

        class Lenient(loader):  # type: ignore[misc, valid-type]
            def load(self, data: Any) -> Any:
                try:
                    return super().load(data)
                except (DataError, OverflowError):
                    return bytes(data).decode()

        adapters.register_loader(name, Lenient)


def _abandon(connection: sqlalchemy.Connection, result: Any) -> None:
    """Close a connection in the middle of a result: MySQL's driver would first read the rest of it."""
    unread = getattr(result.cursor, "_result", None)
    if unread is not None and hasattr(unread, "unbuffered_active"):
        unread.unbuffered_active = False
    connection.invalidate()
