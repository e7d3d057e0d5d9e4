"""Reading a CSV of rows with a target, and splitting off the holdout that training never sees."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callables._files import project_path, sha256

if TYPE_CHECKING:
    import pandas as pd

ROWS_SHOWN = 5
MOST_SLIPS = 0.2  # of a column's values may be texts among numbers; more of them are meant
RANGE_SLACK = 0.1  # of the champion's range, beyond which a value is told
NO_VALUE = ("", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None")


@dataclass(frozen=True)
class Dataset:
    """Rows read from one file: ``frame`` has the row ids (text), the features and the target."""

    location: str
    sha256: str
    frame: pd.DataFrame
    row_id: str
    target: str

    @property
    def features(self) -> list[str]:
        """The columns that a model may learn from, in the file's order."""
        return [name for name in self.frame.columns if name not in (self.row_id, self.target)]


def read_rows(location: str, row_id: str | None, target: str | None = None) -> tuple[pd.DataFrame, str, str]:
    """Read a CSV with a header line.

    Returns (frame, name of the row id column, sha256 of the file); the frame's index says in which line of
    the file each row begins. Without a ``row_id`` column the row's
    number, from 0, is its id. Raises FileNotFoundError or ValueError with the remedy.
    """
    import io

    import pandas as pd

    path = project_path(location)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        message = f"dataset {location!r} does not exist at {path}; correct `dataset` in the YAML"
        raise FileNotFoundError(message) from None
    columns, lines = _check_shape(location, data)
    # In a feature these mean "no value"; a target or an id may well be called None or NA.
    empty = {name: [""] if name in (row_id, target) else list(NO_VALUE) for name in columns}
    dtype = {row_id: str} if row_id else None
    try:
        options: dict[str, Any] = {"keep_default_na": False, "na_values": empty, "low_memory": False}
        frame = pd.read_csv(io.BytesIO(data), dtype=dtype, **options)
        # Of true and false beside a gap, say, pandas makes objects: take the texts, as prediction will.
        mixed = list(frame.columns[frame.dtypes.astype(str) == "object"])
        if mixed:
            texts = pd.read_csv(io.BytesIO(data), usecols=mixed, dtype=str, **options)
            frame[mixed] = texts[mixed]
    except pd.errors.ParserError as error:
        raise ValueError(f"dataset {location!r} is not a CSV: {error}") from None
    if len(lines) == len(frame):
        frame.index = pd.Index(lines)
    if row_id is None:
        row_id = next(name for name in ("row_number", "_row_number", "__row_number") if name not in columns)
        frame.insert(0, row_id, [str(number) for number in range(len(frame))])
    return frame, row_id, sha256(data)


def _check_shape(location: str, data: bytes) -> tuple[list[str], list[int]]:
    """Return the header, and the line in which each row begins.

    Raises ValueError unless every row has as many fields, named once each.
    """
    import csv
    import io

    wrong, starts, end = [], [], 0
    try:
        lines = csv.reader(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline=""))
        header = next(lines, [])
        end = lines.line_num
        for row in lines:
            if row:  # no blank line
                starts.append(end + 1)
                if len(row) != len(header):
                    wrong.append((end + 1, len(row)))
            end = lines.line_num
    except (csv.Error, UnicodeDecodeError) as error:
        place = f", from line {end + 1} on" if end else ""
        raise ValueError(
            f"dataset {location!r} is not a CSV in UTF-8{place}: {error}; a quote that is never closed?"
        ) from None
    if not header:
        blank = "its first line is blank" if starts else "it is empty"
        raise ValueError(f"dataset {location!r} is not a CSV with a header line: {blank}")
    if len(header) == 1 and (other := next((mark for mark in ";\t|" if mark in header[0]), "")):
        raise ValueError(f"dataset {location!r} is separated by {other!r}; a CSV is by commas")
    if wrong:
        shown = ", ".join(f"line {number} has {count}" for number, count in wrong[:ROWS_SHOWN])
        raise ValueError(f"dataset {location!r} has {len(header)} columns, but {shown} fields")
    if twice := sorted({name for name in header if header.count(name) > 1}):
        raise ValueError(f"dataset {location!r} has two columns named {', '.join(map(repr, twice))}")
    return header, starts


def read_dataset(location: str, target: str, row_id: str | None) -> Dataset:
    """Read a dataset and check that it can be learnt from.

    Raises ValueError that lists every problem with its column and rows.
    """
    frame, row_id, digest = read_rows(location, row_id, target)
    problems = list(_problems(frame, target, row_id))
    if problems:
        raise ValueError("\n- ".join([f"dataset {location!r} cannot be used for training:", *problems]))
    return Dataset(location, digest, frame, row_id, target)


def _problems(frame: pd.DataFrame, target: str, row_id: str) -> list[str]:
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
            problems += _problems_of(frame[name])
    return problems


def _problems_of(column: pd.Series) -> list[str]:
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
    if column.dtype.kind == "f" and known["dtype"].startswith(("int", "uint")):
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


def check_share(share: float) -> None:
    """Raise ValueError unless a part of the rows can be held out."""
    if not 0 < share < 1:
        raise ValueError(f"holdout_share is {share}; it must lie between 0 and 1, such as 0.2")


def split_holdout(dataset: Dataset, share: float, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split into (training rows, holdout rows); ``share`` is about the part held out, 0 < share < 1.

    A row's side depends on its id and the seed alone, so that the holdout stays the same from run to run,
    and a row never changes sides when others are added.
    """
    check_share(share)
    limit = int(share * 2**64)
    held_out = dataset.frame[dataset.row_id].map(lambda row: _hash64(f"{seed}:{row}") < limit)
    training, holdout = dataset.frame[~held_out], dataset.frame[held_out]
    if training.empty or holdout.empty:
        raise ValueError(
            f"{len(dataset.frame)} rows are too few to hold out {share:.0%}: "
            f"{len(training)} for training, {len(holdout)} held out"
        )
    return training, holdout


def read_holdout(metadata: dict[str, Any]) -> tuple[Dataset, pd.DataFrame]:
    """Return the dataset and the holdout that a version's metadata describes.

    Raises ValueError if the rows are no longer those that the version was scored on.
    """
    location = metadata["dataset"]["location"]
    data = read_dataset(location, metadata["target"], metadata["row_id"])
    _, holdout = split_holdout(data, metadata["holdout"]["share"], metadata["holdout"]["seed"])
    if fingerprint(holdout, data.row_id) != metadata["holdout"]["fingerprint"]:
        raise ValueError(
            f"the holdout rows of {location} have changed since {metadata['version']} was trained; "
            "run train_model again"
        )
    return data, holdout


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def fingerprint(frame: pd.DataFrame, row_id: str) -> str:
    """Return the SHA-256 of a frame's values and column names; the same rows give it in any order.

    Whole numbers count as such in whatever type: one gap in another row makes a column one of fractions.
    """
    numbers = frame.select_dtypes("number").columns
    text = (
        frame.astype(dict.fromkeys(numbers, float))
        .sort_values(row_id)
        .to_csv(index=False, lineterminator="\n")
    )
    return sha256(text.encode())
