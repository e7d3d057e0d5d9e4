"""What is wrong, or may be meant otherwise, with rows to learn from: by column and line of the file."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from callables._files import project_path, sha256

if TYPE_CHECKING:
    import pandas as pd

    from callables._dataset import Dataset

ROWS_SHOWN = 5
MOST_SLIPS = 0.2  # of a column's values may be texts among numbers; more of them are meant
RANGE_SLACK = 0.1  # of the champion's range, beyond which a value is told
NO_VALUE = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None")


def problems_of(frame: pd.DataFrame, target: str, row_id: str) -> list[str]:
    """Return all that stands in the way of learning from these rows, with columns and lines."""
    import pandas as pd

    missing = [
        f"no column {name!r} for `{key}`; {suggest(name, list(frame.columns))}"
        for key, name in (("target", target), ("row_id", row_id))
        if name not in frame.columns
    ]
    if missing:
        return missing
    if target == row_id:
        return [f"`target` and `row_id` both name column {target!r}"]
    if len(frame.columns) < 3:
        return [f"no feature column beside {row_id!r} and {target!r}"]
    if frame.empty:
        return ["it has a header line and no rows"]
    problems = []
    empty = frame.index[frame[target].isna()]
    if len(empty):
        problems.append(f"target {target!r} is empty in {len(empty)} rows: {_lines(empty)}")
    if frame[target].dtype.kind == "f" and (endless := _infinite(frame[target])):
        problems.append(endless)
    elif frame[target].dtype.kind not in "iufb":
        numbers = pd.to_numeric(frame[target], errors="coerce")
        gaps = frame.index[frame[target].isin(NO_VALUE) & frame[target].ne("")]
        if len(gaps) and numbers.notna().sum() + len(gaps) + len(empty) == len(frame):
            problems.append(f"target {target!r} has no number in {len(gaps)} rows: {_lines(gaps)}")
    blank = frame.index[frame[row_id].isna() | (frame[row_id].astype(str) == "")]
    if len(blank):
        problems.append(f"row id {row_id!r} is empty in {len(blank)} rows: {_lines(blank)}")
    twice = frame.index[frame[row_id].duplicated()]
    if len(twice):
        problems.append(f"row id {row_id!r} is not unique in {len(twice)} rows: {_lines(twice)}")
    if frame[target].nunique() == 1:
        problems.append(f"target {target!r} has the one value {frame[target].tolist()[0]!r} in all rows")
    for name in frame.columns:
        if name not in (target, row_id):
            problems += _problems_of_feature(frame[name])
    return problems


def _problems_of_feature(column: pd.Series) -> list[str]:
    """Return what is wrong with a feature: numbers with a few texts among them, or without an end."""
    import pandas as pd

    if column.dtype.kind in "iufb":
        endless = _infinite(column)
        return [endless] if endless else []
    present = column.dropna()
    numbers = pd.to_numeric(present, errors="coerce")
    texts = present[numbers.isna()]
    if texts.empty or len(texts) > MOST_SLIPS * len(present):
        return []
    shown = ", ".join(f"line {row} has {str(value)[:30]!r}" for row, value in texts[:ROWS_SHOWN].items())
    return [f"column {column.name!r} has numbers, but in {len(texts)} rows: {shown}"]


def _infinite(column: pd.Series) -> str:
    """Return in which rows a column of numbers has none that can be reckoned with; empty if in none."""
    rows = column.index[column.abs() == float("inf")]
    return f"column {column.name!r} is infinite in {len(rows)} rows: {_lines(rows)}" if len(rows) else ""


def check_numbers(dataset: Dataset, estimator: str) -> None:
    """Check that a regression has numbers to learn; ValueError otherwise."""
    target = dataset.frame[dataset.target]
    if target.dtype.kind not in "iufb":
        raise ValueError(
            f"dataset {dataset.location!r} cannot be used for training:\n- target {dataset.target!r} has "
            f"texts, {target.iloc[0]!r} in line {target.index[0]} say, and {estimator} learns numbers"
        )


def check_classes(dataset: Dataset, folds: int, rows: pd.DataFrame | None = None) -> None:
    """Check that each class of the target has a row for each fold; ValueError that names those without.

    ``rows`` are those outside the holdout, where only these count.
    """
    where = "" if rows is None else " outside the holdout"
    target = (dataset.frame if rows is None else rows)[dataset.target]
    counts = target.value_counts()
    if few := [value for value in counts.index if counts[value] < folds]:
        shown = ", ".join(
            f"{value!r} has {counts[value]} ({_lines(target.index[target == value])})"
            for value in few[:ROWS_SHOWN]
        )
        raise ValueError(
            f"dataset {dataset.location!r} cannot be used for training:\n- each class of target "
            f"{dataset.target!r} needs {folds} rows{where}, one for each fold, and {len(few)} have "
            f"fewer: {shown}"
        )


def warnings(dataset: Dataset, known: list[dict[str, Any]] | None) -> Iterator[str]:
    """Yield what can be learnt from and may be meant otherwise, with columns and lines.

    ``known`` are the features in the champion's record, with dtype and range; None where there is none.
    """
    features = dataset.frame[dataset.features]
    if padded := _padded(dataset):
        yield padded
    constant = [name for name in features if features[name].nunique(dropna=False) <= 1]
    if constant:
        yield f"the same value in all rows: {_names(constant)}"
    varied = features.drop(columns=constant)
    if twice := _repeated(varied):
        shown = [f"{name!r} as {earlier!r}" for name, earlier in twice.items()]
        yield f"the same values as in an earlier column: {_few(shown)}"
    for name in varied:
        empty = varied.index[varied[name].isna()]
        if len(empty):
            yield f"column {name!r} is empty in {len(empty)} rows: {_lines(empty)}"
    if gone := [feature["name"] for feature in known or [] if feature["name"] not in features]:
        every = " (all of them: is `model` right?)" if known and len(gone) == len(known) else ""
        yield f"no column for what the champion learnt from: {_names(gone)}{every}"
    for feature in known or []:
        if feature["name"] in features:
            yield from _differences(features[feature["name"]], feature)
    if known is not None and (new := [name for name in features if name not in {f["name"] for f in known}]):
        yield f"the champion does not know: {_names(new)}"


def _padded(dataset: Dataset) -> str:
    """Return that the target has codes such as 007, which are read, and predicted, as 7; empty if not."""
    import pandas as pd

    target = dataset.target
    if dataset.frame[target].dtype.kind not in "iu":
        return ""
    with project_path(dataset.location).open("rb") as file:
        texts = pd.read_csv(file, usecols=[target], dtype=str, encoding="utf-8-sig")[target]
    padded = texts[texts.str.fullmatch(r"0\d+", na=False)]
    if padded.empty:
        return ""
    return (
        f"target {target!r} has {padded.iloc[0]!r}, which is read, and predicted, as the number "
        f"{int(padded.iloc[0])}; write it with a letter if it is a code"
    )


def _repeated(frame: pd.DataFrame) -> dict[str, str]:
    """Return the columns whose values are those of an earlier one, with that one."""
    import pandas as pd

    seen: dict[str, str] = {}
    repeated = {}
    for name in frame:
        digest = sha256(pd.util.hash_pandas_object(frame[name], index=False).to_numpy().tobytes())
        if digest in seen:
            repeated[str(name)] = seen[digest]
        else:
            seen[digest] = str(name)
    return repeated


def _differences(column: pd.Series, known: dict[str, Any]) -> Iterator[str]:
    """Yield how a column differs from what the champion learnt from."""
    name = known["name"]
    if is_number(str(column.dtype)) != is_number(known["dtype"]):
        yield f"column {name!r} is {column.dtype}; the champion learnt from {known['dtype']}"
        return
    if column.dtype.kind == "f" and known["dtype"].startswith(("int", "uint", "bool")):
        fractions = column.index[column.notna() & (column % 1 != 0)]
        if len(fractions):
            yield (
                f"column {name!r} has fractions in {len(fractions)} rows: {_lines(fractions)}; the champion "
                "learnt from whole numbers"
            )
    low, high = known.get("min"), known.get("max")
    if low is None or high is None:
        return
    slack = RANGE_SLACK * (high - low)
    outside = column.index[(column < low - slack) | (column > high + slack)]
    if len(outside):
        yield (
            f"column {name!r} lies outside {low:g} to {high:g}, which the champion learnt from, "
            f"in {len(outside)} rows: {_lines(outside)}"
        )


def is_number(dtype: str) -> bool:
    """Tell whether a column of this type has numbers; true and false count as such."""
    return dtype.startswith(("int", "uint", "float", "bool", "Int", "Float"))


def _names(names: list[str]) -> str:
    return _few([repr(name) for name in names])


def _few(texts: list[str]) -> str:
    shown = ", ".join(texts[:ROWS_SHOWN])
    return shown if len(texts) <= ROWS_SHOWN else f"{shown} and {len(texts) - ROWS_SHOWN} more"


def suggest(name: str, names: list[str]) -> str:
    """Return the name that may have been meant, or those there are."""
    close = difflib.get_close_matches(name, names, n=1)
    return (
        f"did you mean {close[0]!r}?"
        if close
        else f"columns are {', '.join(names[:10])}{', …' * (len(names) > 10)}"
    )


def _lines(index: pd.Index) -> str:
    shown = ", ".join(f"line {row}" for row in index[:ROWS_SHOWN])
    return shown if len(index) <= ROWS_SHOWN else f"{shown}, …"
