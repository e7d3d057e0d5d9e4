"""The client of KMA's ultra-short-term forecast service (초단기예보): one request, with retries.

Source: the guide of dataset 15084084, ``VilageFcstInfoService_2.0``, operation ``getUltraSrtFcst``, and
recorded answers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from batch_serving.shared.airflow import mask
from batch_serving.weather import http
from batch_serving.weather.districts import Cell
from batch_serving.weather.kma_answers import Answer, read_items, texts_in
from batch_serving.weather.kma_errors import MALFORMED, TRANSPORT, Kind, KmaError

if TYPE_CHECKING:
    import requests
    import tenacity

PATH = "/1360000/VilageFcstInfoService_2.0/getUltraSrtFcst"
HOST = "apis.data.go.kr"
ROWS_PER_PAGE = 1000  # a full forecast has 60 items; the service's default of 10 drops most of them

ATTEMPTS = 4
BACKOFF_S = 0.5  # waits of about 0.5, 1 and 2 s, plus up to as much at random
MAX_WAIT_S = 60  # a longer Retry-After is left to Airflow's own retry


class Connection(Protocol):
    """What is used of an Airflow connection."""

    conn_id: str
    schema: str | None
    host: str | None
    port: int | None
    password: str | None


AROUND_A_KEY = " \t\r\n\v\f\u00a0\u200b\ufeff\"'`“”‘’"


@dataclass(frozen=True)
class Service:
    """The service's address and the key to it; the key is never shown."""

    address: str
    key: str = field(repr=False)


def service_of(connection: Connection) -> Service:
    """Return the service that an Airflow connection describes; the key is its password.

    What copying adds to a key (line ends, spaces, quotes, a byte order mark) is no part of it.
    """
    key = (connection.password or "").strip(AROUND_A_KEY)
    if not key:
        raise ValueError(f"connection {connection.conn_id!r} has no password; put the service key there")
    port = f":{connection.port}" if connection.port else ""
    host = connection.host or HOST
    if "://" not in host:
        host = f"{connection.schema or 'https'}://{host}"
    mask(key)  # Airflow knows only the password as it was written
    return Service(f"{host.rstrip('/')}{port}", key)


def fetch(session: requests.Session, service: Service, base: datetime, cell: Cell) -> Answer:
    """Return the forecast of ``base`` for one grid cell; retries where that can help.

    Raises KmaError; its text never contains the key.
    """
    import tenacity

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_worth_a_retry),
        wait=_wait_s,
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    return retrying(_fetch_once, session, service, base, cell)


def _is_worth_a_retry(error: BaseException) -> bool:
    if not isinstance(error, KmaError) or error.kind is not Kind.RETRYABLE:
        return False
    return (error.retry_after_s or 0) <= MAX_WAIT_S


def _wait_s(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    asked_for_s = (error.retry_after_s or 0) if isinstance(error, KmaError) else 0
    backoff_s: float = BACKOFF_S * 2 ** (state.attempt_number - 1)
    jitter_s = random.uniform(0, backoff_s)  # noqa: S311 - so that clients do not retry at the same moment
    return max(asked_for_s, backoff_s) + jitter_s


def _fetch_once(session: requests.Session, service: Service, base: datetime, cell: Cell) -> Answer:
    response = _get(session, service, base, cell)
    text = response.body.decode("utf-8", "replace")
    secrets = http.forms_of(service.key)
    # An error page may repeat the URL: the key is hidden before any part of the text is shown.
    shown = http.hide(text, secrets)
    failure: KmaError | None = None
    try:
        read_items(response.status, shown, base, cell)
    except KmaError as error:
        # The reason is decoded: \u003d and &#61; are ways to write the last letter of a key.
        failure = KmaError(error.code, http.hide(error.reason, secrets), response.retry_after_s)
    if failure is not None:
        raise failure  # outside of `except`: it must not carry the first error, which may show the key
    if shown != text or any(http.hide(part, secrets) != part for part in texts_in(text)):
        raise KmaError(MALFORMED, "the answer contains the service key")
    return Answer(base, text)


def _get(session: requests.Session, service: Service, base: datetime, cell: Cell) -> http.Response:
    import requests

    params: dict[str, str | int] = {
        "serviceKey": service.key,
        "dataType": "JSON",
        "numOfRows": ROWS_PER_PAGE,
        "pageNo": 1,
        "base_date": f"{base:%Y%m%d}",
        "base_time": f"{base:%H%M}",
        "nx": cell.nx,
        "ny": cell.ny,
    }
    try:
        return http.get(session, service.address + PATH, params)
    except requests.RequestException as error:
        reason = type(error).__name__
    except http.ResponseLimitError as error:
        reason = str(error)
    # Outside of `except`: it must not carry the first error, which shows the key.
    raise KmaError(TRANSPORT, f"{reason} while requesting {service.address}")
