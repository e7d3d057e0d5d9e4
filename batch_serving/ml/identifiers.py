"""Columns that name a row and describe nothing: a model learns them by heart, and new rows differ."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from batch_serving.ml.columns import MOST_CATEGORIES
from batch_serving.ml.text_columns import quoted

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ROWS = 20  # with fewer, values may well be different by chance
UNIQUE = 0.9  # of the texts of a column: so many different ones are no categories
UNIQUE_NUMBERS = 0.95
YEARS = (1500, 2200)
SORTED_DENSE = 0.8  # of the numbers in a range, in order: measurements that all differ are not that close
_FREE_TEXT_WORDS = 4.0  # on average
_FREE_TEXT_UNIQUE = 0.5
_SAMPLE = 1000
_PATTERN_SHARE = 0.95

_PATTERNS = {
    "UUIDs": re.compile(r"\{?[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}\}?", re.IGNORECASE),
    "hashes": re.compile(r"(?=.*\d)(?=.*[a-f])([\da-f]{24}|[\da-f]{32}|[\da-f]{40}|[\da-f]{64})", re.I),
    "e-mail addresses": re.compile(r"[^@\s]+@[^@\s]+\.\w+"),
    "web addresses": re.compile(r"(https?|ftp|s3|gs)://\S+|www\.\S+", re.IGNORECASE),
    "phone numbers": re.compile(r"\+?\(?\d{2,4}\)?[-. ]\d{3,4}[-. ]\d{4}"),
    "IP addresses": re.compile(r"(\d{1,3}\.){3}\d{1,3}|(?=.*:.*:)[0-9a-f:]{6,39}", re.IGNORECASE),
}  # fmt: skip
_ID_WORDS = (
    "id ids uid uuid guid idx index key pk ssn sn serial serialno rowid rownum 번호 순번 일련번호 연번"
)
_LAST_WORDS = "no nr num number code phone mobile account isbn barcode ean sku"
_ORDER_WORDS = "rank ranking order position place seq sequence step 순위 등수"
_TIME_WORDS = (
    "year month week day hour minute second years months weeks days hours minutes seconds yr date time ms "
    "sec period quarter elapsed epoch timestamp age 연도 년도 년 월 주 일 주차 시간 나이"
)
_WORDS_OF_IDS = frozenset(_ID_WORDS.split())
_LAST_WORDS_OF_IDS = _WORDS_OF_IDS | frozenset(_LAST_WORDS.split())
_WORDS_OF_TIME = frozenset(_TIME_WORDS.split())
_WORDS_OF_ORDER = frozenset(_ORDER_WORDS.split())


def id_warnings(frame: pd.DataFrame, names: list[str]) -> Iterator[str]:
    """Yield which of these features look like ids, have free text, or too many different texts."""
    for name in names:
        column = frame[name].dropna()
        if len(column) < FEWEST_ROWS:
            continue
        if column.dtype.kind in "iuf":
            found = _of_numbers(column, name, is_whole=len(column) == len(frame))
        elif column.dtype.kind == "b":
            found = ""
        else:
            found = _of_texts(column.astype(str))
        if found:
            yield f"column {name!r} {found}"


def _of_texts(column: pd.Series) -> str:
    values = column.unique()
    share = len(values) / len(column)
    example = f"line {column.index[0]} has {quoted(column.iloc[0])}"
    sample = [str(value) for value in values[:: max(1, len(values) // _SAMPLE)]]
    if len(values) >= FEWEST_ROWS and (what := _pattern_of(sample)):
        return f"has {what}, which look like ids ({example}): {_REMOVE}"
    words = sum(len(text.split()) for text in sample) / len(sample)
    if words >= _FREE_TEXT_WORDS and share >= _FREE_TEXT_UNIQUE and len(values) >= FEWEST_ROWS:
        return (
            f"has free text, {len(values)} different ones in {len(column)} rows ({example}), each a category "
            "of its own: make numbers or categories of it, or remove it"
        )
    if share == 1:
        return f"is different in every row ({example}) and looks like an id: {_REMOVE}"
    if share >= UNIQUE:
        rows = f"{len(values)} different texts in {len(column)} rows"
        return f"has {rows} ({example}) and looks like an id: {_REMOVE}"
    if len(values) > MOST_CATEGORIES:
        return (
            f"has {len(values)} different texts ({example}), which become as many columns: group them, or "
            "remove it"
        )
    return ""


def _pattern_of(texts: list[str]) -> str:
    """Return what nearly all texts are, such as e-mail addresses; empty if they are of no such pattern."""
    for what, pattern in _PATTERNS.items():
        if sum(map(bool, map(pattern.fullmatch, map(str.strip, texts)))) >= _PATTERN_SHARE * len(texts):
            return what
    return ""


_REMOVE = "remove it, or name it as `row_id`"


def _of_numbers(column: pd.Series, name: str, *, is_whole: bool) -> str:
    """Return why a column of numbers looks like an id; ``is_whole``: it has no gaps."""
    if column.nunique() < UNIQUE_NUMBERS * len(column) or (column % 1 != 0).any():
        return ""
    low, high = int(column.min()), int(column.max())
    words = words_of(name)
    if (YEARS[0] <= low and high <= YEARS[1]) or words & _WORDS_OF_TIME:
        return ""  # one row for each year or day
    example = f"line {column.index[0]} has {int(column.iloc[0])}"
    steps = column.diff().iloc[1:]
    if is_whole and steps.nunique() == 1:
        step = int(steps.iloc[0])
        return f"grows by {step} from row to row ({example}) and looks like a row number: {_REMOVE}"
    density = len(column) / (high - low + 1) if column.is_unique else 0.0
    if density == 1 and low in (0, 1) and not words & _WORDS_OF_ORDER:
        return f"has each number from {low} to {high} once ({example}) and looks like a row number: {_REMOVE}"
    if density > SORTED_DENSE and column.is_monotonic_increasing:
        return (
            f"counts from {low} to {high} with a few gaps ({example}) and looks like a row number: {_REMOVE}"
        )
    if is_name_of_id(name):
        rows = "every row" if column.is_unique else "nearly every row"
        return f"is different in {rows} ({example}) and looks like an id: {_REMOVE}"
    return ""


def words_of(name: str) -> set[str]:
    """Return the words of a column's name, in lower case: customerId has those of customer_id."""
    return set(_list_of_words(name))


def _list_of_words(name: str) -> list[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[^0-9a-z가-힣]+", spaced.lower()) if word]


def is_name_of_id(name: str) -> bool:
    """Return whether a column's name is that of an id, such as customer_id or 주문번호."""
    words = _list_of_words(name)
    if not words or name.startswith("Unnamed:"):
        return True
    if words[-1] in _LAST_WORDS_OF_IDS or _WORDS_OF_IDS & {*words}:
        return True
    return words[-1].endswith(("번호", "아이디", "코드")) or name.endswith(("ID", "Id"))
