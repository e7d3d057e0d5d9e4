"""A block that may take so long and no longer, whatever it does."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

MARGIN_S = 1.0  # for what follows the block, before an alarm that was set around it
SHORTEST_S = 0.01


class TooSlowError(Exception):
    """The time of a block was over."""


@contextlib.contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Raise TooSlowError in the block after so many seconds, or before an alarm that is set already.

    Only the main thread can be interrupted, and not within a call of C code: that ends first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer_s, _ = signal.getitimer(signal.ITIMER_REAL)  # such as that of a task's execution_timeout
    limit_s = min(seconds, outer_s - MARGIN_S) if outer_s else seconds
    started, handler = time.monotonic(), signal.signal(signal.SIGALRM, _stop)
    signal.setitimer(signal.ITIMER_REAL, max(SHORTEST_S, limit_s))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if outer_s:
            signal.setitimer(signal.ITIMER_REAL, max(SHORTEST_S, outer_s - (time.monotonic() - started)))


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise TooSlowError
