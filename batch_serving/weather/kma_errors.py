"""KMA's result codes: what each means for the next step, and how to fix it."""

from __future__ import annotations

from enum import Enum

MAX_REASON_CHARACTERS = 200  # of the service's own words

# Result codes that the code names, and two of our own for what has no result code.
NO_DATA = "03"
WRONG_PARAMETER = "10"  # also: a base that is too old
TRANSPORT = "transport"
MALFORMED = "malformed"


class Kind(Enum):
    """What an error means for the next step."""

    RETRYABLE = "retry shortly"
    KEY = "fix the key"
    QUOTA = "wait until midnight"
    REQUEST = "fix the request"
    NO_DATA = "try another base"
    MALFORMED = "not a forecast"


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
    WRONG_PARAMETER: "a parameter is wrong or the base is too old; check nx and ny of the district",
    "11": "a parameter is missing; check that no proxy changes the request",
    "12": "the address is wrong; correct schema, host and port of the connection",
    "20": "access is denied; apply for dataset 15084084 on data.go.kr with this key",
    "21": "the key is suspended; check it on data.go.kr",
    "22": "the daily quota is used up; it resets at midnight KST, and later runs request the rest",
    "30": "the key is not registered; put the *Decoding* key into the connection's password",
    "31": "the key has expired; renew it on data.go.kr",
    "32": "this machine's IP address is not registered for the key; register it on data.go.kr",
    "33": "the call is not signed; put the *Decoding* key into the connection's password",
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
    """KMA did not return a forecast. ``code`` is its result code, MALFORMED or TRANSPORT."""

    def __init__(self, code: str, reason: str, retry_after_s: float | None = None) -> None:
        """Keep the code, the reason, and how long the service asks to wait."""
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        """Return the reason and the remedy."""
        text = f"KMA {self.code}: {self.reason[:MAX_REASON_CHARACTERS]}"
        remedy = REMEDIES.get(self.code)
        return f"{text} ({remedy})" if remedy else text

    @property
    def kind(self) -> Kind:
        """What it means for the next step."""
        return KINDS.get(self.code, Kind.MALFORMED)

    @property
    def is_permanent(self) -> bool:
        """Whether a retry cannot help, for any cell."""
        return self.kind in (Kind.KEY, Kind.QUOTA) or self.code in ("11", "12")


def code_of_status(status: int) -> str:
    """Return the code for a response that has only an HTTP status."""
    if status == 429 or status >= 500:
        return TRANSPORT
    return {401: "30", 403: "20"}.get(status, MALFORMED)
