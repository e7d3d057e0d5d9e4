"""What is wrong with rows to train on, by column and line of the file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch_serving.ml.columns import NO_VALUE, lines_of
from batch_serving.ml.text_columns import TextColumn, quoted
from batch_serving.ml.values import is_number_text
from batch_serving.shared.suggestions import did_you_mean
from batch_serving.shared.wording import SHOWN, counted, shortened

if TYPE_CHECKING:
    import pandas as pd

FEWEST_BEFORE_TOTALS = 5  # rows
_TOTALS = re.compile(
    r"(((grand|sub)[ -]?)?totals?|sums?|average|mean|gesamt|summe|합계|총계|총합|소계|평균|合計|总计|平均):?",
    re.IGNORECASE,
)
FEWEST_FOR_CLASSES = 20  # rows
MOST_CLASSES = 0.5  # of the rows
MOST_REPEATED = 3  # ids of which both lines are shown


@dataclass(frozen=True)
class TargetNeeds:
    """What an estimator needs of the target: numbers, or classes with ``folds`` rows each (0: any number)."""

    estimator: str
    is_classifier: bool
    folds: int = 0


def problems_of(frame: pd.DataFrame, target: str, row_id: str, needs: TargetNeeds | None = None) -> list[str]:
    """Return everything that prevents training on these rows, with columns and lines."""
    names = [str(name) for name in frame.columns]
    fundamental = _missing_columns(names, target, row_id) or _too_small(frame, target, row_id)
    if fundamental:
        return fundamental
    problems = _target_problems(frame[target], target)
    if needs is not None and not problems:
        problems += _target_misfits(frame[target], needs)
    problems += _row_id_problems(frame[row_id], row_id)
    for name in names:
        if name not in (target, row_id):
            problems += _feature_problems(frame[name], name)
    return problems + _totals(frame, row_id)


def _missing_columns(names: list[str], target: str, row_id: str) -> list[str]:
    return [
        f"no column {name!r} for `{key}`; {column_hint(name, names)}"
        for key, name in (("target", target), ("row_id", row_id))
        if name not in names
    ]


def column_hint(name: str, names: list[str]) -> str:
    """Return which column may have been meant, or which ones there are."""
    more = ", …" if len(names) > 10 else ""
    if len(names) > 1 and sum(map(is_number_text, names)) > len(names) / 2:
        more += ": is line 1 a row of values? Then add a line of column names"
    return did_you_mean(name, names) or f"the columns are {', '.join(names[:10])}{more}"


def _too_small(frame: pd.DataFrame, target: str, row_id: str) -> list[str]:
    if target == row_id:
        return [f"`target` and `row_id` both name column {target!r}"]
    if len(frame.columns) < 3:
        return [f"there is no feature column beside {row_id!r} and {target!r}"]
    if frame.empty:
        return ["it has a header line but no rows"]
    return []


def _target_problems(column: pd.Series, target: str) -> list[str]:
    """Return what is wrong with the target: gaps, infinite numbers, or the same value everywhere."""
    import pandas as pd

    problems = []
    empty = column.index[column.isna()]
    if len(empty):
        problems.append(f"target {target!r} is empty in {_rows(empty)}")
    if column.dtype.kind == "f" and (infinite := _infinite(column, target)):
        problems.append(infinite)
    elif column.dtype.kind not in "iufb":
        numbers = pd.to_numeric(column, errors="coerce")
        gaps = column.index[column.isin(NO_VALUE) & column.ne("")]
        if len(gaps) and numbers.notna().sum() + len(gaps) + len(empty) == len(column):
            problems.append(f"target {target!r} is not a number in {_rows(gaps)}")
    if column.nunique() == 1:
        problems.append(f"target {target!r} has the same value {column.tolist()[0]!r} in all rows")
    return problems


def _row_id_problems(column: pd.Series, row_id: str) -> list[str]:
    problems = []
    blank = column.index[column.isna() | (column.astype(str) == "")]
    if len(blank):
        problems.append(f"row id {row_id!r} is empty in {_rows(blank)}")
    repeated = column[column.duplicated()].drop(blank, errors="ignore")
    if len(repeated):
        problems.append(
            f"row id {row_id!r} is not unique in {_rows(repeated.index)}{_first_lines(column, repeated)}"
        )
    return problems


def _first_lines(column: pd.Series, repeated: pd.Series) -> str:
    """Return the values of the first few repeated ids, and the lines that have them for the first time."""
    firsts = column[column.isin(repeated[:MOST_REPEATED])].drop_duplicates()
    line_of = {value: line for line, value in firsts.items()}
    shown = [f"{quoted(value)}, as line {line_of[value]}" for value in repeated[:MOST_REPEATED]]
    return f" has {shown[0]}" if len(repeated) == 1 else f" have {'; '.join(shown)}"


def _feature_problems(column: pd.Series, name: str) -> list[str]:
    """Return what is wrong with a feature: infinite numbers, few texts among numbers, another notation."""
    if column.dtype.kind in "iufb":
        infinite = _infinite(column, name)
        return [infinite] if infinite else []
    problem = TextColumn.of(column).number_problem(f"column {name!r}")
    return [problem] if problem else []


def _infinite(column: pd.Series, name: str) -> str:
    """Return in which rows a column of numbers is infinite; empty if in none."""
    rows = column.index[column.abs() == float("inf")]
    if not len(rows):
        return ""
    return f"column {name!r} is infinite in {_rows(rows)}; the greatest number is 1.8e308"


def _rows(index: pd.Index) -> str:
    return f"{counted(len(index), 'row')}: {lines_of(index)}"


def _totals(frame: pd.DataFrame, row_id: str) -> list[str]:
    """Return that the last line has totals: by a word such as Total, or as all its numbers are sums."""
    if len(frame) < FEWEST_BEFORE_TOTALS:
        return []
    last, before = frame.iloc[-1], frame.iloc[:-1]
    line = frame.index[-1]
    for name in frame.columns:
        is_word = isinstance(last[name], str) and _TOTALS.fullmatch(last[name].strip())
        if is_word and not (before[name] == last[name]).any():
            return [f"the last line, {line}, has totals: {quoted(last[name])} in {name!r}; delete it"]
    numbers = before.select_dtypes("number").drop(columns=[row_id], errors="ignore")
    sums = numbers.sum()
    telling = sums.index[(numbers.nunique() > 2) & (sums != 0)]
    differs = (last[telling].astype(float) - sums[telling]).abs() > 1e-9 * sums[telling].abs()
    if len(telling) > 1 and not differs.any() and not last[telling].isna().any():
        return [f"the last line, {line}, has the sums of the lines above it; delete it"]
    return []


def _target_misfits(target: pd.Series, needs: TargetNeeds) -> list[str]:
    """Return why an estimator cannot learn this target."""
    if not needs.is_classifier:
        return _not_numbers(target, needs.estimator)
    problem = _no_classes(target, needs.estimator) or _small_classes(target, needs.folds)
    return [problem] if problem else []


def _no_classes(target: pd.Series, estimator: str) -> str:
    """Return that a classifier's target has numbers or texts that differ from row to row; empty if not."""
    hint = f"{estimator} needs classes: use a regressor, or another target"
    if target.dtype.kind == "f" and len(fractions := target[target % 1 != 0]):
        return (
            f"target {target.name!r} has fractions: line {fractions.index[0]} has {fractions.iloc[0]}; {hint}"
        )
    different = target.nunique()
    if len(target) >= FEWEST_FOR_CLASSES and different > MOST_CLASSES * len(target):
        return f"target {target.name!r} has {different} different values in {len(target)} rows; {hint}"
    return ""


