"""Snapshots: the rows of a query as a CSV file to train on, which never changes once it is there."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from batch_serving.ml.values import is_missing, text_of
from batch_serving.prediction.row_source import CHUNK_ROWS, RowSource
from batch_serving.prediction.sql_rows import query
from batch_serving.shared.csv_rows import write_rows
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import ChangedError, locked, read_with_tag, write_if_unchanged
from batch_serving.shared.paths import output_path, safe_name
from batch_serving.shared.reading import read_whole

if TYPE_CHECKING:
    from upath import UPath


def snapshot_path(name: str, run_id: str) -> UPath:
    """Return the file of a run: ``output/snapshots/<name>/<run>.csv``."""
    check_snapshot_name(name)
    return output_path("snapshots", name, f"{safe_name(run_id)}.csv")


def check_snapshot_name(name: str) -> None:
    """Raise InvalidValueError for a text that cannot be the name of a folder."""
    if not name or safe_name(name) != name:
        raise InvalidValueError(f"name is {name!r}", "use letters, digits, '.', '_' and '-'")


def take(source: RowSource, path: UPath) -> bytes:
    """Return the snapshot at ``path``; take it if it is not there: all columns of a query, as CSV.

    Of two tries at the same time both return the file of the first. Values have the texts that training and
    prediction give them (``text_of``); a missing one is an empty cell. InvalidValueError without
    any row.
    """
    with locked(path.parent):
        data, tag = read_with_tag(path)
        if data is not None:
            return data
        data = _csv_of(source)
        try:
            write_if_unchanged(path, data, tag)
        except ChangedError:  # on object storage, where no lock keeps others out
            return read_whole(path)
    return data


def _csv_of(source: RowSource) -> bytes:
    """Return the rows of a query as CSV in UTF-8; it is as large as the file that training reads."""
    text, rows = io.StringIO(newline=""), 0
    with query(str(source.connection), str(source.sql), CHUNK_ROWS) as (names, parts):
        if source.row_id not in names:
            raise InvalidValueError(
                f"{source.name} has no column {source.row_id!r} for `row_id`", f"it has {', '.join(names)}"
            )
        write_rows(text, [names])
        for part in parts:
            rows += len(part)
            write_rows(text, [["" if is_missing(value) else text_of(value) for value in row] for row in part])
    if not rows:
        raise InvalidValueError(
            f"{source.name} gives no rows to train on", "fill the table, or correct `sql`"
        )
    return text.getvalue().encode()
