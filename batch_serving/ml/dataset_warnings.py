"""What does not prevent training on rows, but may be unintended: by column and line of the file."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from batch_serving.ml.columns import is_number, lines_of, out_of_range
from batch_serving.ml.copied_rows import copies_warning
from batch_serving.ml.dataset_checks import huge_numbers
from batch_serving.ml.identifiers import id_warnings
from batch_serving.ml.leaks import leak_warnings
from batch_serving.ml.odd_values import odd_target_warnings, odd_value_warnings, texts_in_file
from batch_serving.ml.text_columns import TextColumn
from batch_serving.shared.files import sha256
from batch_serving.shared.wording import counted, shortened

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.ml.dataset import Dataset


def warnings_of(
    dataset: Dataset, known: list[dict[str, Any]] | None, own_kind: Collection[str] = ()
) -> Iterator[str]:
    """Yield what may be unintended, with columns and lines.

    ``known`` are the features in the champion's record, with dtype and range; None if there is no champion.
    Columns with a kind of their own, such as free texts, may have a value of their own in each row.
    """
    features = dataset.frame[dataset.features]
    if padded := _padded_codes(dataset):
        yield padded
    if notation := _target_notation(dataset):
        yield notation
    yield from odd_target_warnings(dataset)
    empty = [name for name in dataset.features if features[name].isna().all()]
    if empty:
        yield f"empty in all rows: {_names(empty)}"
    constant = [name for name in dataset.features if features[name].nunique(dropna=False) <= 1]
    if same := [name for name in constant if name not in empty]:
        yield f"the same value in all rows: {_names(same)}"
    varied = features.drop(columns=constant)
    repeats = _repeated(varied)
    if repeats:
        shown = [f"{name!r} repeats {earlier!r}" for name, earlier in repeats.items()]
        yield f"columns with the same values: {shortened(shown)}"
    names = [str(name) for name in varied if name not in repeats and name not in own_kind]
    yield from _unintended(dataset, names)
    if known is not None:
        yield from _champion_differences(features, known)


def _unintended(dataset: Dataset, names: list[str]) -> Iterator[str]:
    """Yield what is unusual in features that vary, and in whole rows."""
    leaks = list(leak_warnings(dataset, names))
    yield from leaks
    names = _without(names, leaks)
    odd = list(odd_value_warnings(dataset, names))
    yield from odd
    yield from id_warnings(dataset.frame, _without(names, odd))
    if copies := copies_warning(dataset.frame.drop(columns=[dataset.row_id])):
        yield copies


def _without(names: list[str], reported: list[str]) -> list[str]:
    """Return the columns that no warning is about yet."""
    return [name for name in names if not any(text.startswith(f"column {name!r} ") for text in reported)]


def _champion_differences(features: pd.DataFrame, known: list[dict[str, Any]]) -> Iterator[str]:
    """Yield how the features differ from those that the champion was trained on."""
    missing = [feature["name"] for feature in known if feature["name"] not in features]
    if missing:
        every = " (all of them: is `model` right?)" if len(missing) == len(known) else ""
        yield f"columns that the champion was trained on are missing: {_names(missing)}{every}"
    for feature in known:
        if feature["name"] in features:
            yield from _column_differences(features[feature["name"]], feature)
    known_names = {feature["name"] for feature in known}
    new = [str(name) for name in features if name not in known_names]
    if new:
        yield f"columns that the champion was not trained on: {_names(new)}"


def _column_differences(column: pd.Series, known: dict[str, Any]) -> Iterator[str]:
    """Yield how a column differs from the one that the champion was trained on."""
    name = known["name"]
    if is_number(str(column.dtype)) != is_number(known["dtype"]):
        yield f"column {name!r} is {column.dtype}; the champion was trained on {known['dtype']}"
        return
    if column.dtype.kind == "f" and known["dtype"].startswith(("int", "uint", "bool")):
        fractions = column.index[column.notna() & (column % 1 != 0)]
        if len(fractions):
            rows = f"{counted(len(fractions), 'row')}: {lines_of(fractions)}"
            yield f"column {name!r} has fractions in {rows}; the champion was trained on whole numbers"
    shares = (known.get("distribution") or {}).get("shares")
    empty = column.index[column.isna()]
    if shares and not shares[-1] and len(empty):  # the last share is that of empty cells
        rows = f"{counted(len(empty), 'row')}: {lines_of(empty)}"
        yield f"column {name!r} is empty in {rows}; the champion was trained on rows without gaps"
    low, high = known.get("min"), known.get("max")
    if low is None or high is None:
        return
    outside = column.index[out_of_range(column, low, high)]
    if len(outside):
        rows = f"{counted(len(outside), 'row')}: {lines_of(outside)}"
        yield f"column {name!r} is outside {low:g} to {high:g}, the champion's training range, in {rows}"


def _padded_codes(dataset: Dataset) -> str:
    """Return that the target has codes such as 007, which become 7; empty if it has none."""
    target = dataset.target
    if dataset.frame[target].dtype.kind not in "iu":
        return ""
    texts = texts_in_file(dataset, [target])[target]
    padded = texts[texts.str.fullmatch(r"0\d+", na=False)]
    if padded.empty:
        return ""
    return (
        f"target {target!r} has {padded.iloc[0]!r}, which is read and predicted as the number "
        f"{int(padded.iloc[0])}; if it is a code, write it with a letter"
    )


def _target_notation(dataset: Dataset) -> str:
    """Return that the target has numbers in another notation, which only a classifier takes as classes."""
    column = dataset.frame[dataset.target]
    if column.dtype.kind in "iufb":
        return ""
    if huge := huge_numbers(column):
        return f"{huge}, so that all its values are read as texts: correct them"
    return TextColumn.of(column).number_problem(f"target {dataset.target!r}")


def _repeated(frame: pd.DataFrame) -> dict[str, str]:
    """Return the columns that have the same values as an earlier one, with that one."""
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


def _names(names: list[str]) -> str:
    return shortened([repr(name) for name in names])
