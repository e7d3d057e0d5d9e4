"""The ages of the outputs, beside the limits in YAML."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from batch_page import pipelines
from batch_page.stale import output_ages

SAME_OUTPUT = """
slow:
  deadline: {callback: callables.deadlines.notify_stale, interval: 7200, output: weather}
quick:
  deadline:
    - callback: callables.deadlines.notify_stale
      interval: {__type__: datetime.timedelta, minutes: 10}
      output: weather
slower:
  deadline: {callback: callables.deadlines.notify_stale, interval: 9000, output: weather}
other:
  deadline: {callback: my.function, interval: 1, output: weather}
"""


def test_of_several_limits_for_one_output_the_shortest_counts(
    output: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "project" / "dag_configs"
    folder.mkdir(parents=True)
    (folder / "same_output.yaml").write_text(SAME_OUTPUT)
    monkeypatch.setattr(pipelines, "PROJECT_ROOT", folder.parent)
    (found,) = output_ages(datetime.now(UTC))
    assert (found.output, found.limit, found.dag_id) == ("weather", timedelta(minutes=10), "quick")
