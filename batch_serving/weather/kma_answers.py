"""KMA's answers: a forecast, or an error in one of the many shapes that it has."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree import ElementTree

from batch_serving.weather.districts import Cell
from batch_serving.weather.kma_errors import MALFORMED, NO_DATA, PLAIN_TEXTS, KmaError, code_of_status

Json = dict[str, Any]
REASON_CODE, REASON_TEXT = "returnreasoncode", "returnauthmsg"  # of the gateway, in lower case


@dataclass(frozen=True)
class Answer:
    """A forecast as it came: the base that it is of, and its JSON text."""

    base: datetime
    text: str


@dataclass(frozen=True)
class ForecastItem:
    """One value of a forecast, for one hour in KST."""

    category: str
    date: str  # YYYYMMDD
    time: str  # HHMM
    value: str | float | None  # as KMA wrote it


def read_items(status: int, text: str, base: datetime, cell: Cell) -> list[ForecastItem]:
    """Return the items of a forecast; raises KmaError for everything that is not one.

    ``base`` and ``cell`` are what was requested: a forecast of another one is an error.
    """
    text = text.strip()
    if text.startswith("<"):
        raise _xml_error(status, text)
    try:
        document = _mapping(json.loads(text))
    except (ValueError, RecursionError):
        raise _text_error(status, text) from None
    answer = _mapping(document.get("response", document))  # some errors come without the wrapper
    header = _mapping(answer.get("header")) or _gateway_header(answer)
    code = _two_digits(header.get("resultCode", code_of_status(status)))
    if code != "00":
        raise KmaError(code, str(header.get("resultMsg", f"HTTP {status} without a result code")))
    return _read_body(_mapping(answer.get("body")), base, cell)


def texts_in(text: str) -> Iterator[str]:
    """Yield every key and value of a JSON text, decoded."""
    rest = [json.loads(text)]
    while rest:
        value = rest.pop()
        if isinstance(value, dict):
            rest += [*value, *value.values()]
        elif isinstance(value, list):
            rest += value
        else:
            yield str(value)


def _read_body(body: Json, base: datetime, cell: Cell) -> list[ForecastItem]:
    found = _mapping(body.get("items")).get("item") or []
    if not found:
        raise KmaError(NO_DATA, "the answer has no items")
    if not isinstance(found, list):
        raise KmaError(MALFORMED, "the items are not a list")
    items = [_read_item(item, base, cell) for item in found]
    total = str(body.get("totalCount", len(items)))
    if total.isascii() and total.isdigit() and int(total) > len(items):
        raise KmaError(MALFORMED, f"the answer has {len(items)} of {total} items")
    return items


def _read_item(item: object, base: datetime, cell: Cell) -> ForecastItem:
    fields = _mapping(item)
    category, value = fields.get("category"), fields.get("fcstValue")
    if not fields or not _is_scalar(category) or not _is_scalar(value):
        raise KmaError(MALFORMED, f"an item is {str(item)[:50]!r}")
    requested = (f"{base:%Y%m%d}", f"{base:%H%M}", str(cell.nx), str(cell.ny))
    found = (
        str(fields.get("baseDate")),
        _time(fields.get("baseTime")),
        str(fields.get("nx")),
        str(fields.get("ny")),
    )
    if found != requested:
        raise KmaError(MALFORMED, f"the answer is for base and cell {found}, requested was {requested}")
    return ForecastItem(str(category), str(fields.get("fcstDate")), _time(fields.get("fcstTime")), value)


def _time(value: object) -> str:
    """Return a time as HHMM: older answers have 0930 as the number 930."""
    return str(value).zfill(4)


def _gateway_header(answer: Json) -> Json:
    """Return the header of a gateway error, which has other names for the same fields."""
    header = _find_header(answer)
    if not header:
        return {}
    return {"resultCode": header[REASON_CODE], "resultMsg": header.get(REASON_TEXT) or "no message"}


def _find_header(value: object) -> Json | None:
    """Return the first mapping at any depth that has a reason code, with its keys in lower case."""
    rest = [value]
    while rest:
        one = rest.pop(0)
        if isinstance(one, dict):
            lower = {str(name).lower(): child for name, child in one.items()}
            if lower.get(REASON_CODE) not in (None, ""):
                return lower
            rest += one.values()
        elif isinstance(one, list):
            rest += one
    return None


def _two_digits(code: object) -> str:
    """Return a result code as the guide has it: 00 is also written 0 and 0000."""
    text = str(code).strip()
    return str(int(text)).zfill(2) if text.isascii() and text.isdigit() else text


def _xml_error(status: int, text: str) -> KmaError:
    page = KmaError(code_of_status(status), f"HTTP {status} with a web page instead of a forecast")
    if re.search(r"<!(DOCTYPE|ENTITY)", text[:500], re.IGNORECASE):
        return page
    try:
        # Entities, which make XML dangerous, are rejected above.
        root = ElementTree.fromstring(text)  # noqa: S314
    except ElementTree.ParseError:
        return KmaError(code_of_status(status), f"HTTP {status} with invalid XML")
    texts = {_local_name(element.tag): (element.text or "").strip() for element in root.iter()}
    code = texts.get(REASON_CODE) or texts.get("resultcode")
    if not code:
        return page
    code = _two_digits(code)
    if code == "00":
        return KmaError(MALFORMED, "the answer is XML, although JSON was requested")
    return KmaError(code, texts.get(REASON_TEXT) or texts.get("resultmsg") or "no message")


def _local_name(tag: object) -> str:
    """Return the name of an element without its namespace, in lower case."""
    return str(tag).rpartition("}")[2].lower()


def _text_error(status: int, text: str) -> KmaError:
    code = PLAIN_TEXTS.get(text.lower())
    if code:
        return KmaError(code, f"HTTP {status}: {text}")
    return KmaError(code_of_status(status), f"HTTP {status} with {text[:50]!r}")


def _is_scalar(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _mapping(value: object) -> Json:
    return value if isinstance(value, dict) else {}
