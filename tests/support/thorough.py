"""How often a random test tries: as often as an ordinary run has time for, or with THOROUGH=1 as often as at night."""

from __future__ import annotations

import os


def tries(usual: int, thorough: int) -> int:
    """Return how often to try."""
    return thorough if os.environ.get("THOROUGH") == "1" else usual
