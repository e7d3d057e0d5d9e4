"""A block that takes too long is stopped, and an alarm around it is kept."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from batch_serving.shared.time_limit import MARGIN_S, TooSlowError, stopped_after


class OuterAlarmError(Exception):
    """The alarm that was set around the block."""


@pytest.fixture
def outer_alarm() -> Iterator[None]:
    """An alarm such as that of a task's execution_timeout; the test's own comes back."""

    def ring(_signal: int, _frame: object) -> None:
        raise OuterAlarmError

    before, timer = signal.signal(signal.SIGALRM, ring), signal.getitimer(signal.ITIMER_REAL)
    yield
    signal.setitimer(signal.ITIMER_REAL, *timer)
    signal.signal(signal.SIGALRM, before)


def test_a_block_that_takes_too_long_is_stopped() -> None:
    started = time.monotonic()
    with pytest.raises(TooSlowError), stopped_after(0.1):
        time.sleep(60)
    assert time.monotonic() - started < 10


def test_a_block_that_catches_everything_is_stopped_all_the_same() -> None:
    caught = 0
    with pytest.raises(TooSlowError), stopped_after(0.1):
        while True:
            try:
                time.sleep(60)
            except BaseException:
                caught += 1
                if caught == 2:
                    raise
    assert caught == 2


def test_a_block_that_ends_in_time_is_not_stopped_later() -> None:
    with stopped_after(0.05):
        pass
    time.sleep(0.1)


def test_an_alarm_around_the_block_rings_at_its_time(outer_alarm: None) -> None:
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    started = time.monotonic()
    with pytest.raises(OuterAlarmError):
        with stopped_after(60), pytest.raises(TooSlowError):
            time.sleep(60)
        time.sleep(60)
    assert time.monotonic() - started < 10


def test_the_block_is_stopped_before_an_alarm_around_it(outer_alarm: None) -> None:
    signal.setitimer(signal.ITIMER_REAL, MARGIN_S + 0.2)
    with pytest.raises(TooSlowError), stopped_after(60):
        time.sleep(60)
    left, _ = signal.getitimer(signal.ITIMER_REAL)
    assert 0 < left <= MARGIN_S


def test_another_thread_is_not_limited() -> None:
    done = []

    def work() -> None:
        with stopped_after(0.01):
            time.sleep(0.1)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done
