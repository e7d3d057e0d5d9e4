"""Ending in order when a command is told to end."""

from __future__ import annotations

import signal
from types import FrameType


def end_in_order() -> None:
    """Let SIGTERM do what Ctrl-C does: everything that is open is closed, and servers are stopped."""
    signal.signal(signal.SIGTERM, _interrupt)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
