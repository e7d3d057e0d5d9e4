"""Steps that do not depend on each other: when one fails, the others still run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

log = logging.getLogger(__name__)

Result = TypeVar("Result")


class StepsFailedError(Exception):
    """Some steps failed; the text has the reason of each."""


class Failures:
    """Collects the reasons of the steps that fail."""

    def __init__(self) -> None:
        """Start with no failures."""
        self.reasons: list[str] = []

    def attempt(self, step: str, call: Callable[[], Result], otherwise: Result) -> Result:
        """Return what ``call`` returns; when it fails, keep the reason and return ``otherwise``."""
        try:
            return call()
        except Exception as error:
            log.exception("%s failed", step)
            self.reasons.append(f"{step} failed: {type(error).__name__}: {error}")
            return otherwise

    def raise_if_any(self) -> None:
        """Raise StepsFailedError, with all reasons, if any step failed."""
        if self.reasons:
            raise StepsFailedError("\n".join(self.reasons))
