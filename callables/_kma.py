"""KMA's ultra-short-term forecast (초단기예보): which base to ask for, how to ask, what the answers mean.

Source: the guide of dataset 15084084, ``VilageFcstInfoService_2.0``, operation ``getUltraSrtFcst``, and
recorded answers.
"""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    import requests
    import tenacity

KST = ZoneInfo("Asia/Seoul")
PATH = "/1360000/VilageFcstInfoService_2.0/getUltraSrtFcst"
HOST = "apis.data.go.kr"
PUBLISHED_AFTER = timedelta(minutes=15)  # a base of HH:30 is served from about HH:45
KEPT_FOR = timedelta(hours=24)  # after about a day, at most three, the service refuses a base
GONE_AFTER = timedelta(days=3)
REFUSED_FROM = timedelta(hours=12)  # "wrong parameter" for a base this old means the base

ATTEMPTS = 4
BACKOFF_S = 0.5  # waits of about 0.5, 1 and 2 s, plus up to as much at random
LONGEST_WAIT_S = 60  # a Retry-After above this is left to Airflow's own retry

LONGEST_REASON = 200  # characters of the service's own words

NO_DATA = "03"
WRONG_PARAMETER = "10"  # also: a base that is too old
TRANSPORT = "transport"
MALFORMED = "malformed"


class Kind(Enum):
    """What an error means for the next step."""

    RETRYABLE = "try again shortly"
    KEY = "the key"
    QUOTA = "the day's quota"
    REQUEST = "the request"
    NO_DATA = "no data"
    MALFORMED = "no answer that can be read"


KINDS = {
    "01": Kind.RETRYABLE,
    "02": Kind.RETRYABLE,
    NO_DATA: Kind.NO_DATA,
    "04": Kind.RETRYABLE,
    "05": Kind.RETRYABLE,
    WRONG_PARAMETER: Kind.REQUEST,
    "11": Kind.REQUEST,
    "12": Kind.REQUEST,
    "20": Kind.KEY,
    "21": Kind.KEY,
    "22": Kind.QUOTA,
    "30": Kind.KEY,
    "31": Kind.KEY,
    "32": Kind.KEY,
    "33": Kind.KEY,
    "99": Kind.RETRYABLE,
    TRANSPORT: Kind.RETRYABLE,
}
REMEDIES = {
    WRONG_PARAMETER: "a parameter is wrong, or the base is too old",
    "11": "a parameter is missing",
    "12": "the service address is wrong; correct schema, host and port of the connection",
    "20": "access is denied; apply for the service on data.go.kr with this key",
    "21": "the key is suspended; look at it on data.go.kr",
    "22": "the day's quota is used up; after midnight KST it starts anew, and later runs ask again",
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
    "unexpected error": "99",
    "http routing error": "04",
}


class KmaError(Exception):
    """KMA did not give a forecast. ``code`` is its result code, or 'malformed' or 'transport'."""

    def __init__(self, code: str, reason: str, retry_after_s: float | None = None) -> None:
        """Keep what was wrong, and how long the service asks to wait."""
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """Return the reason and the remedy."""
        remedy = REMEDIES.get(self.code)
        reason = self.reason[:LONGEST_REASON]
        return f"KMA {self.code}: {reason}" + (f" ({remedy})" if remedy else "")

    @property
    def kind(self) -> Kind:
        """What it means for the next step."""
        return KINDS.get(self.code, Kind.MALFORMED)

    @property
    def permanent(self) -> bool:
        """Whether asking again cannot help, for whatever cell."""
        return self.kind in (Kind.KEY, Kind.QUOTA) or self.code in ("11", "12")


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
    if "://" in (connection.host or ""):
        return Service(f"{connection.host.rstrip('/')}{port}", connection.password)
    return Service(f"{connection.schema or 'https'}://{connection.host or HOST}{port}", connection.password)


