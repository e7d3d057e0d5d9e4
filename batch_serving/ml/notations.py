"""Numbers that people write in another notation than a CSV's: 12,345 or ₩1,000 or 45% or (123) or 64GB.

pandas reads such a column as texts, one category for each. ``read_number`` says what a text is, and which
plain number to write instead.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

from batch_serving.ml.units import multiplier
from batch_serving.ml.values import is_number_text

THOUSANDS, DECIMAL_COMMA = "thousands separators", "a decimal comma"
PERCENT, CURRENCY, BRACKETS = "a per cent sign", "a currency", "brackets for a negative number"
TRAILING_MINUS, OTHER_MINUS, OTHER_DIGITS = "a minus sign at the end", "another minus sign", "other digits"
QUOTES, UNIT, HEX, POWER = "quotes", "a unit", "hexadecimal digits", "a power of ten"
MARK, SIDE = "a mark beside them", "CR or DR in place of a sign"
FRACTION, DURATION = "two numbers in one value", "durations"
# Of these a column may have a few as categories (1/2 and 2/2): only more values are quantities.
MAY_BE_CATEGORIES = {FRACTION: 3, HEX: 3, MARK: 3}

# What stands for "no value" in files, beside NO_VALUE, which is read as such.
_PLACEHOLDERS = """
- -- --- – — ? ?? * ** . .. … / x n.a. n/a na #n/a n/d nd none nil null (null) missing unknown tbd
#div/0! #value! #ref! #name? #num! #null! 없음 미상 모름 결측 해당없음 無 不明
"""
PLACEHOLDERS = frozenset(_PLACEHOLDERS.split())

_CODES = (
    "USD|EUR|GBP|JPY|KRW|CNY|RMB|INR|CHF|CAD|AUD|NZD|SEK|NOK|DKK|PLN|CZK|BRL|MXN|ZAR|RUB|TRY|HKD|TWD|SGD|THB"
    "|IDR|MYR|PHP|VND|AED|SAR|ILS|HUF"
)
_SIGNS = rf"\p|US\$|A\$|C\$|HK\$|NT\$|R\$|S\$|{_CODES}|Rs\.?|Rp\.?|kr\.?|zł|元|円"
_SIGNS = _SIGNS.replace(r"\p", "[$€£¥₩₹₽₺₫₪₱฿₴₦₡₲₵₸₿¢]")
_BEFORE = re.compile(rf"([+-]?)\s*(?:{_SIGNS})\s*(.+)", re.IGNORECASE)
_BEHIND = re.compile(rf"(.+?)\s*(?:{_SIGNS}|원|dollars?|euros?|won)", re.IGNORECASE)
_PERCENT = re.compile(r"(.+?)\s*(?:%|‰|pct\.?|per ?cent|퍼센트|프로)|%\s*(.+)", re.IGNORECASE)
_QUOTED = re.compile(r"=?(['\"`‘’“”´«»„])(.*?)['\"`‘’“”´«»]?|([^'\"`‘’“”´]+)['\"`‘’“”´]")
_BRACKETS = re.compile(r"\(\s*(.+?)\s*\)|([^()\w]+)\(\s*(.+?)\s*\)")  # ($5) and $(5)
_MARKED = re.compile(r"(?:[~≈≒±#№]|about|ca\.?|approx\.?|약)\s*(.+)|(.+?)\s*[*†‡]+", re.IGNORECASE)
_SIDED = re.compile(r"(.+?)\s*(CR|DR|Cr|Dr)\.?")
_SPACE = " \u00a0\u2007\u2009\u202f"
_COMMAS = re.compile(r"[+-]?\s*\d{1,3}(?:,\d{2,3})*,\d{3}(?:\.\d*)?")
_DOTS = re.compile(r"[+-]?\s*\d{1,3}(?:(?:\.\d{3}){2,}(?:,\d+)?|(?:\.\d{3})+,\d+)")
_SPACES = re.compile(rf"[+-]?\s*\d{{1,3}}(?:[{_SPACE}]\d{{3}})+(?:[.,]\d+)?")
_MARKS = re.compile(r"[+-]?\s*\d{1,3}(?:['’_]\d{3})+(?:[.,]\d+)?")
_DECIMAL_COMMA = re.compile(r"[+-]?\s*(?:\d+,\d*|,\d+)(?:[eE][+-]?\d+)?")
_HEX = re.compile(r"[+-]?0x[0-9a-f]+|[+-]?&h[0-9a-f]+", re.IGNORECASE)
_POWER = re.compile(
    r"([+-]?\d+(?:\.\d+)?)\s*(?:[x×*·]\s*10\s*(?:\^|\*\*)?\s*|\*\^|d)([+-]?\d+)", re.IGNORECASE
)
_FRACTION = re.compile(
    r"[+-]?(\d+(?:\.\d+)?)\s*/\s*(\d+(?:\.\d+)?)|\d+ \d+/\d+|[+-]?\d*\s*[½⅓⅔¼¾⅛⅜⅝⅞]"
    r"|[+-]?\d+(?:\.\d+)?\s*(?:±|\+/-|; ?|, )\s*[+-]?\d+(?:\.\d+)?"  # 1.5±0.2, 37.5, 127.0
    r"|\d+\s*['′]\s*\d+(?:\.\d+)?\s*(?:\"|″|'')?|\d+ ?ft\.? ?\d+ ?in"
)
_DURATION = re.compile(
    r"[+-]?P(?=.)(?:\d+(?:\.\d+)?[YMWD])*(?:T(?:\d+(?:[.,]\d+)?[HMS])+)?"
    r"|\d+ days?,? \d+:\d\d(?::\d\d(?:\.\d+)?)?|(?:\d+ ?[dhms] ?){2,}|\d+ ?시간 ?\d+ ?분"
)
_WITH_UNIT = re.compile(rf"([+-]?[\d.,'’_{_SPACE}]*\d\.?)\s*([^\s\d.,+-][^\d]{{0,12}}?[²³23]?)\.?")

_VULGAR = re.compile("[½⅓⅔¼¾⅛⅜⅝⅞]")
_MINUS = dict.fromkeys(map(ord, "\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d"), "-")


@dataclass(frozen=True)
class Number:
    """What a text is: a number, in which notations (none: a plain one), and the plain number to write."""

    notations: tuple[str, ...] = ()
    plain: str = ""  # empty where only the author can know it
    unit: str = ""

    @property
    def text(self) -> str:
        """The notations, in words."""
        names = " and ".join(self.notations)
        return names if self.notations[0] in (FRACTION, DURATION) else f"numbers with {names}"


def is_placeholder(text: str) -> bool:
    """Return whether a text stands for "no value" in a file, though it is not read as such."""
    return text.strip().lower() in PLACEHOLDERS


def read_number(text: str) -> Number | None:
    """Return the number that a text is in any notation, or None if it is not a number."""
    if is_number_text(text):
        return Number(plain=text.strip())
    if len(text) > 60 or not _has_digit(text):
        return None
    stripped, found = _with_plain_digits(text.strip())
    body = _read_body(stripped)
    for read in (
        () if body else (_quoted, _bracketed, _trailing_minus, _percent, _currency, _marked, _sided, _unit)
    ):
        body = body or read(stripped)
    if body is None:
        return None
    return replace(body, notations=tuple(dict.fromkeys((*found, *body.notations))))


def _has_digit(text: str) -> bool:
    return any(character.isdigit() for character in text) or _VULGAR.search(text) is not None


def _with_plain_digits(text: str) -> tuple[str, list[str]]:
    """Return a text with the digits 0–9 and the sign - in place of others, and what it had."""
    if text.isascii():
        return text, []
    found = []
    dashes = text.translate(_MINUS)
    if dashes != text and not dashes.startswith("--"):
        found, text = [OTHER_MINUS], dashes
    digits = "".join(
        str(unicodedata.decimal(one))
        if one.isdecimal()
        else "."
        if one in "．٫"
        else ","
        if one in "，٬"
        else one
        for one in text
    )
    if digits != text:
        found, text = [*found, OTHER_DIGITS], digits.replace("％", "%").replace("（", "(").replace("）", ")")
    return text, found


def _read_body(text: str) -> Number | None:
    """Return a number without any signs around it."""
    if is_number_text(text):
        return Number(plain=text.strip())
    if _COMMAS.fullmatch(text):
        return Number((THOUSANDS,), re.sub(r"[,\s]", "", text))
    if _DOTS.fullmatch(text):
        return Number((THOUSANDS,), re.sub(r"[.\s]", "", text).replace(",", "."))
    if _SPACES.fullmatch(text) or _MARKS.fullmatch(text):
        return Number((THOUSANDS,), re.sub(rf"['’_{_SPACE}]", "", text).replace(",", "."))
    if _DECIMAL_COMMA.fullmatch(text):
        return Number((DECIMAL_COMMA,), text.replace(",", ".").replace(" ", ""))
    if _HEX.fullmatch(text):
        return Number((HEX,), str(int(text.lower().replace("&h", "0x"), 16)))
    if power := _POWER.fullmatch(text):
        return Number((POWER,), f"{power[1]}e{power[2]}")
    if _FRACTION.fullmatch(text):
        return Number((FRACTION,))
    return Number((DURATION,)) if _DURATION.fullmatch(text) else None


def _inner(text: str, notation: str, *, sign: str = "") -> Number | None:
    """Return the number within a notation; a plain one, or one in further notations."""
    inner = text.strip()
    found = read_number(inner) if inner and inner[0] not in "(" else None
    if found is None or notation in found.notations or {FRACTION, DURATION} & {*found.notations}:
        return None
    plain = f"{sign}{found.plain.lstrip('+')}" if found.plain else ""
    return Number((notation, *found.notations), plain, found.unit)


def _quoted(text: str) -> Number | None:
    match = _QUOTED.fullmatch(text)
    return _inner(match[2] or match[3] or "", QUOTES) if match else None


def _bracketed(text: str) -> Number | None:
    match = _BRACKETS.fullmatch(text)
    if match is None or "-" in text:
        return None
    return _inner(match[1] or f"{match[2]}{match[3]}", BRACKETS, sign="-")


def _trailing_minus(text: str) -> Number | None:
    if not text.endswith("-") or text.startswith(("-", "+")):
        return None
    return _inner(text[:-1], TRAILING_MINUS, sign="-")


def _percent(text: str) -> Number | None:
    match = _PERCENT.fullmatch(text)
    return _inner(match[1] or match[2], PERCENT) if match else None


def _currency(text: str) -> Number | None:
    if match := _BEFORE.fullmatch(text):
        return _inner(f"{match[1]}{match[2]}", CURRENCY)
    if match := _BEHIND.fullmatch(text):
        return _inner(match[1], CURRENCY)
    return None


def _sided(text: str) -> Number | None:
    match = _SIDED.fullmatch(text)
    found = _inner(match[1], SIDE) if match else None
    return replace(found, plain="") if found else None


def _marked(text: str) -> Number | None:
    match = _MARKED.fullmatch(text)
    return _inner(match[1] or match[2], MARK) if match else None


def _unit(text: str) -> Number | None:
    """Return a number with a unit behind it, whether it is a known one or not."""
    match = _WITH_UNIT.fullmatch(text)
    if match is None:
        return None
    body, unit = _read_body(match[1].strip()), match[2].strip()
    if body is None or {FRACTION, HEX, DURATION} & {*body.notations}:
        return None
    times = multiplier(unit)
    plain = format(float(body.plain) * times, ".15g") if times else body.plain
    return Number((UNIT, *body.notations), plain, unit)
