"""Recall@k and NDCG@k of ranked items, as Liang et al. 2018 define them (https://arxiv.org/abs/1802.05814)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Scores = NDArray[np.floating]


def ranked(scores: Scores, seen: sparse.csr_array, k: int) -> NDArray[np.int64]:
    """Return the ``k`` best columns of each row, best first, without those that are ``seen``.

    ``scores`` has a row for each user and a column for each item. Of equal scores the first column is better.
    A row that has fewer than ``k`` unseen columns ends with seen ones.
    """
    unseen = np.where(seen.toarray() > 0, -np.inf, scores)
    order: NDArray[np.int64] = np.argsort(-unseen, axis=1, kind="stable")[:, :k]
    return order


def recall(ranking: NDArray[np.int64], wanted: sparse.csr_array, k: int) -> NDArray[np.float64]:
    """Return for each user: hits in the first ``k``, divided by the smaller of ``k`` and the wanted items.

    Each user must want at least one item.
    """
    hits = _hits(ranking[:, :k], wanted).sum(axis=1)
    found: NDArray[np.float64] = hits / np.minimum(k, _counts(wanted))
    return found


def ndcg(ranking: NDArray[np.int64], wanted: sparse.csr_array, k: int) -> NDArray[np.float64]:
    """Return for each user the discounted gain of the first ``k``, divided by that of a perfect ranking.

    A hit at place r (from 1) counts 1 / log2(r + 1). Each user must want at least one item.
    """
    discounts = 1 / np.log2(np.arange(2, k + 2))
    hits = _hits(ranking[:, :k], wanted)
    gains = hits @ discounts[: hits.shape[1]]
    perfect = np.cumsum(discounts)[np.minimum(k, _counts(wanted)) - 1]
    found: NDArray[np.float64] = gains / perfect
    return found


def _hits(ranking: NDArray[np.int64], wanted: sparse.csr_array) -> NDArray[np.bool_]:
    hits: NDArray[np.bool_] = np.take_along_axis(wanted.toarray() > 0, ranking, axis=1)
    return hits


def _counts(wanted: sparse.csr_array) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = np.diff(wanted.indptr).astype(np.int64)
    return counts
