"""Words of messages: counts with their noun, lists that stay short, and numbers."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5


def counted(number: int, noun: str) -> str:
    """Return ``1 row`` or ``2 rows``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shortened(texts: Sequence[str]) -> str:
    """Return the first few texts, and how many more there are."""
    first = ", ".join(texts[:SHOWN])
    return first if len(texts) <= SHOWN else f"{first} and {len(texts) - SHOWN} more"


def shown(value: float) -> str:
    """Return a score for messages: with at most four decimals."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
