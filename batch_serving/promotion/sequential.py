"""A trial: how far the evidence for a contender has come, and whether to go on.

The gain of each labelled row is bet on (see ``betting``): the evidence is what a stake of 1 has become. If
the contender is not better, it reaches 1/allowance with the probability ``allowance`` at most, although it is
looked at in each run. ``tests/benchmarks/bench_gate.py`` has simulated months.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from batch_serving.monitoring.betting import LARGEST_BET, gain_of_differences
from batch_serving.promotion.evidence import Gains
from batch_serving.promotion.gate import Evidence
from batch_serving.registry.contender import Trial
from batch_serving.shared.wording import counted, shown

FEWEST_ROWS = 200  # before a contender is given up
PATIENCE = 3  # rows that are needed at most, as a multiple of those that the trial will still have
NOT_YET = "not certainly better yet"
GIVEN_UP = "given up, the next version gets a trial"
LATE = 3  # a trial lasts this many times ``most_days`` by the clock at most: labels come late, or never


@dataclass(frozen=True)
class TrialProgress:
    """The evidence for a contender, and what follows from it."""

    trial: Trial
    gains: Gains
    now: datetime

    @cached_property
    def log_evidence(self) -> float:
        """What a stake of 1 has become, as a logarithm."""
        return gain_of_differences(self.gains.values) if self.gains.rows else 0.0

    @property
    def log_needed(self) -> float:
        """What it has to become."""
        return -math.log(self.trial.allowance)

    @property
    def mean(self) -> float:
        """The mean difference of the scores, in the unit of the metric."""
        return self.gains.mean_difference

    @property
    def is_proven(self) -> bool:
        """Whether the evidence suffices: the contender is better, by however little."""
        return self.log_evidence >= self.log_needed

    @property
    def is_better(self) -> bool:
        """Whether the evidence suffices, and the gain is large enough.

        A few large errors are cut where they are bet on (``Trial.largest``), and are not cut in the mean.
        """
        return self.is_proven and self.mean > 0 and self.mean >= self.trial.min_delta

    @property
    def rows_needed(self) -> float:
        """How many more rows it takes if the contender goes on as so far; infinity if it is not better."""
        mean = self.gains.mean
        if mean <= 0:
            return math.inf
        best_bet = min(LARGEST_BET, mean / self.gains.mean_square)
        return max(0.0, (self.log_needed - self.log_evidence) / (mean * best_bet / 2))

    @property
    def is_given_up(self) -> bool:
        """Whether the trial has lasted as long as it may, or is not expected to end with a promotion."""
        rows, days, most_days = self.gains.rows, self.gains.days, self.trial.most_days
        if days >= most_days or self.now - self.trial.since >= timedelta(days=LATE * most_days):
            return True
        if rows < FEWEST_ROWS:
            return False
        # A trial of one run so far says nothing of how many rows there will be.
        to_come = rows * (most_days - days) / days if days else math.inf
        return math.isinf(self.rows_needed) or self.rows_needed > PATIENCE * to_come

    def evidence(self) -> Evidence:
        """Return the result as the gate takes it."""
        needed = self.rows_needed
        numbers: dict[str, Any] = {
            "name": "sequential",
            "rows": self.gains.rows,
            "won": self.gains.won,
            "lost": self.gains.lost,
            "gain": round(self.mean, 6),
            "evidence": round(math.exp(min(self.log_evidence, 50)), 3),
            "needed": round(math.exp(self.log_needed), 1),
            "rows_needed": None if math.isinf(needed) else math.ceil(needed),
            "since": self.trial.since.isoformat(timespec="seconds"),
        }
        return Evidence(self.is_better, self._sentence(numbers), numbers)

    def _sentence(self, numbers: dict[str, Any]) -> str:
        state = NOT_YET
        if self.is_better:
            state = "better"
        elif self.is_given_up:
            state = GIVEN_UP
        elif self.is_proven and self.mean > 0:
            state = f"better by less than min_delta {shown(self.trial.min_delta)} so far"
        rows = counted(numbers["rows"], "labelled row")
        text = (
            f"{state}: of {rows} the contender {self.trial.version} is better in {numbers['won']}, the "
            f"champion in {numbers['lost']}, a mean gain of {shown(self.mean)}; evidence "
            f"{numbers['evidence']:.3g}, and {numbers['needed']:.3g} are needed"
        )
        if self.is_proven or self.is_given_up:
            return text
        more = numbers["rows_needed"]
        return f"{text}: {'about ' + counted(more, 'more row') if more else 'not in sight yet'}"
