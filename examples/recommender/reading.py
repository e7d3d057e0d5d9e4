"""Interactions from a SQL query, checked as they come."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from batch_serving.prediction.sql_rows import Rows, query
from batch_serving.shared.errors import InvalidValueError
from examples.recommender.splitting import Ids, Interactions

COLUMNS = ["user_id", "item_id"]
ROWS = 20_000  # that are read at once
LARGEST = 2**63 - 1


def read_interactions(connection: str, sql: str) -> Interactions:
    """Return the pairs of a query; InvalidValueError if it fails, or gives anything but pairs of ids."""
    from sqlalchemy.exc import DBAPIError

    try:
        with query(connection, sql, ROWS) as (names, parts):
            if [name.lower() for name in names] != COLUMNS:
                raise InvalidValueError(
                    f"the query gives the columns {', '.join(names)}",
                    "select user_id and item_id, in this order",
                )
            blocks = list(_blocks(parts))
    except DBAPIError as error:
        raise InvalidValueError(
            f"the query through {connection!r} fails: {error.orig}",
            "correct the SQL, or fill the table first",
        ) from error
    if not blocks:
        raise InvalidValueError("the query gives no rows", "fill the table of interactions first")
    pairs = np.concatenate(blocks)
    return Interactions.of(pairs[:, 0], pairs[:, 1])


def _blocks(parts: Iterator[Rows]) -> Iterator[Ids]:
    before = 0
    for rows in parts:
        for number, row in enumerate(rows, start=before + 1):
            for name, value in zip(COLUMNS, row, strict=True):
                if type(value) is not int or abs(value) > LARGEST:
                    raise InvalidValueError(
                        f"row {number} of the query: {name} is {value!r}, not a whole number of 64 bits",
                        "number the ids in the query, or leave such rows out",
                    )
        before += len(rows)
        yield np.array(rows, dtype=np.int64).reshape(-1, 2)
