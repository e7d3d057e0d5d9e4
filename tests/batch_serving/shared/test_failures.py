"""Steps that fail keep no other step from running."""

from __future__ import annotations

import pytest

from batch_serving.shared.failures import Failures, StepsFailedError


def test_all_steps_run_and_all_reasons_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> int:
        raise ValueError("no reason")

    failures = Failures()
    assert failures.attempt("first", fail, 0) == 0
    assert failures.attempt("second", lambda: 2, 0) == 2
    assert failures.attempt("third", fail, 0) == 0
    with pytest.raises(StepsFailedError) as error:
        failures.raise_if_any()
    assert str(error.value).splitlines() == [
        "first failed: ValueError: no reason",
        "third failed: ValueError: no reason",
    ]
    assert "first failed" in caplog.text


def test_without_a_failure_nothing_is_raised() -> None:
    Failures().raise_if_any()
