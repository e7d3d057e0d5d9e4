"""The body of a request: JSON as the standard has it, and rows in it."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

from batch_serving.api.problems import RefusedError
from batch_serving.shared.suggestions import did_you_mean

Row = dict[str, Any]
EXAMPLE = '{"rows": [{"<column>": <value>, …}]}'
KEYS = ("rows", "row_id")


@dataclass(frozen=True)
class Rows:
    """The rows of a request, and the column that identifies them if the request names one."""

    rows: list[Row]
    row_id: str | None = None


class _RepeatedKeyError(ValueError):
    pass


def parse_rows(body: bytes, most_rows: int) -> Rows:
    """Return the rows of a body; RefusedError (400: not JSON, 422: other content, 413: too many rows)."""
    given = _parse(body)
    if not isinstance(given, dict):
        _refuse(f"the body is {_kind(given)}, not an object")
    for name in given:
        if name not in KEYS:
            _refuse(f"unknown key {name[:50]!r}", did_you_mean(name, KEYS) or f"write {EXAMPLE}")
    rows = given.get("rows")
    if not isinstance(rows, list):
        _refuse("`rows` is missing" if rows is None else f"`rows` is {_kind(rows)}, not a list")
    if not rows:
        _refuse("`rows` is empty")
    if len(rows) > most_rows:
        raise RefusedError(
            413, f"{len(rows)} rows are more than {most_rows}", "send them in several requests, or raise "
            "BATCH_SERVE_MAX_ROWS"
        )  # fmt: skip
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            _refuse(f"row {place} is {_kind(row)}, not an object")
    row_id = given.get("row_id")
    if row_id is not None and not isinstance(row_id, str):
        _refuse(f"`row_id` is {_kind(row_id)}, not the name of a column")
    return Rows(rows, row_id)


def _parse(body: bytes) -> Any:
    if not body.strip():
        raise RefusedError(400, "the body is empty", f"write {EXAMPLE}")
    try:
        text = body.decode("utf-8")
        given = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        if "\\u" in text:  # half of a surrogate pair: a text that cannot be written as UTF-8
            json.dumps(given, ensure_ascii=False, default=str).encode("utf-8")
    except UnicodeDecodeError as error:
        raise RefusedError(400, f"the body is not UTF-8 (byte {error.start})", "encode it as UTF-8") from None
    except UnicodeEncodeError:
        raise RefusedError(
            400, "a text has half of a surrogate pair", "write the character itself, in UTF-8"
        ) from None
    except _RepeatedKeyError as error:
        raise RefusedError(400, str(error), "give each key once") from None
    except RecursionError:
        raise RefusedError(400, "the body is nested too deeply", f"write {EXAMPLE}") from None
    except json.JSONDecodeError as error:
        raise RefusedError(
            400, f"the body is not JSON: {error.msg}, line {error.lineno}, column {error.colno}",
            f"write {EXAMPLE}",
        ) from None  # fmt: skip
    except ValueError:  # of Python: an integer with more than 4,300 digits
        raise RefusedError(400, "a number has too many digits", "write it as a text, or shorter") from None
    return given


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise _RepeatedKeyError(f"the key {repeated[:50]!r} is there twice in one object")
    return found


def _constant(name: str) -> float:
    """Keep what is not JSON (NaN, Infinity) as a value, so that its row and column can be named."""
    return math.nan if name == "NaN" else math.inf


def _kind(value: Any) -> str:
    """Return what a JSON value is, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names: dict[type, str] = {dict: "an object", list: "a list", str: "a text"}
    return names.get(type(value), "a number")


def _refuse(error: str, hint: str = f"write {EXAMPLE}") -> NoReturn:
    raise RefusedError(422, error, hint)
