"""The variational autoencoder Mult-VAE of Liang et al. 2018 (https://arxiv.org/abs/1802.05814), in numpy.

The gradient is written by hand: it takes thirty lines, and numpy is then all that training and serving need.
A test compares it with finite differences.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Weights:
    """The parameters: items → hidden → mean and logarithm of the variance; latent → hidden → items."""

    encoder: Matrix  # (items, hidden)
    encoder_bias: Matrix  # (hidden,)
    latent: Matrix  # (hidden, 2 · latent)
    latent_bias: Matrix  # (2 · latent,)
    decoder: Matrix  # (latent, hidden)
    decoder_bias: Matrix  # (hidden,)
    output: Matrix  # (hidden, items)
    output_bias: Matrix  # (items,)

    def __iter__(self) -> Iterator[Matrix]:
        """Yield the arrays, always in the same order."""
        return (getattr(self, name) for name in NAMES)

    @property
    def size(self) -> int:
        """The number of latent dimensions."""
        return int(self.decoder.shape[0])


NAMES = tuple(field.name for field in fields(Weights))


def initial(items: int, hidden: int, latent: int, random: np.random.Generator) -> Weights:
    """Return random weights (Glorot, uniform) and zero biases, in float32."""

    def uniform(rows: int, columns: int) -> Matrix:
        limit = np.sqrt(6 / (rows + columns))
        return random.uniform(-limit, limit, (rows, columns)).astype(np.float32)

    def zeros(size: int) -> Matrix:
        return np.zeros(size, dtype=np.float32)

    return Weights(
        encoder=uniform(items, hidden),
        encoder_bias=zeros(hidden),
        latent=uniform(hidden, 2 * latent),
        latent_bias=zeros(2 * latent),
        decoder=uniform(latent, hidden),
        decoder_bias=zeros(hidden),
        output=uniform(hidden, items),
        output_bias=zeros(items),
    )


def normalised(rows: Matrix) -> Matrix:
    """Return each row divided by its Euclidean length; a row of zeros stays one."""
    lengths = np.sqrt((rows * rows).sum(axis=1, keepdims=True))
    divided: Matrix = rows / np.maximum(lengths, 1e-12)
    return divided


def logits(weights: Weights, rows: Matrix) -> Matrix:
    """Return a score for each item, for users with these items (rows of 0 and 1): the mean is decoded."""
    hidden = np.tanh(normalised(rows) @ weights.encoder + weights.encoder_bias)
    mean = hidden @ weights.latent[:, : weights.size] + weights.latent_bias[: weights.size]
    decoded: Matrix = np.tanh(mean @ weights.decoder + weights.decoder_bias)
    scores: Matrix = decoded @ weights.output + weights.output_bias
    return scores


@dataclass(frozen=True)
class Batch:
    """What one step learns from: users × items, the same with items dropped, and noise."""

    rows: Matrix  # what is to be predicted
    inputs: Matrix  # normalised rows after dropout
    noise: Matrix  # (users, latent), standard normal
    beta: float  # the weight of the divergence


def loss_and_gradient(weights: Weights, batch: Batch) -> tuple[float, Weights]:
    """Return the negative evidence lower bound, a mean over users, and its gradient.

    Multinomial likelihood, and ``beta`` times the divergence from a standard normal prior.
    """
    users, size = batch.noise.shape
    hidden = np.tanh(batch.inputs @ weights.encoder + weights.encoder_bias)
    posterior = hidden @ weights.latent + weights.latent_bias
    mean, log_variance = posterior[:, :size], posterior[:, size:]
    deviation = np.exp(log_variance / 2)
    sample = mean + deviation * batch.noise
    decoded = np.tanh(sample @ weights.decoder + weights.decoder_bias)
    scores = decoded @ weights.output + weights.output_bias
    scores -= scores.max(axis=1, keepdims=True)
    exponentials = np.exp(scores)
    totals = exponentials.sum(axis=1, keepdims=True)
    likelihood = (batch.rows * (scores - np.log(totals))).sum()
    divergence = 0.5 * (mean**2 + deviation**2 - log_variance - 1).sum()
    loss = float(batch.beta * divergence - likelihood) / users

    to_scores = (exponentials * (batch.rows.sum(axis=1, keepdims=True) / totals) - batch.rows) / users
    to_decoded = (to_scores @ weights.output.T) * (1 - decoded**2)
    to_sample = to_decoded @ weights.decoder.T
    share = batch.beta / users
    to_mean = to_sample + share * mean
    to_log_variance = to_sample * batch.noise * deviation / 2 + share * (deviation**2 - 1) / 2
    to_posterior = np.concatenate([to_mean, to_log_variance], axis=1)
    to_hidden = (to_posterior @ weights.latent.T) * (1 - hidden**2)
    return loss, Weights(
        encoder=batch.inputs.T @ to_hidden,
        encoder_bias=to_hidden.sum(axis=0),
        latent=hidden.T @ to_posterior,
        latent_bias=to_posterior.sum(axis=0),
        decoder=sample.T @ to_decoded,
        decoder_bias=to_decoded.sum(axis=0),
        output=decoded.T @ to_scores,
        output_bias=to_scores.sum(axis=0),
    )
