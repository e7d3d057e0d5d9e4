"""Values of a column that may not mean what they say: -999 for "no value", dates as numbers, lost digits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from batch_serving.ml.columns import lines_of
from batch_serving.ml.text_columns import TextColumn
from batch_serving.shared.paths import project_path
from batch_serving.shared.reading import opened
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.ml.dataset import Dataset

EXACT_BELOW = 2**53  # a float has all digits of whole numbers up to here
FEWEST_OTHERS = 3  # different values beside a sentinel
MOST_CLASSES = 20  # a target of more different numbers is that of a regression
MOST_SENTINELS = 4  # at each end of a column: -9, -99 and -999
FAR = 2.0  # ranges of the other values away from them
_SENTINEL = re.compile(r"-?(9{2,}(\.9+)?|8{3,}|7{3,}|9{3,}0+|99[78]|999[78])|-9")
_OTHER_SENTINELS = frozenset(
    [-999.25, -32768.0, 32767.0, 65535.0, 2147483647.0, -2147483648.0, 4294967295.0, -1e20, 1e20, 1e30, -1e30]
)
_LONG_DIGITS = re.compile(r"\s*[+-]?\d{16,}\s*")
_FEWEST_DATES = 5  # different numbers such as 202601
_NAMES_OF_YEARS = (1900, 2100)


def odd_target_warnings(dataset: Dataset) -> Iterator[str]:
    """Yield what the target of a regression has that may be unintended."""
    name = dataset.target
    column = dataset.frame[name]
    if column.dtype.kind in "iuf" and column.nunique() > MOST_CLASSES:
        reason = _lost_digits(dataset, [name]).get(name) or sentinel(column)
        if reason:
            yield f"target {name!r} {reason}"


def odd_value_warnings(dataset: Dataset, names: list[str]) -> Iterator[str]:
    """Yield what these features have that may be unintended."""
    lost = _lost_digits(dataset, names)
    for name in names:
        column = dataset.frame[name]
        if column.dtype.kind in "iuf":
            reasons = [lost.get(name, "") or sentinel(column), _dates(column)]
        else:
            reasons = [] if column.dtype.kind == "b" else [_texts(column)]
        yield from (f"column {name!r} {reason}" for reason in reasons if reason)


def sentinel(column: pd.Series) -> str:
    """Return that numbers such as -999 stand far from all others; empty if none does."""
    import numpy as np

    present = column.dropna()
    values = np.unique(present.to_numpy(float))
    first, last = 0, len(values)
    while first < min(last, MOST_SENTINELS) and _may_be_sentinel(values[first]):
        first += 1
    while last > max(first, len(values) - MOST_SENTINELS) and _may_be_sentinel(values[last - 1]):
        last -= 1
    others, ends = values[first:last], [*values[:first], *values[last:]]
    if len(others) < FEWEST_OTHERS:
        return ""
    low, high = float(others[0]), float(others[-1])
    far = [value for value in ends if max(low - value, value - high) > FAR * (high - low)]
    if not far:
        return ""
    rows = present.index[present.isin(far)]
    shown = " and ".join(f"{value:.15g}" for value in far)
    return (
        f"has {shown} in {counted(len(rows), 'row')} ({lines_of(rows)}), and else {low:.15g} to {high:.15g}: "
        'if it means "no value", leave the field empty'
    )


def _may_be_sentinel(value: float) -> bool:
    text = f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 1e15 else ""
    return _SENTINEL.fullmatch(text) is not None or value in _OTHER_SENTINELS or abs(value) >= 1e20


def _dates(column: pd.Series) -> str:
    """Return that whole numbers are dates or months, such as 20260105 and 202601; empty if they are not."""
    import pandas as pd

    numbers = column.dropna()
    if len(numbers) == 0 or not numbers.min() >= 190_001 or not numbers.max() <= 2100_12_31:
        return ""
    values = pd.Series(numbers.unique())
    if len(values) < _FEWEST_DATES or (values % 1 != 0).any():
        return ""
    texts = values.astype("int64").astype(str)
    digits = set(texts.str.len())
    if digits not in ({6}, {8}):
        return ""
    form = "%Y%m" if digits == {6} else "%Y%m%d"
    if not texts.str[:4].astype(int).between(*_NAMES_OF_YEARS).all():
        return ""
    if pd.to_datetime(texts, format=form, errors="coerce").isna().any():
        return ""
    what, apart = ("months", "202512 and 202601") if digits == {6} else ("dates", "20260131 and 20260201")
    return (
        f"has {what} as numbers (line {numbers.index[0]} has {int(numbers.iloc[0])}), in which {apart} are "
        "far apart: make columns of year and month, or count days"
    )


def _texts(column: pd.Series) -> str:
    found = TextColumn.of(column)
    if example := found.time_example():
        return (
            f"has dates or times as texts ({example}), each a category of its own: make numbers of them, "
            "such as hour, weekday, month, or days since a date"
        )
    if example := found.mojibake_example():
        return f"has texts that were read in a wrong encoding ({example}): write the original again, in UTF-8"
    if example := found.unit_example():
        return f"has a number before the same word in every row ({example}): write quantities as numbers"
    return ""


def _lost_digits(dataset: Dataset, names: list[str]) -> dict[str, str]:
    """Return the features with whole numbers that have more digits than a model sees, with the warning."""
    numbers = [name for name in names if dataset.frame[name].dtype.kind in "iuf"]
    large = [name for name in numbers if (dataset.frame[name].abs() > EXACT_BELOW).any()]
    if not large:
        return {}
    texts = texts_in_file(dataset, large)
    found = {}
    for name in large:
        values = texts[name][texts[name].str.fullmatch(_LONG_DIGITS.pattern, na=False)]
        values = values[values.map(lambda text: abs(int(text)) > EXACT_BELOW)] if len(values) else values
        if len(values):
            found[name] = (
                f"has whole numbers above 2^53 in {counted(len(values), 'row')} (line {values.index[0]} has "
                f"{values.iloc[0].strip()[:30]}), of which a model sees the first 15 digits: "
                "if it is an id, remove it, or name it as `row_id`"
            )
    return found


def texts_in_file(dataset: Dataset, names: list[str]) -> pd.DataFrame:
    """Return columns as the file has them, by line."""
    import pandas as pd

    with opened(project_path(dataset.location)) as file:
        texts = pd.read_csv(file, usecols=names, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    if len(texts) == len(dataset.frame):
        texts.index = dataset.frame.index
    return texts
