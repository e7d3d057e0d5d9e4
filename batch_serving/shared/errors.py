"""The error for a value that a task function cannot use."""

from __future__ import annotations


class InvalidValueError(ValueError):
    """Says what is wrong with a value, and what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep both; as text they are one line."""
        super().__init__(f"{message}; {hint}" if hint else message)
        self.message = message
        self.hint = hint
