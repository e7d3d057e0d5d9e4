"""The budget of false promotions: saved with time, and spent when a trial begins.

A trial with the allowance α ends with a wrong promotion with a probability of α at most. So the expected
number of false promotions by the trials that begin in a year is at most what was spent in it. A year's budget
has 13 shares: one is there at the beginning, and each month adds one, up to one. So any year spends 12, and
one that was saved.
"""

from __future__ import annotations

from datetime import datetime, timedelta

SHARES = 13  # of a year's budget
MONTH = timedelta(days=365) / 12
PART = 0.5  # of what is saved, for the next trial: there is always something left for the one after it
LARGEST = 0.05  # for one trial


def saved_by(now: datetime, saved: float, saved_at: datetime | None, a_year: float) -> float:
    """Return what is saved now, of ``a_year`` false promotions, with ``saved`` at ``saved_at``.

    Without ``saved_at`` nothing has been saved or spent yet.
    """
    most = a_year / SHARES
    if saved_at is None:
        return most
    months = max(timedelta(0), now - saved_at) / MONTH
    return min(most, saved + most * months)


def until_saved(saved: float, wanted: float, a_year: float) -> timedelta:
    """Return how long it takes until so much is saved."""
    return max(0.0, wanted - saved) / (a_year / SHARES) * MONTH


def allowance_of(saved: float) -> float:
    """Return what a trial that begins now may spend."""
    return min(LARGEST, saved * PART)
