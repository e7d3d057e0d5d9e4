"""The holdout: rows that training never sees, the same from run to run."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from batch_serving.ml.datasets import read_dataset
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import sha256
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.ml.dataset import Dataset
    from batch_serving.ml.dataset_checks import TargetNeeds


def check_share(share: float) -> None:
    """Raise InvalidValueError unless a part of the rows can be held out."""
    if not 0 < share < 1:
        raise InvalidValueError(f"holdout_share is {share}", "it must be between 0 and 1, such as 0.2")


@dataclass(frozen=True)
class Moved:
    """The ids of rows of rare classes that are on the other side than their ids say."""

    to_holdout: tuple[str, ...] = ()
    to_training: tuple[str, ...] = ()

    def on_record(self) -> dict[str, Any]:
        """Return what a version's metadata says of them; nothing if there are none, as in most versions."""
        return {"moved": {name: list(ids) for name, ids in asdict(self).items()}} if self != Moved() else {}

    @classmethod
    def of(cls, holdout: dict[str, Any]) -> Moved:
        """Return the rows that a version's metadata names."""
        return cls(**{name: tuple(ids) for name, ids in holdout.get("moved", {}).items()})


def balanced(dataset: Dataset, share: float, seed: int, needs: TargetNeeds) -> Moved:
    """Return which rows to move so that each class is in the holdout, and has enough rows to learn from.

    A class with a row for each fold keeps those for training; one more goes to the holdout. Most classes have
    both by chance, and no row is moved. Otherwise it is the one nearest to the other side by the hash of its
    id, which is the same from run to run.
    """
    if not needs.is_classifier:
        return Moved()
    check_share(share)
    hashes, limit = _hashes(dataset, seed), _limit(share)
    classes, ids = dataset.frame[dataset.target], dataset.frame[dataset.row_id]
    totals = classes.value_counts()
    in_holdout = classes[hashes < limit].value_counts().reindex(totals.index, fill_value=0)
    most = (totals - max(1, needs.folds)).clip(lower=0)
    missing = in_holdout.clip(lower=1).clip(upper=most) - in_holdout  # below 0: too many
    unbalanced = hashes[classes.isin(missing.index[missing != 0])].sort_values()
    to_holdout: list[str] = []
    to_training: list[str] = []
    for value, ordered in unbalanced.groupby(classes):
        number = int(missing[value])
        if number > 0:
            to_holdout += ids[ordered.index[ordered >= limit][:number]].tolist()
        else:
            to_training += ids[ordered.index[ordered < limit][number:]].tolist()
    return Moved(tuple(sorted(to_holdout)), tuple(sorted(to_training)))


def split_holdout(
    dataset: Dataset, share: float, seed: int, moved: Moved = Moved()
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split into (training rows, holdout rows); ``share`` is about the part held out, 0 < share < 1.

    A row's side depends only on its id and the seed, except for ``moved`` rows, which a version's record
    names. So the holdout stays the same from run to run, and a row never changes sides when others are added.
    """
    check_share(share)
    held_out = _hashes(dataset, seed) < _limit(share)
    ids = dataset.frame[dataset.row_id]
    held_out = (held_out | ids.isin(moved.to_holdout)) & ~ids.isin(moved.to_training)
    training, holdout = dataset.frame[~held_out], dataset.frame[held_out]
    if training.empty or holdout.empty:
        raise ValueError(
            f"{counted(len(dataset.frame), 'row')} are not enough to hold out {share:.0%}: "
            f"{len(training)} for training, {len(holdout)} held out"
        )
    return training, holdout


def split_as(record: dict[str, Any], dataset: Dataset) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Split a dataset as a version did, by what its metadata says of its holdout."""
    return split_holdout(dataset, record["share"], record["seed"], Moved.of(record))


def read_holdout(metadata: dict[str, Any]) -> tuple[Dataset, pd.DataFrame]:
    """Return the dataset and the holdout that a version's metadata describes.

    Raises ValueError if the rows are no longer those that the version was scored on.
    """
    location = metadata["dataset"]["location"]
    data = read_dataset(location, metadata["target"], metadata["row_id"])
    _, holdout = split_as(metadata["holdout"], data)
    if fingerprint(holdout, data.row_id) != metadata["holdout"]["fingerprint"]:
        raise ValueError(
            f"the holdout rows of {location} have changed since {metadata['version']} was trained; "
            "run train_model again"
        )
    return data, holdout


def describe_holdout(holdout: pd.DataFrame, row_id: str, share: float, seed: int) -> dict[str, Any]:
    """Return what a version's metadata says of its holdout."""
    return {
        "share": share,
        "seed": seed,
        "rows": len(holdout),
        "fingerprint": fingerprint(holdout, row_id),
    }


def _hashes(dataset: Dataset, seed: int) -> pd.Series:
    """Return a number from 0 to 2^64 for each row, by its id."""
    hashes: pd.Series = dataset.frame[dataset.row_id].map(lambda row: _hash64(f"{seed}:{row}"))
    return hashes.astype("uint64")


def _limit(share: float) -> int:
    return int(share * 2**64)


def _hash64(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def fingerprint(frame: pd.DataFrame, row_id: str) -> str:
    """Return the SHA-256 of a frame's values and column names; the same rows give it in any order.

    All numbers count as floats: one gap in another row turns a column of integers into one of floats.
    """
    numbers = frame.select_dtypes("number").columns
    text = (
        frame.astype(dict.fromkeys(numbers, float))
        .sort_values(row_id)
        .to_csv(index=False, lineterminator="\n")
    )
    return sha256(text.encode())