def target_hour(run_after: datetime) -> datetime:
    """Return the hour that a run forecasts, in KST: the full hour of the run, plus one."""
    return run_after.astimezone(KST).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)


def newest_base(moment: datetime) -> datetime:
    """Return the newest base time, HH:30 KST, that is served at ``moment``."""
    published = moment.astimezone(KST) - PUBLISHED_AFTER
    base = published.replace(minute=30, second=0, microsecond=0)
    return base if base <= published else base - timedelta(hours=1)


def is_gone(error: KmaError, base: datetime, now: datetime) -> bool:
    """Tell whether an error means that the service has ``base`` no more: it says "no data", or refuses it.

    After three days it has none for certain, whatever it says.
    """
    if now - base > GONE_AFTER:
        return error.kind not in (Kind.KEY, Kind.QUOTA)
    return is_refused(error, base, now) or (now - base > KEPT_FOR and error.kind is Kind.NO_DATA)


def is_refused(error: KmaError, base: datetime, now: datetime) -> bool:
    """Tell whether an error means that ``base`` is too old for the service: another base may not be."""
    return error.code == WRONG_PARAMETER and now - base > REFUSED_FROM


def bases_for(moment: datetime, hour: datetime, now: datetime) -> list[datetime]:
    """Return the bases to ask for, best first: the run's own, the one before, a later one that has the hour.

    ``moment`` is when the run was due and ``now`` when it asks: a late run may find a base that was not out.
    """
    own = newest_base(moment)
    later = own + timedelta(hours=1)
    found = [own, own - timedelta(hours=1)]
    return [*found, later] if later < hour and later <= newest_base(now) else found


def fetch(session: requests.Session, service: Service, base: datetime, cell: tuple[int, int]) -> str:
    """Return what KMA answered, as it came, for ``base`` and one grid cell (nx, ny): a forecast for sure.

    Asks again, after a wait, where that can help. Raises KmaError; its text never has the key.
    """
    import tenacity

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_asks_again),
        wait=_wait_s,
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    return retrying(_fetch_once, session, service, base, cell)


def _asks_again(error: BaseException) -> bool:
    if not isinstance(error, KmaError) or error.kind is not Kind.RETRYABLE:
        return False
    return (error.retry_after_s or 0) <= LONGEST_WAIT_S


