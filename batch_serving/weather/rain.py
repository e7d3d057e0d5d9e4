"""KMA's texts for rainfall, such as ``1mm 미만``, as amounts."""

from __future__ import annotations

import re

NO_RAIN = ("강수없음", "-", "", "0", "none", "null")
LESS_THAN, AT_LEAST = "미만", "이상"
RAIN_TEXT = re.compile(
    r"(?P<low>[0-9]+(\.[0-9]+)?)\s*(mm)?"
    r"(\s*[~∼]\s*(?P<high>[0-9]+(\.[0-9]+)?)\s*(mm)?)?"
    rf"\s*(?P<limit>{LESS_THAN}|{AT_LEAST})?"
)


def rainfall_mm(text: str) -> tuple[str, str] | None:
    """Return the least and the most rainfall in mm that a text of KMA's means; None for an unknown text.

    ``1mm 미만`` is 0 to 1 and ``30.0~50.0mm`` is 30 to 50; ``50.0mm 이상`` has no upper end, an empty text.
    """
    if text.strip().lower() in NO_RAIN:
        return "0", "0"
    match = RAIN_TEXT.fullmatch(text.strip())
    if match is None:
        return None
    low, high, limit = match["low"], match["high"], match["limit"]
    if high is not None:
        return (low, high) if limit is None and float(low) <= float(high) else None
    if limit == LESS_THAN:
        return "0", low
    if limit == AT_LEAST:
        return low, ""
    return low, low
