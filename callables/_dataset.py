"""Reading a CSV of rows with a target, and splitting off the holdout that training never sees."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from callables._dataset_checks import NO_VALUE, ROWS_SHOWN, problems_of
from callables._files import project_path, sha256

if TYPE_CHECKING:
    import pandas as pd


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
    the file each row begins. Without a ``row_id`` column the row's number, from 0, is its id. Raises
    FileNotFoundError or ValueError with the remedy.
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
    if problems := problems_of(frame, target, row_id):
        raise ValueError("\n- ".join([f"dataset {location!r} cannot be used for training:", *problems]))
    return Dataset(location, digest, frame, row_id, target)


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
