"""Which callbacks claim what they announce, so that it does no harm to call them again."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

Callback = TypeVar("Callback", bound=Callable[..., None])


def announces_once(callback: Callback) -> Callback:
    """Mark a callback that claims each failure before it announces it (``claims.claim``)."""
    callback.__dict__["announces_once"] = True
    return callback


def is_announcing(callback: Any) -> bool:
    """Return whether a callback, as dag-factory makes it from YAML, is marked by ``announces_once``."""
    function = callback.func if isinstance(callback, partial) else callback
    return getattr(function, "announces_once", False) is True
