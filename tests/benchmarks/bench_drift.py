"""The drift alarm: how often it is false in 1,000 quiet days, and how often it sees a change.

``make bench`` prints it. The peer is the rule of the first release: ten quantile bins of the numbers, the same
threshold of 0.25, and nothing against chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from batch_serving.ml import drift

TRAINING_ROWS = 1500
QUIET_DAYS = 1000
CHANGED_DAYS = 100
ROWS = (5, 20, 288, 1_000, 10_000)
QUIET_ROWS = (5, 20, 288, 1_000)
Draw = Callable[[np.random.Generator, int], Any]


def _mixed(draw: np.random.Generator, rows: int, share: float, values: Any) -> Any:
    return np.where(draw.random(rows) < share, 0.0, values)


QUIET: dict[str, Draw] = {
    "normal": lambda draw, rows: draw.normal(size=rows),
    "skewed": lambda draw, rows: draw.lognormal(size=rows),
    "flag, half": lambda draw, rows: draw.random(rows) < 0.5,
    "flag, 5 %": lambda draw, rows: draw.random(rows) < 0.05,
    "flag, 1 %": lambda draw, rows: draw.random(rows) < 0.01,
    "stars": lambda draw, rows: draw.choice([1, 2, 3, 4, 5], rows, p=[0.02, 0.02, 0.02, 0.02, 0.92]),
    "constant": lambda draw, rows: np.full(rows, 3.0),
    "mostly zero": lambda draw, rows: _mixed(draw, rows, 0.95, draw.gamma(2.0, size=rows)),
    "counts": lambda draw, rows: draw.poisson(3, rows),
    "few texts": lambda draw, rows: draw.choice(["a", "b", "c"], rows, p=[0.7, 0.25, 0.05]),
    "many texts": lambda draw, rows: np.char.add("t", draw.zipf(1.5, rows).clip(max=500).astype(str)),
    "gaps": lambda draw, rows: np.where(draw.random(rows) < 0.1, np.nan, draw.normal(size=rows)),
    "mostly gaps": lambda draw, rows: np.where(draw.random(rows) < 0.99, np.nan, draw.normal(size=rows)),
    "heavy tail": lambda draw, rows: draw.pareto(0.8, rows),
    "zeros and a heavy tail": lambda draw, rows: _mixed(draw, rows, 0.9, draw.pareto(1.1, rows) * 100),
    "whole numbers": lambda draw, rows: draw.normal(0, 3, rows).round(),
    "codes 1 to 30": lambda draw, rows: draw.integers(1, 31, rows),
    "hour of the day": lambda draw, rows: draw.integers(0, 24, rows),
    "200 texts, equal": lambda draw, rows: np.char.add("t", draw.integers(0, 200, rows).astype(str)),
    "texts, long tail": lambda draw, rows: np.char.add(
        "t", draw.zipf(1.3, rows).clip(max=100_000).astype(str)
    ),
    "texts, all different": lambda draw, rows: np.char.add("t", draw.integers(0, 10**12, rows).astype(str)),
}
CHANGED: dict[str, tuple[str, Draw]] = {
    "normal: mean +0.25 sd": ("normal", lambda draw, rows: draw.normal(0.25, size=rows)),
    "normal: mean +0.5 sd": ("normal", lambda draw, rows: draw.normal(0.5, size=rows)),
    "normal: mean +1 sd": ("normal", lambda draw, rows: draw.normal(1, size=rows)),
    "normal: spread x2": ("normal", lambda draw, rows: draw.normal(0, 2, size=rows)),
    "flag, 95 % ones: all 0": ("flag, 95 %", lambda draw, rows: np.zeros(rows)),
    "flag, 5 % ones: all 1": ("flag, 5 %", lambda draw, rows: np.ones(rows)),
    "flag, 5 % ones: 25 %": ("flag, 5 %", lambda draw, rows: draw.random(rows) < 0.25),
    "stars: half become 1": ("stars", lambda draw, rows: draw.choice([1, 5], rows)),
    "stars: all 6": ("stars", lambda draw, rows: np.full(rows, 6)),
    "constant: falls": ("constant", lambda draw, rows: np.full(rows, 2.0)),
    "constant: rises": ("constant", lambda draw, rows: np.full(rows, 4.0)),
    "mostly zero: half": (
        "mostly zero",
        lambda draw, rows: _mixed(draw, rows, 0.5, draw.gamma(2.0, size=rows)),
    ),
    "few texts: 5 % new": (
        "few texts",
        lambda draw, rows: np.where(draw.random(rows) < 0.05, "new", QUIET["few texts"](draw, rows)),
    ),
    "few texts: half new": ("few texts", lambda draw, rows: draw.choice(["a", "new"], rows)),
    "many texts: half new": ("many texts", lambda draw, rows: _half_new(draw, rows)),
    "heavy tail: times 3": ("heavy tail", lambda draw, rows: 3 * draw.pareto(0.8, rows)),
    "hour of the day: nights": ("hour of the day", lambda draw, rows: draw.integers(0, 8, rows)),
    "normal: all empty": ("normal", lambda draw, rows: np.full(rows, np.nan)),
    "few texts: all empty": ("few texts", lambda draw, rows: np.full(rows, None)),
    "gaps: half empty": (
        "normal",
        lambda draw, rows: np.where(draw.random(rows) < 0.5, np.nan, draw.normal(size=rows)),
    ),
}
QUIET_ONLY_IN_TRAINING: dict[str, Draw] = {"flag, 95 %": lambda draw, rows: draw.random(rows) < 0.95}


def _half_new(draw: np.random.Generator, rows: int) -> Any:
    old = QUIET["many texts"](draw, rows)
    return np.where(draw.random(rows) < 0.5, np.char.add("new", old), old)


class Peer:
    """The rule of the first release."""

    def __init__(self, column: pd.Series) -> None:
        self.edges: list[float] = []
        self.values: list[str] = []
        if column.dtype.kind in "iufb":
            values = column.dropna().to_numpy(dtype=float)
            self.edges = sorted({float(v) for v in np.quantile(values, [n / 10 for n in range(1, 10)])})
        else:
            self.values = [str(value) for value in column.dropna().value_counts().index[: drift.MOST_VALUES]]
        self.bins = {"edges": self.edges} if not self.values else {"values": self.values}
        self.shares = [number / len(column) for number in drift.count(self.bins, column)]

    def alarms(self, column: pd.Series) -> bool:
        """Whether a day has an alarm."""
        return drift.psi(self.shares, drift.count(self.bins, column)) > drift.ALARM_AT


class Ours:
    """The rule of this project."""

    def __init__(self, column: pd.Series) -> None:
        self.bins = drift.describe(column)
        self.known = frozenset() if column.dtype.kind in "iufb" else frozenset(map(str, column.dropna()))

    def alarms(self, column: pd.Series) -> bool:
        """Whether a day has an alarm."""
        counts = drift.count(self.bins, column, self.known)
        return drift.is_alarm(drift.psi(self.bins["shares"], counts), counts, self.bins)


def _share(rule: Peer | Ours, draw: Draw, rows: int, days: int, seed: int) -> float:
    random = np.random.default_rng(seed)
    return sum(rule.alarms(pd.Series(draw(random, rows))) for _ in range(days)) / days


def _rules(shape: str) -> tuple[Peer, Ours]:
    draw = {**QUIET, **QUIET_ONLY_IN_TRAINING}[shape]
    column = pd.Series(draw(np.random.default_rng(7), TRAINING_ROWS))
    return Peer(column), Ours(column)


def main() -> None:
    """Print both tables."""
    from batch_serving.shared.command_line import end_in_order

    end_in_order()
    print(f"\ndrift: false alarms in {QUIET_DAYS} quiet days, after training on {TRAINING_ROWS} rows")
    print(f"{'feature':26} {'rows a day':>10} {'first release':>14} {'now':>8}")
    worst = 0.0
    for shape, draw in QUIET.items():
        peer, ours = _rules(shape)
        for rows in QUIET_ROWS:
            before, now = (_share(rule, draw, rows, QUIET_DAYS, 11) for rule in (peer, ours))
            worst = max(worst, now)
            print(f"{shape:26} {rows:10} {before:14.1%} {now:8.1%}")
    print(f"the worst now: {math.ceil(worst * QUIET_DAYS)} in {QUIET_DAYS}")
    print(f"\ndrift: days with an alarm after a change, of {CHANGED_DAYS}")
    print(f"{'change':26} {'rows a day':>10} {'first release':>14} {'now':>8}")
    for name, (shape, draw) in CHANGED.items():
        peer, ours = _rules(shape)
        for rows in ROWS:
            before, now = (_share(rule, draw, rows, CHANGED_DAYS, 13) for rule in (peer, ours))
            print(f"{name:26} {rows:10} {before:14.0%} {now:8.0%}")


if __name__ == "__main__":
    main()
