"""What a file is if it is not a CSV in UTF-8 with commas and a header line, and what to do about it."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator

from batch_serving.ml.encodings import foreign_encoding, mojibake
from batch_serving.ml.values import is_number_text
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.wording import SHOWN, counted, shortened

HEAD_BYTES = 1_000_000
SEPARATORS = {
    ";": "';'",
    "\t": "tabs",
    "|": "'|'",
    ":": "':'",
    "~": "'~'",
    "^": "'^'",
    "，": "'，'",
    "\x1f": "\\x1f",
    "\x01": "\\x01",
}
AS_UTF8 = "save it as CSV UTF-8 (Excel: Save As, “CSV UTF-8 (Comma delimited)”)"
AS_CSV = "open it with the program that made it, and save it as CSV UTF-8"
_BOM = b"\xef\xbb\xbf"
_LINE_ENDS = re.compile(r"\r\n|\r|\n")
_SAMPLE_LINES = 30

_SIGNATURES: tuple[tuple[bytes, str, str], ...] = (
    (b"\x1f\x8b", "a gzip file", "unpack it with gunzip"),
    (b"BZh9", "a bzip2 file", "unpack it with bunzip2"),
    (b"\xfd7zXZ\0", "an xz file", "unpack it with unxz"),
    (b"\x28\xb5\x2f\xfd", "a zstd file", "unpack it with unzstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "unpack it"),
    (b"Rar!", "a RAR archive", "unpack it"),
    (b"PAR1", "a Parquet file", "write it with pandas: read_parquet(…).to_csv(…, index=False)"),
    (b"ARROW1", "a Feather file", "write it with pandas: read_feather(…).to_csv(…, index=False)"),
    (b"ORC", "an ORC file", "write it with pandas: read_orc(…).to_csv(…, index=False)"),
    (b"Obj\x01", "an Avro file", AS_CSV),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook (.xls)", "open it in Excel, and save the sheet as CSV UTF-8"),
    (b"SQLite format 3\0", "a SQLite database", "export the table as CSV"),
    (b"\x89HDF", "an HDF5 file", "write it with pandas: read_hdf(…).to_csv(…, index=False)"),
    (b"\x93NUMPY", "a NumPy array", AS_CSV),
    (b"\x80\x04", "a Python pickle", AS_CSV),
    (b"\x80\x05", "a Python pickle", AS_CSV),
    (b"%PDF", "a PDF", "export the table as CSV"),
    (b"{\\rtf", "a Rich Text file", "save it as CSV UTF-8"),
    (b"\x89PNG", "an image", "name the CSV file"),
    (b"\xff\xd8\xff", "an image", "name the CSV file"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself", "run `git lfs pull`"),
)


def check_form(name: str, data: bytes) -> None:
    """Raise InvalidValueError if a file's bytes, or its first ones, are not text in UTF-8 that can be a CSV.

    The message names what the file seems to be, and the hint what to do.
    """
    for problem, remedy in (*_other_files(data), *_other_texts(data), *_other_encodings(data)):
        raise InvalidValueError(f"dataset {name!r} {problem}", remedy)


def _other_files(data: bytes) -> Iterator[tuple[str, str]]:
    for signature, what, remedy in _SIGNATURES:
        # A header may begin with the letters ORC or PAR1: a text has no control characters after them.
        is_letters = signature.isalnum() and not re.search(rb"[\0-\x08\x0e-\x1f]", data[:64])
        if data.startswith(signature) and not is_letters:
            yield f"is {what}", remedy
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        head = data[:4000]
        if b"[Content_Types]" in head or b"xl/" in head or b"docProps" in head:
            yield "is an Excel workbook (.xlsx)", "open it in Excel, and save the sheet as CSV UTF-8"
        elif b"opendocument" in head:
            yield "is an OpenDocument file", "open it, and save the sheet as CSV UTF-8"
        else:
            yield "is a ZIP archive", "unpack it"


def _other_texts(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield what a text is by how it begins."""
    head = data[:2000].removeprefix(_BOM).lstrip()
    lowered = head.lower()
    if lowered.startswith(
        (b"<!doctype html", b"<html", b"<head", b"<body", b"<table", b"<script", b"<div", b"<!--")
    ):
        yield "is an HTML page", "download the file itself: the page may be one of a login or an error"
    elif lowered.startswith(b"<?xml") or re.match(rb"<[a-z][\w:-]*[\s/>]", lowered):
        yield "is XML", AS_CSV
    elif re.match(rb'\{\s*(".*?"\s*:|\})|\[\s*[\[{]', head, re.DOTALL):
        yield "is JSON", "write it with pandas: read_json(…).to_csv(…, index=False)"
    elif lowered.startswith((b"@relation", b"% ")) and b"@attribute" in data[:HEAD_BYTES].lower():
        yield "is an ARFF file", "keep the rows below @data, with a header line"
    elif re.match(rb"(--|/\*|insert into|create table|drop table)", lowered):
        yield "is SQL", "run it in a database, and export the table as CSV"


def _other_encodings(data: bytes) -> Iterator[tuple[str, str]]:
    encoding = foreign_encoding(data)
    if encoding:
        yield f"is not in UTF-8; it seems to be {encoding}{_place(data, encoding)}", AS_UTF8
    elif data.startswith(_BOM * 2):
        yield "begins with two byte order marks", f"delete one, or {AS_UTF8}"
    elif b"\0" in data:
        line = _line_of(data, data.index(b"\0"))
        yield f"has a NUL byte in line {line}, so it is not text or damaged", "write the file again"


