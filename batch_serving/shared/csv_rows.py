"""Rows to CSV, in the same way everywhere in this project: UTF-8, ``\\n``, empty for None."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import TextIO


def csv_bytes(columns: Sequence[str], rows: Iterable[Sequence[object]], *, encoding: str = "utf-8") -> bytes:
    """Return a CSV with a header line; each row has as many values as there are ``columns``."""
    buffer = io.StringIO()
    write_rows(buffer, [columns])
    write_rows(buffer, rows)
    return buffer.getvalue().encode(encoding)


def write_rows(file: TextIO, rows: Iterable[Sequence[object]]) -> None:
    """Write rows to a file that was opened with ``newline=""``."""
    plain = csv.writer(file, lineterminator="\n")
    # Before Python 3.13 a lone \r is not quoted, and would end a line when it is read.
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    for row in rows:
        writer = quoted if any(isinstance(value, str) and "\r" in value for value in row) else plain
        writer.writerow(row)
