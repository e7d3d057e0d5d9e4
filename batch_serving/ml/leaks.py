"""Features that give the target or the row id away."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from batch_serving.ml.dataset import ROW_NUMBER_NAMES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from batch_serving.ml.dataset import Dataset

FEWEST_ROWS = 20
FEWEST_VALUES = 10  # of fewer a rule may be known, such as of a grade and whether it is a pass
MOST_VALUES = 0.5  # of the rows: with more different values each has its own target in any case
BY_CHANCE = 1e-9  # how likely it may be that values agree with the target without a reason
EXACT = 1e-9  # 1 - |correlation|


def leak_warnings(dataset: Dataset, names: list[str]) -> Iterator[str]:
    """Yield which of these features are copies of the row id or of the target, or determine the target."""
    frame = dataset.frame
    if len(frame) < FEWEST_ROWS:
        return
    target, ids = frame[dataset.target], frame[dataset.row_id]
    for name in names:
        column = frame[name]
        if _is_same(column, ids):
            if dataset.row_id in ROW_NUMBER_NAMES:
                yield f"column {name!r} is the row's number: remove it, or name it as `row_id`"
            else:
                yield f"column {name!r} is a copy of the row id {dataset.row_id!r}: remove it"
        elif reason := _reveals(column, target):
            yield f"column {name!r} {reason}: is it known before the target is? If not, remove it"


def _is_same(column: pd.Series, other: pd.Series) -> bool:
    """Return whether two columns have the same values; the first few rows mostly tell that they have not."""
    for rows in (FEWEST_ROWS, len(column)):
        if column[:rows].isna().any() or not (_as_text(column[:rows]) == _as_text(other[:rows])).all():
            return False
    return True


def _as_text(column: pd.Series) -> pd.Series:
    """Return values as texts in which 7, 7.0, 007 and "7 " are the same."""
    texts = column.astype(str).str.strip().str.casefold()
    return texts.str.replace(r"^0+(?=\d)", "", regex=True).str.replace(r"\.0+$", "", regex=True)


def _reveals(column: pd.Series, target: pd.Series) -> str:
    """Return how a feature reveals the target; empty if it does not."""
    import pandas as pd

    known = column.notna() & target.notna()
    column, target = column[known], target[known]
    if len(column) < FEWEST_ROWS:
        return ""
    codes, values = pd.factorize(column)
    classes, targets = pd.factorize(target)
    if len(values) < 2 or len(targets) < 2:
        return ""
    if _is_linear(column, target, len(targets)):
        return f"is the target {target.name!r} in other numbers" if not column.equals(target) else _COPY
    pairs = len(pd.unique(codes.astype("int64") * len(targets) + classes))
    if pairs != len(values):
        return ""
    if len(values) == len(targets):
        if _is_same(column, target):
            return _COPY
        return (
            ""
            if _may_be_chance(codes, classes)
            else "has the target in other words: each value has one target"
        )
    if not FEWEST_VALUES <= len(values) <= MOST_VALUES * len(column) or _may_be_chance(codes, classes):
        return ""
    if _is_threshold(column, classes, len(targets)):
        return ""
    return f"determines the target: each of its {len(values)} values has only one"


_COPY = "is a copy of the target"


def _is_linear(column: pd.Series, target: pd.Series, targets: int) -> bool:
    """Return whether two columns of numbers are the same up to a factor and an offset."""
    import numpy as np

    if column.dtype.kind not in "iuf" or target.dtype.kind not in "iuf" or targets <= 2:
        return False
    x, y = column.to_numpy(float), target.to_numpy(float)
    x, y = x - x.mean(), y - y.mean()
    with np.errstate(over="ignore", invalid="ignore"):
        product = math.sqrt(float(x @ x)) * math.sqrt(float(y @ y))
        return bool(product > 0 and math.isfinite(product) and abs(float(x @ y)) / product > 1 - EXACT)


def _is_threshold(column: pd.Series, classes: np.ndarray, targets: int) -> bool:
    """Return whether the classes are ranges of a measurement: that of petals may well separate them."""
    import numpy as np

    if column.dtype.kind != "f" or not (column % 1 != 0).any():
        return False
    ordered = classes[np.argsort(column.to_numpy(), kind="stable")]
    return int((ordered[1:] != ordered[:-1]).sum()) + 1 == targets


def _may_be_chance(codes: np.ndarray, classes: np.ndarray) -> bool:
    """Return whether so few rows repeat a value that they may agree in the target by chance.

    If the target did not depend on the value, a row agreed with the first one of its value as often as the
    target's most frequent class occurs.
    """
    import numpy as np

    share = np.bincount(classes).max() / len(classes)
    repeats = len(codes) - len(np.unique(codes))
    return bool(repeats * math.log(share) > math.log(BY_CHANCE))
