"""Reading a CSV of rows with a target."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

from batch_serving.ml.columns import NO_VALUE
from batch_serving.ml.dataset import ROW_NUMBER_NAMES, Dataset
from batch_serving.ml.dataset_checks import TargetNeeds, problems_of
from batch_serving.ml.file_forms import check_form, check_lines, header_problems, shape_problems
from batch_serving.ml.values import kind_of_texts, numbers_of
from batch_serving.shared.files import sha256
from batch_serving.shared.paths import project_path
from batch_serving.shared.reading import read_whole

if TYPE_CHECKING:
    import pandas as pd


def read_dataset(location: str, target: str, row_id: str | None, needs: TargetNeeds | None = None) -> Dataset:
    """Read a dataset and check that a model can be trained on it.

    Raises ValueError with all problems, each with its column and rows.
    """
    frame, row_id, digest = read_rows(location, row_id, target)
    if problems := problems_of(frame, target, row_id, needs):
        raise ValueError("\n- ".join([f"dataset {location!r} cannot be used for training:", *problems]))
    return Dataset(location, digest, frame, row_id, target)


def read_rows(location: str, row_id: str | None, target: str | None = None) -> tuple[pd.DataFrame, str, str]:
    """Read a CSV with a header line.

    Returns (frame, name of the row id column, sha256 of the file); the frame's index is the line of the file
    in which each row begins. Without a ``row_id`` column the row's number, from 0, is its id. Raises
    FileNotFoundError or ValueError with the remedy.
    """
    import pandas as pd

    path = project_path(location)
    try:
        data = read_whole(path)
    except FileNotFoundError:
        message = f"dataset {location!r} does not exist at {path}; correct `dataset` in the YAML"
        raise FileNotFoundError(message) from None
    except IsADirectoryError:
        raise ValueError(f"dataset {location!r} is a folder; name a file in it") from None
    columns, lines = _header_and_lines(location, data)
    frame = _parse(location, data, columns, row_id, target)
    if len(lines) == len(frame):
        frame.index = pd.Index(lines)
    if row_id is None:
        row_id = next(name for name in ROW_NUMBER_NAMES if name not in columns)
        frame.insert(0, row_id, [str(number) for number in range(len(frame))])
    return frame, row_id, sha256(data)


def _parse(
    location: str, data: bytes, columns: list[str], row_id: str | None, target: str | None
) -> pd.DataFrame:
    import pandas as pd

    # In a feature these mean "no value"; a target or an id may have None or NA as its value.
    no_values = {name: [""] if name in (row_id, target) else list(NO_VALUE) for name in columns}
    options: dict[str, Any] = {"keep_default_na": False, "na_values": no_values, "low_memory": False}
    try:
        frame: pd.DataFrame = pd.read_csv(
            io.BytesIO(data), dtype={row_id: str} if row_id else None, **options
        )
        # pandas gives huge integers, and flags with gaps, as objects: read them as texts, as prediction does.
        mixed = list(frame.columns[frame.dtypes.astype(str).isin(("object", "str"))])
        if mixed:
            texts = pd.read_csv(io.BytesIO(data), usecols=mixed, dtype=str, **options)
            for name in mixed:
                frame[name] = texts[name] if name in (row_id, target) else _as_its_kind(texts[name])
    except pd.errors.ParserError as error:
        raise ValueError(f"dataset {location!r} is not a CSV: {error}") from None
    return frame


def _as_its_kind(texts: pd.Series) -> pd.Series:
    """Return a column of texts as numbers or flags if all its values are such, otherwise unchanged."""
    present = texts.dropna()
    kind = kind_of_texts(present.tolist())
    if kind == "texts":
        return texts
    numbers, _ = numbers_of(texts, accepts_flags=kind == "flags")
    return numbers.astype(bool) if kind == "flags" and len(present) == len(texts) else numbers


def _header_and_lines(location: str, data: bytes) -> tuple[list[str], list[int]]:
    """Return the header, and the line in which each row begins.

    Raises ValueError unless it is text in UTF-8, and every row has as many fields as the header, which names
    each once.
    """
    check_form(location, data)
    check_lines(location, data)
    wrong, repeats, starts, end = [], [], [], 0
    first: list[str] = []
    try:
        lines = csv.reader(io.TextIOWrapper(io.BytesIO(data), encoding="utf-8-sig", newline=""))
        header = next(lines, [])
        end = lines.line_num
        for row in lines:
            if row:  # not a blank line
                starts.append(end + 1)
                first = first or row
                if len(row) != len(header):
                    wrong.append((end + 1, len(row)))
                elif row == header:
                    repeats.append(end + 1)
            end = lines.line_num
    except csv.Error as error:
        place = f", from line {end + 1} on" if end else ""
        raise ValueError(
            f"dataset {location!r} is not a CSV{place}: {error}; is a quote never closed?"
        ) from None
    if not header:
        reason = "its first line is blank" if starts else "it is empty"
        raise ValueError(f"dataset {location!r} is not a CSV with a header line: {reason}")
    problems = [*header_problems(header, first), *shape_problems(header, wrong, repeats, len(starts))]
    if problems:
        raise ValueError(f"dataset {location!r} {'; it '.join(problems)}")
    return header, starts
