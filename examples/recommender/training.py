"""Training the network: mini-batches, dropout, an annealed divergence, Adam; validation chooses the epoch."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
from scipy import sparse

from batch_serving.shared.errors import InvalidValueError
from examples.recommender import metrics
from examples.recommender.network import (
    NAMES,
    Batch,
    Matrix,
    Weights,
    initial,
    logits,
    loss_and_gradient,
    normalised,
)
from examples.recommender.splitting import HeldOut, Parts

log = logging.getLogger(__name__)

SCORED_AT = 100  # NDCG@100 chooses the epoch


@dataclass(frozen=True)
class TrainingSettings:
    """How the network is made and trained."""

    hidden: int
    latent: int
    epochs: int
    batch: int  # users in a step
    learning_rate: float
    dropout: float  # share of a user's items that are hidden from the encoder
    beta: float  # the weight of the divergence once it is annealed
    annealing: float  # share of all steps until then
    seed: int

    def __post_init__(self) -> None:
        """Raise InvalidValueError for a value that cannot be used."""
        for name in ("hidden", "latent", "epochs", "batch"):
            if not getattr(self, name) >= 1:
                raise InvalidValueError(f"{name} is {getattr(self, name)}", "write a whole number from 1 on")
        for name in ("dropout", "beta"):
            if not 0 <= getattr(self, name) < 1:
                raise InvalidValueError(
                    f"{name} is {getattr(self, name)}", "write a number from 0 to below 1"
                )
        if not 0 <= self.annealing <= 1:
            raise InvalidValueError(f"annealing is {self.annealing}", "write a number from 0 to 1")
        if not 0 < self.learning_rate < 1:
            raise InvalidValueError(f"learning_rate is {self.learning_rate}", "write a number such as 0.001")


@dataclass(frozen=True)
class Trained:
    """The weights of the best epoch, and what is known of the training."""

    weights: Weights
    epoch: int
    validation_ndcg: float
    seconds: float


def train(parts: Parts, settings: TrainingSettings) -> Trained:
    """Return the network of the epoch with the best NDCG@100 for the validation users.

    On one core, so that the same seed and the same interactions give the same weights, bit by bit, on one
    machine; with more threads the order of additions can differ.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        return _train(parts, settings)


def _train(parts: Parts, settings: TrainingSettings) -> Trained:
    start = time.monotonic()
    random = np.random.default_rng(settings.seed)
    weights = initial(len(parts.items), settings.hidden, settings.latent, random)
    adam = Adam(weights, settings.learning_rate)
    users = parts.train.shape[0]
    annealed_at = max(1.0, settings.annealing * settings.epochs * -(-users // settings.batch))
    best = Trained(weights, 0, -1.0, 0.0)
    for epoch in range(1, settings.epochs + 1):
        order, total = random.permutation(users), 0.0
        for place in range(0, users, settings.batch):
            beta = settings.beta * min(1.0, adam.steps / annealed_at)
            batch = _batch(parts.train[order[place : place + settings.batch]], beta, settings, random)
            loss, gradient = loss_and_gradient(weights, batch)
            weights = adam.step(weights, gradient)
            total += loss * len(batch.rows)
        score = validation_score(weights, parts.validation)
        log.info("epoch %d: loss %.3f, NDCG@%d of validation %.4f", epoch, total / users, SCORED_AT, score)
        if score > best.validation_ndcg:
            best = Trained(weights, epoch, score, 0.0)
    if best.epoch == 0:
        raise InvalidValueError("the training diverges: no epoch has a score", "lower learning_rate")
    return Trained(best.weights, best.epoch, best.validation_ndcg, time.monotonic() - start)


def validation_score(weights: Weights, users: HeldOut) -> float:
    """Return the mean NDCG@100 of held-out users; not a number if the weights are not."""
    scores = logits(weights, users.known.toarray())
    if not np.isfinite(scores).all():
        return float("nan")
    ranking = metrics.ranked(scores, users.known, SCORED_AT)
    return float(metrics.ndcg(ranking, users.wanted, SCORED_AT).mean())


def _batch(
    users: sparse.csr_array, beta: float, settings: TrainingSettings, random: np.random.Generator
) -> Batch:
    rows = users.toarray()
    inputs = normalised(rows)
    if settings.dropout:
        kept = random.random(rows.shape, dtype=np.float32) >= settings.dropout
        inputs *= kept
        inputs /= np.float32(1 - settings.dropout)
    noise = random.standard_normal((len(rows), settings.latent), dtype=np.float32)
    return Batch(rows, inputs, noise, beta)


class Adam:
    """The optimiser of Kingma and Ba 2015 (https://arxiv.org/abs/1412.6980), algorithm 1."""

    def __init__(
        self, weights: Weights, learning_rate: float, decay: float = 0.9, decay_of_squares: float = 0.999
    ) -> None:
        """Start with moments of zero."""
        self.steps = 0
        self._rate, self._decays = learning_rate, (decay, decay_of_squares)
        self._means: list[Matrix] = [np.zeros_like(one) for one in weights]
        self._squares: list[Matrix] = [np.zeros_like(one) for one in weights]

    def step(self, weights: Weights, gradient: Weights) -> Weights:
        """Return the weights after one step against the gradient."""
        self.steps += 1
        first, second = self._decays
        rate = self._rate * float(np.sqrt(1 - second**self.steps) / (1 - first**self.steps))
        moved = []
        for value, slope, mean, square in zip(weights, gradient, self._means, self._squares, strict=True):
            mean *= first
            mean += (1 - first) * slope
            square *= second
            square += (1 - second) * slope * slope
            moved.append(value - rate * mean / (np.sqrt(square) + 1e-8))
        return Weights(**dict(zip(NAMES, moved, strict=True)))
