"""A model file, loaded: checks rows such as ``{"items": [1, 5, 9], "count": 20}``, and recommends items."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from batch_serving.shared.suggestions import did_you_mean, meant
from examples.recommender.arrays import BrokenFileError, packed, unpacked
from examples.recommender.network import NAMES, Weights, logits
from examples.recommender.splitting import Ids

Row = Mapping[str, Any]
Problem = dict[str, Any]
COLUMNS = ("items", "count")
COUNT, MOST = 20, 100  # how many items are recommended, and at most


def file_of(items: Ids, weights: Weights) -> bytes:
    """Return the model file: the ids of the items in the order of the network, and its weights."""
    return packed({"items": items, **dict(zip(NAMES, weights, strict=True))})


def load(content: bytes) -> RecommendingModel:
    """Return the model of a file's content; BrokenFileError, a ValueError, if it is not one of ``train``."""
    found = unpacked(content, ["items", *NAMES])
    items, weights = found["items"], Weights(**{name: found[name] for name in NAMES})
    if items.dtype != np.int64 or items.ndim != 1 or not len(items) or len(np.unique(items)) != len(items):
        raise BrokenFileError("'items' must be a list of different whole numbers")
    _check_weights(weights, len(items))
    return RecommendingModel(items, weights)


def _check_weights(weights: Weights, items: int) -> None:
    hidden = weights.encoder.shape[-1] if weights.encoder.ndim else 0
    latent = weights.decoder.shape[0] if weights.decoder.ndim else 0
    encoder = [(items, hidden), (hidden,), (hidden, 2 * latent), (2 * latent,)]
    decoder = [(latent, hidden), (hidden,), (hidden, items), (items,)]
    for name, array, shape in zip(NAMES, weights, [*encoder, *decoder], strict=True):
        if array.shape != shape:
            raise BrokenFileError(f"{name!r} has the shape {array.shape}, and {shape} is needed")
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise BrokenFileError(f"{name!r} has values that are not finite numbers")


class RecommendingModel:
    """Recommends items to users, who are known by the items that they have; threads may share it."""

    def __init__(self, items: Ids, weights: Weights) -> None:
        """Take the ids of the items, in the order of the network's columns, and its weights."""
        self._items, self._weights = items, weights
        self._places = {int(item): place for place, item in enumerate(items)}

    def check(self, rows: list[Row]) -> list[Problem]:
        """Return what is wrong: for each problem its row (from 0), column, text and hint."""
        found: list[Problem] = []
        for number, row in enumerate(rows):
            for column, problem, hint in (*self._of_items(row), *_of_count(row)):
                found.append({"row": number, "column": column, "problem": problem, "hint": hint})
        return found

    def _of_items(self, row: Row) -> list[tuple[str, str, str]]:
        example = "write a list of item ids, such as [1, 5, 9]"
        if "items" not in row:
            return [("items", "column 'items' is missing", did_you_mean("items", row) or example)]
        items = row["items"]
        if not isinstance(items, list | tuple):
            return [("items", f"must be a list, got {_shown(items)}", example)]
        if not items:
            return [("items", "is empty", "give at least one item that the user has")]
        found, seen = [], set()
        for item in items:
            if not isinstance(item, int) or isinstance(item, bool):
                found.append(("items", f"{_shown(item)} is not a whole number", "write ids without quotes"))
            elif item in seen:
                found.append(("items", f"item {_shown(item)} is there twice", "give each item once"))
            elif item not in self._places:
                hint = (
                    f"leave it out: the model has learnt {len(self._items)} items, and this is none of them"
                )
                found.append(("items", f"item {_shown(item)} is unknown", hint))
            else:
                seen.add(item)
        return found

    def predict(self, rows: list[Row]) -> list[dict[str, Any]]:
        """Return for each row the best items that it does not have, best first, and the probability of each.

        The rows have passed ``check``. A user who has nearly all items gets fewer than ``count``.
        """
        if not rows:
            return []
        have = np.zeros((len(rows), len(self._items)), dtype=np.float32)
        for number, row in enumerate(rows):
            have[number, [self._places[item] for item in row["items"]]] = 1
        scores = logits(self._weights, have).astype(np.float64)
        scores -= scores.max(axis=1, keepdims=True)
        shares = np.exp(scores)
        shares /= shares.sum(axis=1, keepdims=True)
        order = np.argsort(np.where(have > 0, np.inf, -scores), axis=1, kind="stable")
        return [self._best(*one) for one in zip(rows, order, shares, strict=True)]

    def _best(self, row: Row, order: Ids, shares: Any) -> dict[str, Any]:
        count = min(row.get("count", COUNT), len(self._items) - len(row["items"]))
        best = order[:count]
        return {"items": self._items[best].tolist(), "probabilities": np.round(shares[best], 6).tolist()}


def _of_count(row: Row) -> list[tuple[str, str, str]]:
    hint = f"write a whole number from 1 to {MOST}, or leave it out for {COUNT}"
    if "count" not in row:
        # Other columns may be there, such as a row's id; a misspelt one would be ignored unseen.
        misspelt = [name for name in row if meant(name, COLUMNS) == "count"]
        return [(name, f"column {name!r} is unknown", "did you mean 'count'?") for name in misspelt]
    count = row["count"]
    if not isinstance(count, int) or isinstance(count, bool):
        return [("count", f"must be a whole number, got {_shown(count)}", hint)]
    if not 1 <= count <= MOST:
        return [("count", f"is {_shown(count)}, outside 1 to {MOST}", hint)]
    return []


def _shown(value: object) -> str:
    if isinstance(value, int) and value.bit_length() > 100:
        return "a number of more than 30 digits"
    text = repr(value)
    return text if len(text) <= 30 else f"{text[:29]}…"
