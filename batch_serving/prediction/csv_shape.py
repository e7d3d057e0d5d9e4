"""Whether every line of a CSV has as many fields as its header, checked before pandas reads it.

pandas takes a field too many for an index, and fills the ones that are missing.
"""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, NoReturn

from batch_serving.ml.file_forms import HEAD_BYTES, check_form, check_lines

if TYPE_CHECKING:
    from pathlib import Path

BLOCK_BYTES = 1_000_000


def check_shape(name: str, path: Path) -> None:
    """Raise ValueError, with the line, unless every line has one field for each unique name of the header."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    check_form(name, head)
    check_lines(name, head)
    has_quotes = _check_commas(name, path)
    with path.open("r", encoding="utf-8-sig", newline="") as text:
        rows = csv.reader(text)
        header = next(rows, [])
        if repeated := sorted({column for column in header if header.count(column) > 1}):
            raise ValueError(f"dataset {name!r} has two columns named {', '.join(map(repr, repeated))}")
        line = rows.line_num + 1
        for row in rows if has_quotes else ():
            if row and len(row) != len(header):
                _refuse(name, len(header), line, len(row))
            line = rows.line_num + 1


def _check_commas(name: str, path: Path) -> bool:
    """Check the lines by counting commas, up to the first quote; return whether there is a quote."""
    with path.open("rb") as file:
        first = file.readline().removeprefix(b"\xef\xbb\xbf")
        if not first.strip():
            raise ValueError(f"dataset {name!r} has no header line: its first line is blank, or it is empty")
        has_quotes = b'"' in first
        commas, number = first.count(b","), 1
        while not has_quotes and (block := file.read(BLOCK_BYTES)):
            block += file.readline()
            has_quotes = b'"' in block
            if not has_quotes and (misfit := _first_misfit(block, commas)):
                _refuse(name, commas + 1, number + 1 + misfit[0], misfit[1])
            number += block.count(b"\n")
    return has_quotes


def _first_misfit(block: bytes, commas: int) -> tuple[int, int] | None:
    """Return the first of whole lines, from 0, that has another number of commas, and its number of fields.

    Blank lines are skipped. 0.10 s for a million lines, instead of 0.22 s line by line.
    """
    import numpy as np

    values = np.frombuffer(block, np.uint8)
    ends = np.flatnonzero(values == ord("\n"))
    if not block.endswith(b"\n"):
        ends = np.append(ends, len(block))
    counts = np.diff(np.searchsorted(np.flatnonzero(values == ord(",")), ends), prepend=0)
    for line in np.flatnonzero(counts != commas).tolist():
        start = ends[line - 1] + 1 if line else 0
        if block[start : ends[line]].strip():
            return line, int(counts[line]) + 1
    return None


def _refuse(name: str, columns: int, line: int, fields: int) -> NoReturn:
    raise ValueError(f"dataset {name!r} has {columns} columns, but line {line} has {fields} fields")
