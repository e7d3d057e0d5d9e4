"""Made-up interactions that look like real ones: clusters of taste, a long tail, few users with much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pairs = NDArray[np.int64]


@dataclass(frozen=True)
class SampleSettings:
    """How large the sample is, and how its users choose."""

    users: int = 5_000
    items: int = 1_000
    seed: int = 1
    tastes: int = 25
    tastes_of_a_user: float = 0.03  # concentration of a Dirichlet distribution: one or two tastes
    popularity_exponent: float = 0.9  # the long tail: the item at rank r has the weight r ** -0.9
    items_of_a_user: float = 28.0  # the median; the numbers are log-normal
    spread: float = 0.7  # standard deviation of the logarithm of these numbers
    indifference: float = 0.1  # share of the choices that follow popularity and no taste


def made_interactions(settings: SampleSettings) -> Pairs:
    """Return pairs of user id and item id, shape (pairs, 2), each pair once, sorted; the seed decides all.

    A user draws items without replacement (Gumbel top-k: https://arxiv.org/abs/1903.06059) with probabilities
    that are a mixture of tastes; a taste is a cluster of items, weighted by their popularity.
    """
    random = np.random.default_rng(settings.seed)
    chances = _chances_of_items(settings, random)
    mixtures = random.dirichlet(np.full(settings.tastes, settings.tastes_of_a_user), settings.users)
    counts = random.lognormal(np.log(settings.items_of_a_user), settings.spread, settings.users)
    counts = np.clip(counts.astype(int), 3, settings.items // 4)
    pairs = []
    for user, (mixture, count) in enumerate(zip(mixtures, counts, strict=True)):
        keys = np.log(mixture @ chances) + random.gumbel(size=settings.items)
        chosen = np.argpartition(-keys, count)[:count]
        pairs.append(np.column_stack([np.full(count, user + 1), np.sort(chosen) + 1]))
    return np.concatenate(pairs).astype(np.int64)


def _chances_of_items(settings: SampleSettings, random: np.random.Generator) -> NDArray[np.float64]:
    """Return the probability of each item for each taste, shape (tastes, items)."""
    ranks = random.permutation(settings.items) + 1
    popularity = ranks.astype(float) ** -settings.popularity_exponent
    popularity /= popularity.sum()
    # An item belongs to one cluster mostly, and somewhat to a few others.
    affinity = random.dirichlet(np.full(settings.tastes, 0.08), settings.items).T
    liked = affinity * np.sqrt(popularity)
    liked /= liked.sum(axis=1, keepdims=True)
    chances: NDArray[np.float64] = (1 - settings.indifference) * liked + settings.indifference * popularity
    return chances
