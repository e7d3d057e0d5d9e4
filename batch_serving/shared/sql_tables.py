"""Tables that are written so that a second try leaves the rows of one: created once, replaced, or upserted.

For PostgreSQL, MySQL, MariaDB and SQLite.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa

Row = dict[str, Any]
DIALECTS = ("mysql", "mariadb", "postgresql", "sqlite")
INSERT_ROWS = 1_000  # rows of one statement's parameters


@dataclass(frozen=True)
class Age:
    """What decides which of two rows with the same key is newer: ``columns``, the most significant first.

    ``order`` makes of a row's columns, by name, the value that is compared; without it, it is that of the
    columns in their order. None of them may be NULL.
    """

    columns: tuple[str, ...]
    order: Callable[[Any], Any] | None = None

    def of(self, row: Any) -> Any:
        """Return the age of a row as SQL, without parameters: PyMySQL fills none after many rows' values."""
        import sqlalchemy as sa

        return self.order(row) if self.order else sa.tuple_(*(row[name] for name in self.columns))


def create_if_missing(table: sa.Table, engine: sa.Engine) -> None:
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


def replace_rows(rows_of: Mapping[sa.Table, Sequence[Row]], engine: sa.Engine) -> None:
    """Put these rows in the place of all rows of these tables, which are created if need be.

    In one transaction: readers see all of the old rows or all of the new ones.
    """
    for table in rows_of:
        create_if_missing(table, engine)
    with engine.begin() as transaction:
        for table, rows in rows_of.items():
            transaction.execute(table.delete())
            for start in range(0, len(rows), INSERT_ROWS):
                transaction.execute(table.insert(), list(rows[start : start + INSERT_ROWS]))


def upsert(table: sa.Table, rows: Sequence[Row], engine: sa.Engine, age: Age) -> None:
    """Write rows, in one transaction: each key once, with the newest row that was ever written for it.

    The key is the table's primary key. The table is created if need be. A row that is older by ``age`` never
    replaces a newer one, in whatever order they come and however many writers there are; one of the same age
    does. ValueError for a kind of database that is not supported.
    """
    statement = _upsert_statement(engine.dialect.name, table, age)
    create_if_missing(table, engine)
    if not rows:
        return
    # Always in the same order, so that two writers cannot wait for each other in a circle.
    ordered = sorted(rows, key=lambda row: tuple(row[column.name] for column in table.primary_key))
    with engine.begin() as transaction:
        for start in range(0, len(ordered), INSERT_ROWS):
            transaction.execute(statement, ordered[start : start + INSERT_ROWS])


def _upsert_statement(dialect: str, table: sa.Table, age: Age) -> Any:
    """Return the statement that inserts a row, or replaces the row with the same key if it is not newer."""
    if dialect in ("mysql", "mariadb"):
        return _mysql_statement(table, age)
    from sqlalchemy.dialects import postgresql, sqlite

    if dialect not in DIALECTS:
        raise ValueError(f"a {dialect} database is not supported; use PostgreSQL, MySQL, MariaDB or SQLite")
    new: Any = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    return new.on_conflict_do_update(
        index_elements=[column.name for column in table.primary_key],
        set_={column.name: new.excluded[column.name] for column in table.columns if not column.primary_key},
        where=age.of(table.c) <= age.of(new.excluded),
    )


def _mysql_statement(table: sa.Table, age: Age) -> Any:
    import sqlalchemy as sa
    from sqlalchemy.dialects.mysql import insert

    new = insert(table)
    is_newer = age.of(table.c) <= age.of(new.inserted)
    # MySQL sets columns one after the other, and `is_newer` sees those that are already set. With the columns
    # of the age last, and the most significant one at the very end, its result stays the same.
    names = [column.name for column in table.columns if not column.primary_key]
    others = [name for name in names if name not in age.columns]
    return new.on_duplicate_key_update(
        [
            (name, sa.func.if_(is_newer, new.inserted[name], table.c[name]))
            for name in [*others, *reversed(age.columns)]
        ]
    )
