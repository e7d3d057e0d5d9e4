"""One HTTP session for all calls of a task: time-outs, a limit to what is read, and no secret in a log."""

from __future__ import annotations

import html
import logging
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    import requests

TIMEOUT_S = (5, 20)  # connect, and each wait for more of the answer
WHOLE_ANSWER_S = 40  # a service that trickles is given up
MAX_BODY_BYTES = 5_000_000  # a full answer has 12 kB


class UnfitAnswerError(Exception):
    """An answer that is too long, or takes too long; its text says which."""


@dataclass(frozen=True)
class Answer:
    """What came back: status, body, and how long the service asks to wait, in seconds."""

    status: int
    body: bytes
    retry_after_s: float | None = None


class _WithoutSecrets(logging.Filter):
    """Takes secrets out of what urllib3 logs: it logs whole addresses, and a key may be part of one."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = hide(record.getMessage(), self.secrets), ()
        return True


_without_secrets = _WithoutSecrets()
for _name in ("urllib3.connectionpool", "urllib3.util.retry"):  # all of urllib3's that log an address
    logging.getLogger(_name).addFilter(_without_secrets)


def forms_of(secret: str) -> set[str]:
    """Return a secret in all forms that addresses and texts may have it in."""
    coded = {urlencode({"": secret})[1:], quote(secret), quote(secret, safe="")}
    coded |= {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), form) for form in coded}
    coded |= {quote(form) for form in coded} | {html.escape(secret), secret.replace("/", "\\/")}
    return {secret, *coded}


def hide(text: str, secrets: set[str]) -> str:
    """Return ``text`` with ``***`` for each secret in it."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def new_session(secret: str) -> requests.Session:
    """Return a session; ``secret`` will be part of addresses, and logs show ``***`` for it."""
    import requests

    _without_secrets.secrets |= forms_of(secret)
    return requests.Session()


def get(session: requests.Session, url: str, params: dict[str, Any]) -> Answer:
    """Make one GET; raises requests.RequestException, or UnfitAnswerError."""
    import requests
    import urllib3

    deadline = time.monotonic() + WHOLE_ANSWER_S
    with session.get(url, params=params, timeout=TIMEOUT_S, stream=True) as response:
        body = bytearray()
        try:
            while chunk := response.raw.read1(65_536, decode_content=True):
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise UnfitAnswerError(f"the answer is longer than {MAX_BODY_BYTES:,} bytes")
                if time.monotonic() > deadline:
                    raise UnfitAnswerError(f"the answer took longer than {WHOLE_ANSWER_S} s")
        except urllib3.exceptions.HTTPError as error:
            raise requests.ConnectionError(type(error).__name__) from None
        announced = response.headers.get("Content-Length", "")
        if announced.isdecimal() and response.raw.tell() < int(announced):
            raise requests.ConnectionError("the answer was cut off")
        return Answer(response.status_code, bytes(body), _seconds(response.headers.get("Retry-After")))


def _seconds(retry_after: str | None) -> float | None:
    """Return the wait that a Retry-After header asks for: it has seconds, or a date."""
    from email.utils import parsedate_to_datetime

    if retry_after is None:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return None
