"""HTTP for one task: a session with timeouts, a limit on what is read, and no secret in a log."""

from __future__ import annotations

import html
import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    import requests
    import urllib3

TIMEOUT_S = (5, 20)  # to connect, and each wait for more of the response
RESPONSE_TIMEOUT_S = 40  # for the whole response, however slowly its bytes come
MAX_BODY_BYTES = 5_000_000  # a full forecast has 12 kB
CHUNK_BYTES = 65_536
LOGGERS_WITH_URLS = ("urllib3.connectionpool", "urllib3.util.retry")  # all of urllib3's that log a URL


class ResponseLimitError(Exception):
    """A response that is too long or takes too long; the text says which."""


@dataclass(frozen=True)
class Response:
    """A response that was read to its end; ``retry_after_s`` is the wait that the service asks for."""

    status: int
    body: bytes
    retry_after_s: float | None = None


class _SecretFilter(logging.Filter):
    """Replaces secrets in log records: urllib3 logs whole URLs, and a key is part of one."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hide(record.getMessage(), self.secrets), ()
        return True


_secret_filter = _SecretFilter()


def new_session(secret: str) -> requests.Session:
    """Return a session for URLs that contain ``secret``; logs show ``***`` in its place."""
    import requests

    _secret_filter.secrets |= forms_of(secret)
    for name in LOGGERS_WITH_URLS:
        logging.getLogger(name).addFilter(_secret_filter)  # a second call with the same filter adds nothing
    return requests.Session()


def forms_of(secret: str) -> set[str]:
    """Return every form in which a URL, a page or a JSON text may contain a secret."""
    percent_encoded = {quote(secret), quote(secret, safe=""), quote_plus(secret)}
    percent_encoded |= {_with_lower_case_escapes(form) for form in percent_encoded}
    encoded_twice = {quote(form) for form in percent_encoded}
    return {secret, *percent_encoded, *encoded_twice, html.escape(secret), secret.replace("/", "\\/")}


def _with_lower_case_escapes(text: str) -> str:
    return re.sub(r"%[0-9A-F]{2}", lambda escape: escape[0].lower(), text)


def hide(text: str, secrets: set[str]) -> str:
    """Return ``text`` with ``***`` in place of each secret."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def get(session: requests.Session, url: str, params: dict[str, str | int]) -> Response:
    """Send one GET request; raises requests.RequestException or ResponseLimitError."""
    with session.get(url, params=params, timeout=TIMEOUT_S, stream=True) as response:
        body = _read_body(response.raw)
        return Response(response.status_code, body, _retry_after_s(response.raw))


def _read_body(raw: urllib3.HTTPResponse) -> bytes:
    import requests
    import urllib3

    deadline = time.monotonic() + RESPONSE_TIMEOUT_S
    body = bytearray()
    try:
        while chunk := raw.read1(CHUNK_BYTES, decode_content=True):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise ResponseLimitError(f"the response is longer than {MAX_BODY_BYTES:,} bytes")
            if time.monotonic() > deadline:
                raise ResponseLimitError(f"the response took longer than {RESPONSE_TIMEOUT_S} s")
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(type(error).__name__) from None
    announced = raw.headers.get("Content-Length", "")
    if announced.isdecimal() and raw.tell() < int(announced):
        raise requests.ConnectionError("the response was cut off")
    return bytes(body)


def _retry_after_s(raw: urllib3.HTTPResponse) -> float | None:
    from urllib3.exceptions import InvalidHeader
    from urllib3.util.retry import Retry

    try:
        return Retry().get_retry_after(raw)
    except InvalidHeader:
        return None
