"""KMA's ultra-short-term forecast (초단기예보): which base to ask for, how to ask, what the answers mean.

Source: the guide of dataset 15084084, ``VilageFcstInfoService_2.0``, operation ``getUltraSrtFcst``, and
recorded answers.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import requests

KST = ZoneInfo("Asia/Seoul")
PATH = "/1360000/VilageFcstInfoService_2.0/getUltraSrtFcst"
HOST = "apis.data.go.kr"
FULL_ANSWER = 60  # 10 categories × 6 hours
PUBLISHED_AFTER = timedelta(minutes=15)  # a base of HH:30 is served from about HH:45
NO_DATA = "03"
REMEDIES = {
    "10": "a parameter is wrong, or the base is more than three days old",
    "11": "a parameter is missing",
    "12": "the service address is wrong; correct schema, host and port of the connection",
    "20": "access is denied; apply for the service on data.go.kr with this key",
    "21": "the key is suspended; look at it on data.go.kr",
    "22": "the day's quota is used up; it starts anew at midnight KST",
    "30": "the key is not registered; put the *Decoding* key into the connection's password",
    "31": "the key has expired; renew it on data.go.kr",
    "32": "this machine's address is not registered for the key",
    "33": "the call is unsigned; put the *Decoding* key into the connection's password",
}
PLAIN_TEXTS = {
    "unauthorized": "30",
    "forbidden": "20",
    "api not found": "12",
    "api rate limit exceeded": "05",
    "api token quota exceeded": "22",
}


class KmaError(Exception):
    """KMA did not give a forecast. ``code`` is its result code, or 'malformed' or 'transport'."""

    def __init__(self, code: str, message: str) -> None:
        """Keep the code; the message has its remedy added, and never a key."""
        remedy = REMEDIES.get(code)
        super().__init__(f"KMA {code}: {message}" + (f" ({remedy})" if remedy else ""))
        self.code = code

    @property
    def permanent(self) -> bool:
        """Whether asking again cannot help."""
        return self.code in REMEDIES


@dataclass(frozen=True)
class Service:
    """Where the service is and the key to it; the key is never shown."""

    address: str
    key: str

    def __repr__(self) -> str:
        """Show the address alone."""
        return f"Service({self.address!r})"


def service_of(connection: Any) -> Service:
    """Return the service that an Airflow connection names: schema, host, port, and the key as password."""
    if not connection.password:
        raise ValueError(f"connection {connection.conn_id!r} has no password: put the service key there")
    port = f":{connection.port}" if connection.port else ""
    return Service(f"{connection.schema or 'https'}://{connection.host or HOST}{port}", connection.password)


def target_hour(run_after: datetime) -> datetime:
    """Return the hour that a run forecasts, in KST: the full hour of the run, plus one."""
    return run_after.astimezone(KST).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def newest_base(moment: datetime) -> datetime:
    """Return the newest base time, HH:30 KST, that is served at ``moment``."""
    published = moment.astimezone(KST) - PUBLISHED_AFTER
    base = published.replace(minute=30, second=0, microsecond=0)
    return base if base <= published else base - timedelta(hours=1)


def fetch(session: requests.Session, service: Service, base: datetime, cell: tuple[int, int]) -> list[dict]:
    """Return the items that KMA forecast at ``base`` for one grid cell (nx, ny).

    Raises KmaError; its text has neither the key nor the address that contains it.
    """
    import requests

    from callables._http import BodyTooLargeError, get

    params = {
        "serviceKey": service.key,
        "dataType": "JSON",
        "numOfRows": 1000,
        "pageNo": 1,
        "base_date": f"{base:%Y%m%d}",
        "base_time": f"{base:%H%M}",
        "nx": cell[0],
        "ny": cell[1],
    }
    try:
        status, body = get(session, service.address + PATH, params)
    except (requests.RequestException, BodyTooLargeError) as error:
        # The text of a requests error holds the whole address, key included: only its kind is told.
        raise KmaError("transport", f"{type(error).__name__} while asking {service.address}") from None
    return read_answer(status, body, base, cell)


def read_answer(status: int, body: bytes, base: datetime, cell: tuple[int, int]) -> list[dict]:
    """Return the items of an answer, whatever shape it has; raises KmaError for anything but a forecast."""
    text = body.decode("utf-8", "replace").strip()
    if text.startswith("<"):
        raise _xml_error(status, text)
    try:
        answer = json.loads(text)
    except ValueError:
        raise _text_error(status, text) from None
    answer = answer.get("response", answer) if isinstance(answer, dict) else {}
    header = _mapping(answer.get("header")) or _gateway_header(answer)
    code = str(header.get("resultCode", "malformed"))
    if code != "00":
        raise KmaError(code, str(header.get("resultMsg", f"HTTP {status} without a result code"))[:200])
    return _check_items(_mapping(answer.get("body")), base, cell)


def _check_items(body: dict, base: datetime, cell: tuple[int, int]) -> list[dict]:
    items = _mapping(body.get("items")).get("item") or []
    if not items:
        raise KmaError(NO_DATA, "the answer has no items")
    expected = (f"{base:%Y%m%d}", f"{base:%H%M}", *map(str, cell))
    for item in items:
        if not isinstance(item, dict):
            raise KmaError("malformed", f"an item is {str(item)[:50]!r}")
        # zfill: older answers gave 0930 as the number 930.
        found = (
            str(item.get("baseDate")),
            str(item.get("baseTime")).zfill(4),
            str(item.get("nx")),
            str(item.get("ny")),
        )
        if found != expected:
            raise KmaError("malformed", f"the answer is for base and cell {found}, asked was {expected}")
    total = str(body.get("totalCount", len(items)))
    if total.isdigit() and int(total) > len(items):
        raise KmaError("malformed", f"{len(items)} items of {total} came")
    return items


def _gateway_header(answer: dict) -> dict:
    """Return the header of a gateway error, which has other names for the same things."""
    header = _mapping(_mapping(answer.get("OpenAPI_ServiceResponse")).get("cmmMsgHeader"))
    if not header:
        return {}
    return {"resultCode": header.get("returnReasonCode"), "resultMsg": header.get("returnAuthMsg")}


def _xml_error(status: int, text: str) -> KmaError:
    if re.search(r"<!(DOCTYPE|ENTITY)", text[:500], re.IGNORECASE):
        return KmaError("malformed", f"HTTP {status} with a page instead of a forecast")
    try:
        # Entities, the way XML hurts, are refused above.
        root = ElementTree.fromstring(text)  # noqa: S314
    except ElementTree.ParseError:
        return KmaError("malformed", f"HTTP {status} with broken XML")
    code = root.findtext(".//returnReasonCode") or root.findtext(".//resultCode")
    message = root.findtext(".//returnAuthMsg") or root.findtext(".//resultMsg") or "no message"
    return KmaError(code.strip(), message[:200]) if code else KmaError("malformed", f"HTTP {status} with XML")


def _text_error(status: int, text: str) -> KmaError:
    code = PLAIN_TEXTS.get(text.lower())
    if code:
        return KmaError(code, f"HTTP {status}: {text}")
    return KmaError("malformed" if status == 200 else "transport", f"HTTP {status} with {text[:50]!r}")


def _mapping(value: object) -> dict:
    return value if isinstance(value, dict) else {}
