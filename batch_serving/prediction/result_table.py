"""Predictions in a database table: each row id once, with what the newest run has predicted for it.

For PostgreSQL, MySQL, MariaDB and SQLite.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batch_serving.prediction.run_files import COLUMNS
from batch_serving.shared.errors import InvalidValueError

if TYPE_CHECKING:
    import sqlalchemy as sa

KEY = "row_id"
AGE = ("run_after", "run_id")  # the row with the greater values is newer, the first one counts most
TIMES = ("run_after", "scored_at")
BATCH_ROWS = 1_000  # of one statement
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")  # 63 characters in PostgreSQL, 64 in MySQL


def check_table_name(name: str) -> None:
    """Raise InvalidValueError for a text that is not the name of a table in each kind of database."""
    if not NAME.fullmatch(name):
        raise InvalidValueError(f"table is {name!r}", "use at most 63 letters, digits and '_'")


def upsert_predictions(rows: Iterable[list[str]], name: str, engine: sa.Engine) -> int:
    """Write rows of a run's file into the table ``name``, in one transaction; return how many.

    Creates the table if it does not exist: ``row_id`` is its primary key, times are UTC without an offset. A
    row that an older run has predicted never replaces that of a newer one, in whatever order they come.
    Memory does not grow with the rows. InvalidValueError for a table that is there and cannot take them.
    """
    table = result_table(name)
    statement = _upsert_statement(engine.dialect.name, table)
    _create_if_missing(table, engine)
    _check_form(table, engine)
    values, written = map(_values_of, rows), 0
    with engine.begin() as transaction:
        while batch := list(itertools.islice(values, BATCH_ROWS)):
            transaction.execute(statement, batch)
            written += len(batch)
    return written


def result_table(name: str) -> sa.Table:
    """Return the table, with the columns of the files of predictions."""
    import sqlalchemy as sa
    from sqlalchemy.dialects.mysql import DATETIME

    check_table_name(name)
    time = sa.DateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")  # MySQL's own has whole seconds
    types: dict[str, Any] = {
        **dict.fromkeys(TIMES, time),
        "probability": sa.Double(),
        "prediction": sa.Text(),
    }
    return sa.Table(
        name,
        sa.MetaData(),
        *(
            sa.Column(
                column,
                types.get(column, sa.String(250)),
                primary_key=column == KEY,
                nullable=column == "probability",
            )
            for column in COLUMNS
        ),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",  # ids that differ in case or accents are different
    )


def _values_of(row: list[str]) -> dict[str, Any]:
    values: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
    for name in TIMES:
        values[name] = datetime.fromisoformat(values[name]).astimezone(UTC).replace(tzinfo=None)
    values["probability"] = float(values["probability"]) if values["probability"] else None
    return values


def _create_if_missing(table: sa.Table, engine: sa.Engine) -> None:
    """Create the table, unless it exists or another run creates it at the same moment."""
    import sqlalchemy as sa

    try:
        table.create(engine, checkfirst=True)
    except sa.exc.DBAPIError:
        if not sa.inspect(engine).has_table(table.name):
            raise


def _check_form(table: sa.Table, engine: sa.Engine) -> None:
    """Refuse a table of another form: without the key, MySQL would write an id twice."""
    import sqlalchemy as sa

    found = sa.inspect(engine)
    there = [column["name"] for column in found.get_columns(table.name)]
    if missing := [name for name in COLUMNS if name not in there]:
        raise InvalidValueError(
            f"the table {table.name!r} has no column {', '.join(missing)}; it has {', '.join(there)}",
            "name another `table`; one that does not exist is created",
        )
    if found.get_pk_constraint(table.name)["constrained_columns"] != [KEY]:
        raise InvalidValueError(
            f"the primary key of the table {table.name!r} is not {KEY}, so that an id could be in it twice",
            f"make {KEY} its primary key, or name another `table`",
        )


def _upsert_statement(dialect: str, table: sa.Table) -> Any:
    """Return the statement that inserts a row, or replaces the one with the same id if that is not newer."""
    import sqlalchemy as sa
    from sqlalchemy.dialects import mysql, postgresql, sqlite

    names = [name for name in COLUMNS if name != KEY]

    def is_newer(new: Any) -> Any:
        old_age, new_age = (sa.tuple_(*(row[name] for name in AGE)) for row in (table.c, new))
        return old_age <= new_age

    if dialect in ("mysql", "mariadb"):
        insert = mysql.insert(table)
        # MySQL sets columns one after the other, and the condition sees those that are already set. With the
        # columns of the age last, and the one that counts most at the very end, its result stays the same.
        ordered = sorted(names, key=lambda name: -AGE.index(name) if name in AGE else -len(AGE))
        return insert.on_duplicate_key_update(
            [
                (name, sa.func.if_(is_newer(insert.inserted), insert.inserted[name], table.c[name]))
                for name in ordered
            ]
        )
    if dialect not in ("postgresql", "sqlite"):
        raise ValueError(f"a {dialect} database is not supported; use PostgreSQL, MySQL, MariaDB or SQLite")
    new: Any = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return new.on_conflict_do_update(
        index_elements=[KEY],
        set_={name: new.excluded[name] for name in names},
        where=is_newer(new.excluded),
    )
