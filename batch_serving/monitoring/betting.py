"""Tests that may look as often as they like: bets against a hypothesis, whose gains are the evidence.

A bet against "the mean of these values between 0 and 1 is at least m" multiplies the stake by 1 + λ (m − x)
for each value x. If the hypothesis holds, no bet gains on average, whenever one stops; so a gain to 1/α times
the stake has a probability of at most α at any time (Ville's inequality). Several λ share the stake, because
the best one is not known before (Waudby-Smith and Ramdas 2024, "Estimating means of bounded random variables
by betting").

For a change that comes later, a stake is added at the beginning of each period (Shin, Ramdas and Rinaldo
2022, "E-detectors"): until the sum reaches a threshold wrongly, at least as many periods pass on average.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

BETS = 12
LARGEST_BET = 0.9  # of the one that could lose everything; each further one is 2/3 of the one before
STEP = 2 / 3


class Bets:
    """Bets on the mean of values between 0 and 1: that it is below ``least``, or above it."""

    def __init__(self, least: float, *, below: bool) -> None:
        """Take the hypothesis: 0 < least < 1."""
        import numpy as np

        self._least, self._below = least, below
        largest = LARGEST_BET / (1 - least if below else least)
        self._bets = largest * STEP ** np.arange(BETS)

    def log_gains(self, values: Any) -> np.ndarray[Any, Any]:
        """Return the logarithm of what each bet makes of a stake of 1."""
        import numpy as np

        distinct, counts = np.unique(np.asarray(values, dtype=float), return_counts=True)
        misses = self._least - distinct if self._below else distinct - self._least
        gains: np.ndarray[Any, Any] = (np.log1p(np.outer(self._bets, misses)) * counts).sum(axis=1)
        return gains


class MeanDetector:
    """Notices when the mean of values between 0 and 1 is below ``least``, or above it."""

    def __init__(self, least: float, *, below: bool, periods: float) -> None:
        """Take the hypothesis (0 < least < 1), and how many periods pass between two false alarms."""
        import numpy as np

        self._bets, self._limit = Bets(least, below=below), math.log(periods)
        self._gains = np.full(BETS, -np.inf)  # logarithm of the sum of the stakes

    def add(self, values: Any) -> bool:
        """Add the values of a period; return whether the evidence suffices now."""
        import numpy as np

        self._gains = np.logaddexp(self._gains, 0.0) + self._bets.log_gains(values)
        return self.evidence >= 0

    @property
    def evidence(self) -> float:
        """How far the mean gain of the bets is above the limit, as a logarithm; below 0, it is not."""
        return mean_gain(self._gains) - self._limit


def mean_gain(log_gains: np.ndarray[Any, Any]) -> float:
    """Return what a stake of 1 that all bets share has become, as a logarithm."""
    import numpy as np

    return float(np.logaddexp.reduce(log_gains)) - math.log(BETS)


def gain_of_differences(differences: Any) -> float:
    """Return what bets on "the mean of these differences is above 0" make of a stake of 1, as a logarithm.

    ``differences`` are between -1 and 1. If their mean is 0 or less, the probability that this ever reaches
    log(1/α) is α at most, whenever and however often one looks.
    """
    import numpy as np

    return mean_gain(Bets(0.5, below=False).log_gains((np.asarray(differences, dtype=float) + 1) / 2))
