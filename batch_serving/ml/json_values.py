"""Values as JSON knows them: a model's record is JSON."""

from __future__ import annotations

import math
from typing import Any


def plain(value: Any) -> Any:
    """Return a numpy scalar as the Python value that JSON knows."""
    return value.item() if hasattr(value, "item") else value


def number_for_json(value: Any) -> Any:
    """Return a numpy scalar as JSON knows it; NaN and infinity become None."""
    found = plain(value)
    return None if isinstance(found, float) and not math.isfinite(found) else found


def for_json(value: Any) -> Any:
    """Return a value of YAML as JSON knows it: ``.inf``, which some estimators accept, becomes a text."""
    if isinstance(value, dict):
        return {str(name): for_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [for_json(item) for item in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
