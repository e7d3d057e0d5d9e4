"""Rows to CSV and back, in the same way everywhere in this project: UTF-8, ``\\n``, empty for None."""

from __future__ import annotations

import contextlib
import csv
import io
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TextIO

from batch_serving.shared.files import read_with_tag
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    from upath import UPath

log = logging.getLogger(__name__)


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


def sound_rows(
    path: UPath, columns: Sequence[str], is_sound: Callable[[dict[str, str]], bool] = lambda _row: True
) -> tuple[list[dict[str, str]], str]:
    """Return the rows of a CSV with these columns that can be read, and the file's tag.

    No rows of a file that is not there. What is corrupt is left out, with a warning: one damaged row costs no
    other. Memory grows with the file.
    """
    data, tag = read_with_tag(path)
    if data is None:
        return [], tag
    lines: list[list[str]] = []
    is_whole = False
    with contextlib.suppress(csv.Error):  # what follows it cannot be read
        lines.extend(csv.reader(io.StringIO(data.decode("utf-8", "replace"), newline="")))
        is_whole = lines[:1] == [list(columns)]
    rows = lines[1:] if lines[:1] == [list(columns)] else []
    named = [dict(zip(columns, row, strict=True)) for row in rows if len(row) == len(columns)]
    sound = [row for row in named if is_sound(row)]
    if not is_whole or len(sound) < len(rows):
        log.warning("%s is corrupt: %s of it can be read", path, counted(len(sound), "row"))
    return sound, tag
