"""The two tables: interactions to learn from, and the collection of models. MariaDB, MySQL and PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batch_serving.shared.airflow import database_engine

if TYPE_CHECKING:
    import sqlalchemy as sa

INTERACTIONS, COLLECTION = "recommender_interactions", "recommender_model_collection"
FIGURES = (
    "recall_20",
    "ndcg_100",
    "ease_recall_20",
    "ease_ndcg_100",
    "popularity_recall_20",
    "popularity_ndcg_100",
)


@contextmanager
def connected(connection: str) -> Iterator[sa.Engine]:
    """Give an engine for the database of an Airflow connection, and close what it has opened."""
    engine = database_engine(connection)
    try:
        yield engine
    finally:
        engine.dispose()


def interactions_table() -> sa.Table:
    """Return the table of interactions: which user has which item."""
    import sqlalchemy as sa

    return sa.Table(
        INTERACTIONS,
        sa.MetaData(),
        sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("item_id", sa.Integer, primary_key=True, autoincrement=False),
    )


def collection_table() -> sa.Table:
    """Return the table of models: one record for each run. ``made_at`` is UTC, without an offset."""
    import sqlalchemy as sa
    from sqlalchemy.dialects.mysql import DATETIME

    time = sa.DateTime().with_variant(DATETIME(fsp=6), "mysql", "mariadb")  # MySQL's own has whole seconds
    return sa.Table(
        COLLECTION,
        sa.MetaData(),
        sa.Column("run_id", sa.String(250), primary_key=True),
        sa.Column("model", sa.String(250), nullable=False),
        sa.Column("score", sa.Double, nullable=False),
        sa.Column("file", sa.String(250), nullable=False),
        sa.Column("bucket", sa.String(1000), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("made_at", time, nullable=False),
        *(sa.Column(name, sa.Double, nullable=False) for name in FIGURES),
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",  # names that differ in case or accents are different
    )


def create_if_missing(table: sa.Table, engine: sa.Engine) -> None:
    """Create a table, unless it exists or another task creates it at the same moment."""
    import sqlalchemy as sa

    try:
        table.create(engine, checkfirst=True)
    except sa.exc.DBAPIError:
        if not sa.inspect(engine).has_table(table.name):
            raise


def fill_if_empty(make: Callable[[], Sequence[Sequence[int]]], engine: sa.Engine) -> int:
    """Write pairs of user and item into the table, and return how many; 0 if it has rows already.

    One transaction: a kill leaves an empty table. Of two tasks at the same time one writes, and the other one
    finds the rows of the first.
    """
    import sqlalchemy as sa

    table = interactions_table()
    create_if_missing(table, engine)
    if _has_rows(table, engine):
        return 0
    pairs = make()
    try:
        with engine.begin() as transaction:
            transaction.execute(
                sa.insert(table), [{"user_id": user, "item_id": item} for user, item in pairs]
            )
    except sa.exc.IntegrityError:
        if not _has_rows(table, engine):
            raise
        return 0
    return len(pairs)


def _has_rows(table: sa.Table, engine: sa.Engine) -> bool:
    import sqlalchemy as sa

    with engine.connect() as connection:
        return connection.execute(sa.select(table).limit(1)).first() is not None


@dataclass(frozen=True)
class Record:
    """A model of the collection. ``file`` is below ``bucket``, a folder or URL; ``made_at`` has an offset."""

    run_id: str
    model: str
    score: float
    file: str
    bucket: str
    sha256: str
    made_at: datetime
    figures: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return it as an XCom has it."""
        named = {
            name: getattr(self, name) for name in ("run_id", "model", "score", "file", "bucket", "sha256")
        }
        return {**named, "made_at": self.made_at.isoformat(), **self.figures}


def add(record: Record, engine: sa.Engine) -> Record:
    """Add a record to the collection and return it; if its run has one already, that is kept and returned."""
    import sqlalchemy as sa

    table = collection_table()
    create_if_missing(table, engine)
    values = {name: getattr(record, name) for name in table.columns.keys() if name not in record.figures}  # noqa: SIM118
    values["made_at"] = record.made_at.astimezone(UTC).replace(tzinfo=None)
    try:
        with engine.begin() as transaction:
            transaction.execute(sa.insert(table), {**values, **record.figures})
    except sa.exc.IntegrityError:
        found = [one for one in records(engine) if one.run_id == record.run_id]
        if not found:
            raise
        return found[0]
    return record


def records(engine: sa.Engine) -> list[Record]:
    """Return the collection, best first: by score, and of equal scores the newest first."""
    import sqlalchemy as sa

    table = collection_table()
    order = (table.c.score.desc(), table.c.made_at.desc(), table.c.file.desc())
    with engine.connect() as connection:
        return [
            _record(dict(row)) for row in connection.execute(sa.select(table).order_by(*order)).mappings()
        ]


def _record(row: dict[str, Any]) -> Record:
    figures = {name: row.pop(name) for name in FIGURES}
    made_at = row.pop("made_at").replace(tzinfo=UTC)
    return Record(**row, made_at=made_at, figures=figures)


def remove(superfluous: Sequence[Record], engine: sa.Engine) -> None:
    """Delete records from the collection, in one transaction."""
    import sqlalchemy as sa

    table = collection_table()
    with engine.begin() as transaction:
        for record in superfluous:
            transaction.execute(sa.delete(table).where(table.c.run_id == record.run_id))
