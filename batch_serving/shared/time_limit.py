"""A block that may take so long and no longer, whatever it does in Python."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

MARGIN_S = 5.0  # for what follows the block, before an alarm that was set around it
SHORTEST_S = 0.01
AGAIN_S = 0.5  # the alarm rings again if the block has caught the exception


class TooSlowError(BaseException):
    """The time of a block was over.

    No Exception: who handles whatever a request raises must not handle this.
    """


@contextlib.contextmanager
def stopped_after(seconds: float) -> Iterator[None]:
    """Raise TooSlowError in the block after so many seconds, or before an alarm that is set already.

    Only the main thread can be interrupted, and not within a call of compiled code: that ends first.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    is_inside = True

    def stop(_signal: int, _frame: FrameType | None) -> None:
        if is_inside:
            raise TooSlowError

    outer_s, outer_again_s = signal.getitimer(signal.ITIMER_REAL)  # such as that of execution_timeout
    limit_s = min(seconds, outer_s - MARGIN_S) if outer_s else seconds
    started, handler = time.monotonic(), signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, max(SHORTEST_S, limit_s), AGAIN_S)
        try:
            yield
        finally:
            is_inside = False
    finally:
        left_s = max(SHORTEST_S, outer_s - (time.monotonic() - started)) if outer_s else 0
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, left_s, outer_again_s)
