"""The name of a run: a backfill of a time has that of the scheduled run of the same time."""

from __future__ import annotations

import pytest

from batch_serving.shared.run_context import run_name

SCHEDULED = "scheduled__2026-11-03T00:05:00+00:00"


@pytest.mark.parametrize(
    ("run_id", "name"),
    [
        ("backfill__2026-11-03T00:05:00+00:00", SCHEDULED),
        ("predict.backfill__2026-11-03T00:05:00+00:00", f"predict.{SCHEDULED}"),
        # The first run of a backfill has the offset of --from-date.
        ("predict.backfill__2026-11-03T09:05:00+09:00", f"predict.{SCHEDULED}"),
        ("predict.backfill__2026-11-03T09:05:00+09:00.task", f"predict.{SCHEDULED}.task"),
        ("backfill__2026-11-03T09:05:00.250000+09:00", "scheduled__2026-11-03T00:05:00.250000+00:00"),
    ],
)
def test_a_backfill_has_the_name_of_the_scheduled_run(run_id: str, name: str) -> None:
    assert run_name(run_id) == name


@pytest.mark.parametrize(
    "run_id",
    [
        SCHEDULED,
        "manual__2026-11-03T00:05:00+00:00",
        "asset_triggered__2026-11-03T00:05:00+00:00_x",
        "my_backfill__2026-11-03T00:05:00+00:00",
        "backfill__yesterday",
    ],
)
def test_any_other_run_keeps_its_name(run_id: str) -> None:
    assert run_name(run_id) == run_id
