"""The two tables of a sample: rows whose answer is known, and new ones. MariaDB, MySQL and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import sqlalchemy as sa

    from examples.predict_from_sql.samples import Sample

ADDED_BY = "added_by"  # the run, so that its second try finds its rows


def history_table(sample: Sample) -> sa.Table:
    """Return the table to learn from: an id, the features and the answer."""
    import sqlalchemy as sa

    return _table(sample.history, *sample.features(), sa.Column(sample.answer, sa.String(50)))


def new_table(sample: Sample) -> sa.Table:
    """Return the table to predict: an id, the features, and the run that has added the row."""
    import sqlalchemy as sa

    return _table(sample.new, *sample.features(), sa.Column(ADDED_BY, sa.String(250)))


def _table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    import sqlalchemy as sa

    key = sa.Column("id", sa.Integer, primary_key=True, autoincrement=False)
    return sa.Table(name, sa.MetaData(), key, *columns, mysql_charset="utf8mb4", mysql_collate="utf8mb4_bin")


def fill_history(sample: Sample, engine: sa.Engine) -> int:
    """Fill the table to learn from, if it is empty, and return how many rows are new.

    One transaction: a kill leaves an empty table. Of two tasks at the same time one writes, and the other one
    finds its ids taken, fails, and finds the rows when it is tried again.
    """
    import sqlalchemy as sa

    table = history_table(sample)
    table.create(engine, checkfirst=True)
    with engine.connect() as connection:
        if connection.execute(sa.select(table.c.id).limit(1)).first():
            return 0
    ids = range(1, sample.history_rows + 1)
    rows = [{**sample.row(number), "id": number} for number in ids]
    sample.prepare(ids)
    with engine.begin() as transaction:
        transaction.execute(sa.insert(table), rows)
    return len(rows)


def add_rows(sample: Sample, count: int, run_id: str, engine: sa.Engine) -> Sequence[int]:
    """Add so many rows to the new ones, after the greatest id that there is, and return the run's ids.

    A run that has rows already gets no more. One transaction; of two tasks at the same time one finds its ids
    taken and fails: tried again, it takes the next ones.
    """
    import sqlalchemy as sa

    table = new_table(sample)
    table.create(engine, checkfirst=True)
    with engine.begin() as transaction:
        known = transaction.execute(sa.select(table.c.id).where(table.c[ADDED_BY] == run_id)).scalars().all()
        if known or not count:
            return known
        last = transaction.execute(sa.select(sa.func.max(table.c.id))).scalar() or sample.history_rows
        ids = range(last + 1, last + count + 1)
        rows = [{**sample.row(number), "id": number, ADDED_BY: run_id} for number in ids]
        for row in rows:
            del row[sample.answer]
        sample.prepare(ids)  # before anyone can see the rows
        transaction.execute(sa.insert(table), rows)
    return ids