def _wait_s(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_for = getattr(error, "retry_after_s", None) or 0
    backoff = BACKOFF_S * 2 ** (state.attempt_number - 1)
    return max(asked_for, backoff) + random.uniform(0, backoff)  # noqa: S311 - so that callers do not meet again


def _fetch_once(session: requests.Session, service: Service, base: datetime, cell: tuple[int, int]) -> str:
    import requests

    from callables._http import UnfitAnswerError, forms_of, get, hide

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
    answer, failed, key = None, "", forms_of(service.key)
    try:
        answer = get(session, service.address + PATH, params)
    except requests.RequestException as error:
        failed = type(error).__name__
    except UnfitAnswerError as error:
        failed = str(error)
    if answer is None:
        # Raised out here, so that it does not carry the first error along, which holds the key.
        raise KmaError(TRANSPORT, f"{failed} while asking {service.address}")
    text = answer.body.decode("utf-8", "replace")
    # Before anything is cut out of it: an error page may repeat the address that was asked for.
    shown = hide(text, key)
    try:
        items = read_answer(answer.status, shown, base, cell)
    except KmaError as error:
        # And after it was decoded: \u003d and &#61; are ways to write a key's last letter.
        raise KmaError(error.code, hide(error.reason, key), answer.retry_after_s) from None
    decoded = "\n".join(str(value) for item in items for value in item.values())
    if shown != text or hide(decoded, key) != decoded:
        raise KmaError(MALFORMED, "the answer repeats the key")
    return text


def read_answer(status: int, text: str, base: datetime, cell: tuple[int, int]) -> list[dict]:
    """Return the items of an answer, whatever shape it has; raises KmaError for anything but a forecast."""
    text = text.strip()
    if text.startswith("<"):
        raise _xml_error(status, text)
    try:
        answer = json.loads(text)
    except (ValueError, RecursionError):
        raise _text_error(status, text) from None
    answer = answer.get("response", answer) if isinstance(answer, dict) else {}
    header = _mapping(answer.get("header")) or _gateway_header(answer)
    code = str(header.get("resultCode", _by_status(status))).zfill(2)
    if code != "00":
        raise KmaError(code, str(header.get("resultMsg", f"HTTP {status} without a result code")))
    return _check_items(_mapping(answer.get("body")), base, cell)


def _check_items(body: dict, base: datetime, cell: tuple[int, int]) -> list[dict]:
    items = _mapping(body.get("items")).get("item") or []
    if not items:
        raise KmaError(NO_DATA, "the answer has no items")
    if not isinstance(items, list):
        raise KmaError(MALFORMED, "the items are no list")
    expected = (f"{base:%Y%m%d}", f"{base:%H%M}", *map(str, cell))
    for item in items:
        if not isinstance(item, dict) or not all(
            _is_plain(item.get(name)) for name in ("category", "fcstValue")
        ):
            raise KmaError(MALFORMED, f"an item is {str(item)[:50]!r}")
        # zfill: older answers gave 0930 as the number 930.
        found = (
            str(item.get("baseDate")),
            str(item.get("baseTime")).zfill(4),
            str(item.get("nx")),
            str(item.get("ny")),
        )
        if found != expected:
            raise KmaError(MALFORMED, f"the answer is for base and cell {found}, asked was {expected}")
    total = str(body.get("totalCount", len(items)))
    if total.isascii() and total.isdigit() and int(total) > len(items):
        raise KmaError(MALFORMED, f"{len(items)} items of {total} came")
    return items


def _gateway_header(answer: dict) -> dict:
    """Return the header of a gateway error, which has other names for the same things."""
    header = _mapping(_mapping(answer.get("OpenAPI_ServiceResponse")).get("cmmMsgHeader"))
    if not header:
        return {}
    return {"resultCode": header.get("returnReasonCode"), "resultMsg": header.get("returnAuthMsg")}


def _xml_error(status: int, text: str) -> KmaError:
    if re.search(r"<!(DOCTYPE|ENTITY)", text[:500], re.IGNORECASE):
        return KmaError(_by_status(status), f"HTTP {status} with a page instead of a forecast")
    try:
        # Entities, the way XML hurts, are refused above.
        root = ElementTree.fromstring(text)  # noqa: S314
    except ElementTree.ParseError:
        return KmaError(_by_status(status), f"HTTP {status} with broken XML")
    code = root.findtext(".//returnReasonCode") or root.findtext(".//resultCode")
    message = root.findtext(".//returnAuthMsg") or root.findtext(".//resultMsg") or "no message"
    if not code:
        return KmaError(_by_status(status), f"HTTP {status} with a page instead of a forecast")
    if code.strip().zfill(2) == "00":
        return KmaError(MALFORMED, "XML came, although JSON was asked for")
    return KmaError(code.strip().zfill(2), message)


def _text_error(status: int, text: str) -> KmaError:
    code = PLAIN_TEXTS.get(text.lower())
    if code:
        return KmaError(code, f"HTTP {status}: {text}")
    return KmaError(_by_status(status), f"HTTP {status} with {text[:50]!r}")


def _by_status(status: int) -> str:
    """Return the code for an answer that says nothing but its HTTP status."""
    if status == 429 or status >= 500:
        return TRANSPORT
    return {401: "30", 403: "20"}.get(status, MALFORMED)


def _is_plain(value: object) -> bool:
    return value is None or isinstance(value, str | int | float)


def _mapping(value: object) -> dict:
    return value if isinstance(value, dict) else {}
