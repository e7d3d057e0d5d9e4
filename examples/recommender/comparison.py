"""The trained model beside popularity and EASE, for the same test users: a table, and what it proves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from examples.recommender import baselines, metrics
from examples.recommender.network import Weights, logits
from examples.recommender.splitting import HeldOut, Parts

RECALL_AT, NDCG_AT = 20, 100


@dataclass(frozen=True)
class Scored:
    """A model's scores, one for each test user."""

    name: str
    recall: NDArray[np.float64]
    ndcg: NDArray[np.float64]

    @property
    def recall_20(self) -> float:
        """The mean Recall@20."""
        return float(self.recall.mean())

    @property
    def ndcg_100(self) -> float:
        """The mean NDCG@100."""
        return float(self.ndcg.mean())


@dataclass(frozen=True)
class Comparison:
    """Three models on the same users."""

    model: Scored
    ease: Scored
    popularity: Scored

    def figures(self) -> dict[str, float]:
        """Return the means, six digits after the point."""
        named = {"": self.model, "ease_": self.ease, "popularity_": self.popularity}
        return {
            f"{prefix}{metric}": round(getattr(scored, metric), 6)
            for prefix, scored in named.items()
            for metric in ("recall_20", "ndcg_100")
        }

    def markdown(self) -> str:
        """Return the table, best first, and below it whether the model beats the others."""
        rows = sorted((self.model, self.ease, self.popularity), key=lambda one: -one.ndcg_100)
        lines = [f"| model | Recall@{RECALL_AT} | NDCG@{NDCG_AT} |", "|---|---|---|"]
        lines += [f"| {one.name} | {one.recall_20:.4f} | {one.ndcg_100:.4f} |" for one in rows]
        others = [(verdict(self.model, other)) for other in (self.popularity, self.ease)]
        users = len(self.model.ndcg)
        head = f"Scores are means over {users} test users, whom training has not seen."
        return "\n".join([*lines, "", head, *(f"* {text}" for text in others), ""])


def verdict(model: Scored, other: Scored) -> str:
    """Say for both metrics whether ``model`` is better than ``other``, by more than chance or not.

    The interval is that of a mean of paired differences, 1.96 standard errors to both sides; for fewer than
    30 users it is too narrow.
    """
    metrics_of = (
        (f"NDCG@{NDCG_AT}", model.ndcg - other.ndcg),
        (f"Recall@{RECALL_AT}", model.recall - other.recall),
    )
    return "; ".join(_verdict(name, model, other, difference) for name, difference in metrics_of)


def _verdict(metric: str, model: Scored, other: Scored, difference: NDArray[np.float64]) -> str:
    mean = difference.mean()
    half = 1.96 * difference.std(ddof=1) / np.sqrt(len(difference))
    low, high = mean - half, mean + half
    if low > 0:
        said = f"{model.name} beats {other.name}"
    elif high < 0:
        said = f"{model.name} does not beat {other.name}, which is better"
    else:
        said = f"{model.name} does not beat {other.name} by more than chance, nor the other way round"
    return f"{metric}: {said} ({mean:+.4f}, 95 % interval {low:+.4f} to {high:+.4f})"


def compared(parts: Parts, weights: Weights, penalties: Sequence[float]) -> Comparison:
    """Score the network and both baselines on the test users; validation users choose EASE's penalty."""
    test = parts.test
    counts = np.tile(baselines.popularity(parts.train), (test.known.shape[0], 1))
    penalty = best_penalty(parts.train, parts.validation, penalties)
    linear = test.known @ baselines.ease(parts.train, penalty)
    return Comparison(
        scored("Mult-VAE", logits(weights, test.known.toarray()), test),
        scored(f"EASE (penalty {penalty:g})", linear, test),
        scored("popularity", counts, test),
    )


def best_penalty(train: sparse.csr_array, users: HeldOut, penalties: Sequence[float]) -> float:
    """Return EASE's penalty with the best NDCG@100 for these users, the first of equals."""
    return max(
        penalties,
        key=lambda penalty: scored("", users.known @ baselines.ease(train, penalty), users).ndcg_100,
    )


def scored(name: str, scores: metrics.Scores, users: HeldOut) -> Scored:
    """Rank the items that each user does not have yet, and compare them with what is to be found."""
    ranking = metrics.ranked(scores, users.known, NDCG_AT)
    return Scored(
        name,
        metrics.recall(ranking, users.wanted, RECALL_AT),
        metrics.ndcg(ranking, users.wanted, NDCG_AT),
    )
