"""From pairs of user and item to a matrix, and its parts: training, validation and test users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from batch_serving.shared.errors import InvalidValueError
from examples.recommender.arrays import Arrays, packed, unpacked

Ids = NDArray[np.int64]
FEWEST_USERS = 5  # of each part: fewer give no score that means anything


@dataclass(frozen=True)
class Interactions:
    """Who has what: a matrix of users × items with ones, and their ids in the order of rows and columns."""

    users: Ids
    items: Ids
    matrix: sparse.csr_array

    @classmethod
    def of(cls, users: Ids, items: Ids) -> Interactions:
        """Make the matrix of pairs; a pair that comes more than once counts once."""
        user_ids, rows = np.unique(users, return_inverse=True)
        item_ids, columns = np.unique(items, return_inverse=True)
        ones = np.ones(len(rows), dtype=np.float32)
        matrix = sparse.coo_array((ones, (rows, columns)), shape=(len(user_ids), len(item_ids))).tocsr()
        matrix.data[:] = 1.0
        return cls(user_ids, item_ids, matrix)

    def to_bytes(self) -> bytes:
        """Return it as an ``.npz`` file."""
        return packed({"users": self.users, "items": self.items, **_stored("matrix", self.matrix)})

    @classmethod
    def from_bytes(cls, content: bytes) -> Interactions:
        """Return what ``to_bytes`` has stored; BrokenFileError for anything else."""
        found = unpacked(content, ["users", "items", *_names("matrix")])
        return cls(found["users"], found["items"], _matrix(found, "matrix", len(found["items"])))

    def selected(self, rows: NDArray[np.bool_], columns: NDArray[np.bool_]) -> Interactions:
        """Return these rows and columns."""
        return Interactions(self.users[rows], self.items[columns], self.matrix[rows][:, columns].tocsr())


def filtered(data: Interactions, items_per_user: int, users_per_item: int) -> Interactions:
    """Return the users with at least so many items and the items with at least so many users.

    Each round may leave others with too few, so it is repeated until nothing changes.
    """
    while True:
        rows = np.diff(data.matrix.indptr) >= items_per_user
        columns = np.asarray(data.matrix.sum(axis=0)) >= users_per_item
        if rows.all() and columns.all():
            return data
        data = data.selected(rows, columns)


@dataclass(frozen=True)
class HeldOut:
    """Users that training never sees: what is known of each, and what is to be found; row by row."""

    known: sparse.csr_array
    wanted: sparse.csr_array


@dataclass(frozen=True)
class Parts:
    """The input of a model: the training users, and two sets of others. Columns are ``items``."""

    items: Ids
    train: sparse.csr_array
    validation: HeldOut
    test: HeldOut

    def to_bytes(self) -> bytes:
        """Return them as an ``.npz`` file."""
        stored = [_stored(name, matrix) for name, matrix in self._matrices().items()]
        return packed({"items": self.items} | {name: array for one in stored for name, array in one.items()})

    def _matrices(self) -> dict[str, sparse.csr_array]:
        held_out = (self.validation.known, self.validation.wanted, self.test.known, self.test.wanted)
        return dict(zip(MATRICES, (self.train, *held_out), strict=True))

    @classmethod
    def from_bytes(cls, content: bytes) -> Parts:
        """Return what ``to_bytes`` has stored; BrokenFileError for anything else."""
        found = unpacked(content, ["items", *(array for name in MATRICES for array in _names(name))])
        train, *others = (_matrix(found, name, len(found["items"])) for name in MATRICES)
        return cls(found["items"], train, HeldOut(*others[:2]), HeldOut(*others[2:]))


MATRICES = ("train", "validation_known", "validation_wanted", "test_known", "test_wanted")


def _names(name: str) -> tuple[str, str]:
    return f"{name}_starts", f"{name}_columns"


def _stored(name: str, matrix: sparse.csr_array) -> Arrays:
    """Return a matrix of ones as two arrays: where each row starts, and the columns of its ones."""
    return dict(zip(_names(name), (matrix.indptr, matrix.indices), strict=True))


def _matrix(arrays: Arrays, name: str, columns: int) -> sparse.csr_array:
    starts, indices = (arrays[one] for one in _names(name))
    ones = np.ones(len(indices), dtype=np.float32)
    return sparse.csr_array((ones, indices, starts), shape=(len(starts) - 1, columns))


def split(data: Interactions, held_out_share: float, wanted_share: float, seed: int) -> Parts:
    """Split by users, as in strong generalisation (Liang et al. 2018, section 4.2).

    ``held_out_share`` of the users are for validation and as many for the test; of the items of each,
    ``wanted_share`` are to be found, at least one, and at least one is known. A hash of the ids decides:
    users and items keep their place while the table grows, so that scores of different hours stay comparable.
    Raises InvalidValueError if a part has too few users.
    """
    chance = _hashed(data.users, np.zeros_like(data.users), seed)
    test = chance < held_out_share
    validation = (chance >= held_out_share) & (chance < 2 * held_out_share)
    train = ~test & ~validation
    # An item that no training user has cannot be learnt.
    learnt = np.asarray(data.matrix[train].sum(axis=0)) > 0
    every = np.ones(len(data.users), dtype=bool)
    data = data.selected(every, learnt)
    enough = np.diff(data.matrix.indptr) >= 2  # one is known, one is to be found
    for name, rows in (("training", train), ("validation", validation), ("the test", test)):
        found = int((rows & enough).sum())
        if found < FEWEST_USERS:
            raise InvalidValueError(
                f"after filtering there are {found} users for {name}, and at least {FEWEST_USERS} are needed",
                "collect more interactions, or lower min_items_per_user and min_users_per_item",
            )
    return Parts(
        data.items,
        data.matrix[train].tocsr(),
        _held_out(data, validation & enough, wanted_share, seed),
        _held_out(data, test & enough, wanted_share, seed),
    )


def _held_out(data: Interactions, rows: NDArray[np.bool_], wanted_share: float, seed: int) -> HeldOut:
    pairs = data.matrix[rows].tocoo()
    row, column = pairs.coords
    order = np.lexsort((_hashed(data.users[rows][row], data.items[column], seed + 1), row))
    row, column = row[order], column[order]
    counts = np.bincount(row, minlength=pairs.shape[0])
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    number = np.clip(np.rint(counts * wanted_share).astype(int), 1, counts - 1)
    is_wanted = place < number[row]

    def matrix(chosen: NDArray[np.bool_]) -> sparse.csr_array:
        ones = np.ones(int(chosen.sum()), dtype=np.float32)
        return sparse.coo_array((ones, (row[chosen], column[chosen])), shape=pairs.shape).tocsr()

    return HeldOut(matrix(~is_wanted), matrix(is_wanted))


def _hashed(first: Ids, second: Ids, seed: int) -> NDArray[np.float64]:
    """Return a number from 0 to 1 for each pair of ids: SplitMix64 (https://doi.org/10.1145/2660193.2660195)."""
    state = np.full(len(first), seed, dtype=np.uint64)
    for part in (first, second):
        state = (state ^ part.astype(np.uint64)) + np.uint64(0x9E3779B97F4A7C15)
        state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)) / float(1 << 53)
