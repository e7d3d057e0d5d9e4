"""Words of messages: counts with their noun, and lists that stay short."""

from __future__ import annotations

from collections.abc import Sequence

SHOWN = 5


def counted(number: int, noun: str) -> str:
    """Return ``1 row`` or ``2 rows``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def shortened(texts: Sequence[str]) -> str:
    """Return the first few texts, and how many more there are."""
    shown = ", ".join(texts[:SHOWN])
    return shown if len(texts) <= SHOWN else f"{shown} and {len(texts) - SHOWN} more"