def _not_numbers(target: pd.Series, estimator: str) -> list[str]:
    """Return which values of a regression's target are not numbers, or are whole numbers without end."""
    if target.dtype.kind in "iufb":
        return []
    if problem := TextColumn.of(target).not_numbers(f"target {target.name!r}"):
        return [f"{problem}; {estimator} needs numbers"]
    huge = huge_numbers(target)
    return [f"{huge}; correct them, or write 1e20 for 100000000000000000000"] if huge else []


def huge_numbers(target: pd.Series) -> str:
    """Return where a target of numbers has some of more than 64 bits, so that all are texts; empty if not."""
    if target.dtype.kind in "iufb" or not all(map(is_number_text, target.map(str))):
        return ""
    huge = target[[abs(float(value)) >= 2**63 for value in target]]
    if huge.empty:
        return ""
    shown = ", ".join(f"line {line} has {quoted(value)}" for line, value in huge[:SHOWN].items())
    rows = counted(len(huge), "row")
    return f"target {target.name!r} has whole numbers of more than 64 bits in {rows}: {shown}"


def _small_classes(target: pd.Series, folds: int) -> str:
    counts = target.value_counts()
    small = [
        f"{quoted(value)} has {counts[value]} ({lines_of(target.index[target == value])})"
        for value in counts.index[counts < folds][: SHOWN + 1]
    ]
    if not small:
        return ""
    number = int((counts < folds).sum())
    listed = shortened(small[:SHOWN]) + (f" and {number - SHOWN} more" if number > SHOWN else "")
    needed = f"at least {counted(folds, 'row')}, one for each fold"
    return (
        f"each class of target {target.name!r} needs {needed}: {listed}; "
        "add rows, remove these, or give another class to them"
    )
