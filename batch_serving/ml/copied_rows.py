"""Rows that occur twice: copies, or rows that agree by chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

FEWEST_COLUMNS = 2
SHOWN = 3
MOST_COLUMNS = 60  # with the most different values, that can tell a copy from chance
FEWEST_REPEATS = 3  # of a value, in rows that are no copies, to know that it determines another one
COPIES = 0.5  # of the pairs of rows that agree in all columns but one, so many agree there too


def copies_warning(frame: pd.DataFrame) -> str:
    """Return which rows are copies of others in all these columns; empty if there are none.

    Rows of few or coarse values agree by chance. Then there are also many that agree in all columns but one;
    copies differ from no row in one column only.
    """
    import numpy as np
    import pandas as pd

    if len(frame.columns) < FEWEST_COLUMNS or frame.empty:
        return ""
    hashes = [
        _mixed(pd.util.hash_pandas_object(frame[name], index=False).to_numpy(), place)
        for place, name in enumerate(frame)
    ]
    total = np.asarray(np.sum(hashes, axis=0, dtype=np.uint64))
    whole = pd.Series(total, index=frame.index)
    repeated = whole[whole.duplicated()]
    if repeated.empty or _may_be_chance(hashes, total):
        return ""
    firsts = whole.drop_duplicates()
    line_of = {value: line for line, value in firsts.items()}
    shown = ", ".join(f"line {line} is line {line_of[value]}" for line, value in repeated[:SHOWN].items())
    more = f" and {len(repeated) - SHOWN} more" if len(repeated) > SHOWN else ""
    repeat = "repeats" if len(repeated) == 1 else "repeat"
    number = counted(len(repeated), "row")
    return (
        f"{number} {repeat} an earlier one in all columns: {shown}{more}; a copy in the holdout makes the "
        "scores too good: remove them, if they are copies"
    )


def _mixed(hashes: np.ndarray, place: int) -> np.ndarray:
    """Return hashes that differ from column to column, so that their sum stands for the row."""
    import numpy as np

    with np.errstate(over="ignore"):
        mixed = (hashes ^ np.uint64(place * 0x9E3779B97F4A7C15 % 2**64)) * np.uint64(0xBF58476D1CE4E5B9)
        return np.asarray(mixed ^ (mixed >> np.uint64(29)))


def _may_be_chance(hashes: list[np.ndarray], total: np.ndarray) -> bool:
    """Return whether there is a column without which many more pairs of rows agree.

    Columns that a column determines, such as the same in another unit, are left out with it.
    """
    import numpy as np

    pairs = _pairs(total)
    sizes = [len(np.unique(one)) for one in hashes]
    richest = sorted(range(len(hashes)), key=lambda place: -sizes[place])[:MOST_COLUMNS]
    _, once = np.unique(total, return_index=True)
    singles = [one[once] for one in hashes]
    for place in richest:
        if sizes[place] < 2:
            continue
        determined = [
            other
            for other in richest
            if other != place and sizes[other] > 1 and _determines(singles[place], singles[other])
        ]
        rest = total - np.sum([hashes[one] for one in (place, *determined)], axis=0, dtype=np.uint64)
        if _pairs(rest) * COPIES > pairs:
            return True
    return False


def _determines(one: np.ndarray, other: np.ndarray) -> bool:
    """Return whether rows that differ elsewhere agree in one column if they agree in another."""
    import numpy as np

    values = len(np.unique(one))
    return len(one) - values >= FEWEST_REPEATS and len(np.unique(one + other * np.uint64(3))) == values


def _pairs(hashes: np.ndarray) -> float:
    import numpy as np

    _, counts = np.unique(hashes, return_counts=True)
    counts = counts.astype(float)
    return float((counts * (counts - 1)).sum() / 2)
