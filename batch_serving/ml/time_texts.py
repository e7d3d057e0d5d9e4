"""Dates and times as people write them."""

from __future__ import annotations

import re

_MONTHS = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    "|nov(?:ember)?|dec(?:ember)?"
)
_DATE = re.compile(
    r"(?:1[5-9]|2[01])\d\d[-/.](?:0?[1-9]|1[0-2])(?:[-/.](?:0?[1-9]|[12]\d|3[01])\.?)?"  # 2026-01-05, 2026/1
    r"|(?:0?[1-9]|[12]\d|3[01])[-/. ](?:0?[1-9]|[12]\d|3[01])[-/. ](?:(?:1[5-9]|2[01])\d\d|\d\d)"  # 5.1.2026
    rf"|(?:\d\d?(?:st|nd|rd|th)?[-/ .]*)?(?:{_MONTHS})[-/ .,]*"  # 5 January 2026, Jan 5, 2026
    r"(?:\d\d?(?:st|nd|rd|th)?,? *)?[-/ .']*\d\d(?:\d\d)?"
    r"|(?:1[5-9]|2[01])\d\d[ -]?Q[1-4]|Q[1-4][ -/]?(?:1[5-9]|2[01])\d\d"
    r"|\d{2,4}년 ?\d\d?월(?: ?\d\d?일)?|\d\d?월 ?\d\d?일"
    r"|\d{4}-W\d\d(?:-\d)?",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"(?:오전|오후)? ?\d{1,3}:[0-5]\d(?::[0-5]\d)?(?:[.,]\d+)? ?(?:[ap]\.?m\.?)?(?:Z| ?[+-]\d\d:?\d\d)?"
    r"|\d\d?시(?: ?\d\d?분)?|\d\d? ?[ap]m",
    re.IGNORECASE,
)
_DATE_PART = re.compile(r"(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*,? +", re.IGNORECASE)


def is_time(text: str) -> bool:
    """Return whether a text is a date, a time of day, or both; a month or quarter with its year is a date."""
    text = _DATE_PART.sub("", text.strip())
    if len(text) > 40 or not any(map(str.isdigit, text)):
        return False
    if _DATE.fullmatch(text) or _TIME.fullmatch(text):
        return True
    day, separator, rest = text.partition("T" if "T" in text and " " not in text else " ")
    while separator and not _DATE.fullmatch(day):  # "Jan 5, 2026 12:30": the date itself has spaces
        more, separator, rest = rest.partition(" ")
        day = f"{day} {more}"
    return bool(separator) and _TIME.fullmatch(rest.strip()) is not None
