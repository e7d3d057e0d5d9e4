"""One HTTP session for all calls of a task: time-outs, and retries only where they can help."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    import requests

TIMEOUT_S = (5, 20)  # connect, read
RETRIES = 3
BACKOFF_S = 0.5  # waits of 0, 1 and 2 s, plus up to half a second at random
RETRIED_STATUSES = (429, 500, 502, 503, 504)
MAX_BODY_BYTES = 5_000_000  # a full answer has 12 kB


class BodyTooLargeError(Exception):
    """An answer went on past MAX_BODY_BYTES."""


class _WithoutSecrets(logging.Filter):
    """Takes secrets out of what urllib3 logs: it logs whole addresses, and a key may be part of one."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        for secret in self.secrets:
            message = message.replace(secret, "***")
        record.msg, record.args = message, ()
        return True


_without_secrets = _WithoutSecrets()
for _name in ("urllib3.connectionpool", "urllib3.util.retry"):  # all of urllib3's that log an address
    logging.getLogger(_name).addFilter(_without_secrets)


def new_session(secret: str) -> requests.Session:
    """Return a session that repeats a GET on time-outs, resets, 429 (honouring Retry-After) and 5xx.

    ``secret`` will be part of addresses: logs show ``***`` for it, also in the form that addresses have.
    """
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util.retry import Retry

    _without_secrets.secrets |= {secret, urlencode({"": secret})[1:], quote(secret)}
    retry = Retry(
        total=RETRIES,
        backoff_factor=BACKOFF_S,
        backoff_jitter=BACKOFF_S,
        status_forcelist=RETRIED_STATUSES,
        allowed_methods=["GET"],
        raise_on_status=False,
        retry_after_max=60,
    )
    session = requests.Session()
    for scheme in ("https://", "http://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def get(session: requests.Session, url: str, params: dict[str, Any]) -> tuple[int, bytes]:
    """Return (status, body) of one GET; raises requests.RequestException, or BodyTooLargeError."""
    with session.get(url, params=params, timeout=TIMEOUT_S, stream=True) as response:
        body = bytearray()
        for chunk in response.iter_content(65_536):
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise BodyTooLargeError(f"the answer is longer than {MAX_BODY_BYTES:,} bytes")
        return response.status_code, bytes(body)