def _place(data: bytes, encoding: str) -> str:
    """Return the first line that is not UTF-8; nothing where all lines are not."""
    if encoding.startswith("UTF-16") or encoding.startswith("UTF-32"):
        return ""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return f", from line {_line_of(data, error.start)} on"
    return ""


def _line_of(data: bytes, place: int) -> int:
    before = data[:place]
    return before.count(b"\n") + before.replace(b"\r\n", b"\n").count(b"\r") + 1


def check_lines(name: str, data: bytes) -> None:
    """Raise InvalidValueError if the first lines say that there is another separator, or no header.

    ``data`` is text in UTF-8: a file or its first bytes.
    """
    lines = _first_lines(data)
    for problem, remedy in (*_title(lines), *_separator(lines)):
        raise InvalidValueError(f"dataset {name!r} {problem}", remedy)


def _first_lines(data: bytes) -> list[str]:
    text = data[:HEAD_BYTES].decode("utf-8", "ignore").removeprefix("\ufeff")
    lines = _LINE_ENDS.split(text)
    return lines[:_SAMPLE_LINES] if len(lines) > 2 else lines


def _rows_of(lines: list[str]) -> list[list[str]]:
    try:
        return [row for row in csv.reader(io.StringIO("\n".join(lines))) if row]
    except csv.Error:
        return []


def _title(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield that the first line is not a header: Excel's hint, a comment, or a title."""
    first = lines[0] if lines else ""
    if re.fullmatch(r'"?sep=.{1,2}"?', first.strip(), re.IGNORECASE):
        yield f"begins with Excel's line {first.strip()!r}", "delete it, and separate the values by commas"
        return
    rows = _rows_of(lines)
    if len(rows) < 3 or len(lines) < 3 or not first.strip():
        return
    width = Counter(map(len, rows)).most_common(1)[0][0]
    filled = [field for field in rows[0] if field.strip()]
    is_comment = first.lstrip("\"' ").startswith(("#", "//", "%", "--", "/*"))
    if is_comment and (len(rows[0]) != width or not _is_row_of_names(rows[0])):
        yield f"begins with a comment: {_short(first)}", "delete it: the header is line 1"
    elif width > 1 and filled == rows[0][:1]:
        yield f"begins with a title: {_short(first.rstrip(','))}", "delete it: the header is line 1"


def _is_row_of_names(row: list[str]) -> bool:
    return len(row) > 1 and all(field.strip() for field in row)


def _separator(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Yield which other separator the lines have: as many in each, where commas do not fit."""
    lines = [line for line in lines if line.strip()]
    rows = _rows_of(lines)
    if not rows:
        return  # no lines, or a quote that is never closed
    if len(rows[0]) > 1 and all(len(row) == len(rows[0]) for row in rows[1:-1]):
        return  # the commas fit
    for mark, shown in SEPARATORS.items():
        number = lines[0].count(mark)
        fits = sum(line.count(mark) == number for line in lines)
        if number > lines[0].count(",") and number and fits >= 0.9 * len(lines):
            yield f"is separated by {shown}", f"save it with commas; pandas: read_csv(…, sep={mark!r})"
            return
    if len(rows[0]) == 1 and len(lines) > 2 and "," not in "".join(lines):
        counts = {len(line.split()) for line in lines}
        if len(counts) == 1 and counts != {1}:
            yield "is separated by spaces", r"save it with commas; pandas: read_csv(…, sep=r'\s+')"


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


def header_problems(header: list[str], first_row: list[str]) -> Iterator[str]:
    """Yield what is wrong with the names of columns."""
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        if repeated == [""]:
            places = [place for place, name in enumerate(header, start=1) if not name]
            yield f"has columns without a name: {', '.join(map(str, places[:SHOWN]))}; name or delete them"
        else:
            yield f"has two columns named {', '.join(map(repr, repeated))}; rename or delete one"
    garbled = [(name, mojibake(name)) for name in header]
    if shown := [
        f"{name!r}" if before == name else f"{name!r} was {before!r}" for name, before in garbled if before
    ]:
        yield (
            "has column names that were read in a wrong encoding before they were written: "
            f"{shortened(shown)}; write it from the original again, in UTF-8"
        )
    if (
        first_row
        and _is_data(header)
        and _is_data(first_row)
        and header != [str(n) for n in range(len(header))]
    ):
        names = [str(int(float(name))) for name in header if name.strip()]
        if names != [str(number) for number in range(int(names[0]), int(names[0]) + len(names))]:
            numbers = shortened(header[:3])
            yield f"has no header line: line 1 has numbers, {numbers}; add a line of column names"


def _is_data(row: list[str]) -> bool:
    return any(row) and all(not field.strip() or is_number_text(field) for field in row)


def shape_problems(
    header: list[str], wrong: list[tuple[int, int]], repeats: list[int], rows: int
) -> Iterator[str]:
    """Yield which of the ``rows`` repeat the header, and which have another number of fields."""
    if repeats:
        yield f"repeats its header in {_lines(repeats)}; delete {'it' if len(repeats) == 1 else 'them'} there"
    if wrong:
        shown = ", ".join(f"line {line} has {fields}" for line, fields in wrong[:SHOWN])
        more = f" and {counted(len(wrong) - SHOWN, 'more line')}" if len(wrong) > SHOWN else ""
        hint = (
            "put a value with a comma in quotes"
            if wrong[0][1] > len(header)
            else "complete or delete them (is a quote never closed?)"
        )
        if rows > 1 and len(wrong) == rows and len({fields for _, fields in wrong}) == 1:
            hint = "is line 1 a title, or is a name missing there?"
        yield f"has {counted(len(header), 'column')}, but {shown} fields{more}; {hint}"


def _lines(lines: list[int]) -> str:
    return shortened([f"line {line}" for line in lines])
