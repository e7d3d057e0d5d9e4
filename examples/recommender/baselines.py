"""What a model must be compared with: the most popular items, and a linear model in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse


def popularity(train: sparse.csr_array) -> NDArray[np.float64]:
    """Return how many users of ``train`` (users × items) have each item."""
    counts: NDArray[np.float64] = np.asarray(train.sum(axis=0), dtype=np.float64)
    return counts


def ease(train: sparse.csr_array, penalty: float) -> NDArray[np.float64]:
    """Return EASE's weights, items × items with a zero diagonal; a user's scores are ``user @ weights``.

    They minimise ``|X - X B|² + penalty · |B|²`` for a B with a zero diagonal. Closed form: Steck 2019,
    https://arxiv.org/abs/1905.03375, equation 8. ``penalty`` must be above 0.
    """
    gram = (train.T @ train).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    inverse = linalg.inv(gram, overwrite_a=True)
    weights: NDArray[np.float64] = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return weights
