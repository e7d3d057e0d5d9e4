"""Late labels: each prediction joined once with what was known, measured by day, and an alarm that is sent once."""

from __future__ import annotations

import csv
import json
from collections import Counter
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import time as wall_clock
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.sdk.exceptions import AirflowSkipException
from late_labels import FIRST, Months, holdout_of_all_classes
from predicting import promote_copy
from pytest_httpserver import HTTPServer
from servers import Slack
from trees import tree

from batch_serving.monitoring.joining import LABELLED_COLUMNS
from batch_serving.notices.claims import ABANDONED_AFTER_S
from batch_serving.registry.store import ModelStore
from callables import monitoring

SEOUL = ZoneInfo("Asia/Seoul")
GOOD, BAD = 0.965, 0.935
LABELS = {"row_id": "id", "label": "digit", "known_at": "since"}


def at(day: date) -> str:
    """The cut-off of a run on the morning of a day."""
    return datetime.combine(day, time(9), SEOUL).isoformat()


class Pipeline:
    """join_labels, measure and alarm, as the example's YAML calls them."""

    def __init__(self, labels: Path, **change: Any) -> None:
        self.labels = {"dataset": str(labels), **LABELS}
        self.change = {"maturity_days": 10, **change}
        self.standard = {"floor": 0.955}
        self.other_metrics: list[str] = []

    def run(self, day: date, **change: Any) -> dict[str, Any]:
        """Run the three tasks; return what each returned."""
        common = {"model": "digits", "run_after": at(day), **change}
        maturity = {**self.change}
        return {
            "join": monitoring.join_labels(**common, **self.labels),
            "measure": monitoring.measure(
                **common, metric="accuracy", other_metrics=self.other_metrics, **maturity
            ),
            "alarm": monitoring.alarm(**common, metric="accuracy", **self.standard, **maturity),
        }


@pytest.fixture
def slack(httpserver: HTTPServer, monkeypatch: pytest.MonkeyPatch) -> Slack:
    server = Slack(httpserver)
    monkeypatch.setenv("AIRFLOW_CONN_SLACK_WEBHOOK", server.connection)
    return server


@pytest.fixture
def months(output: Path, champion: str) -> Months:
    holdout_of_all_classes("digits", champion)
    return Months(output)


def labelled(output: Path) -> list[dict[str, str]]:
    """All rows of all days."""
    found = []
    for path in sorted((output / "quality" / "digits").glob("date=*/labelled.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            found += list(csv.DictReader(file))
    return found


def test_each_prediction_is_there_once_with_the_label_known_at_the_cut_off(
    months: Months, champion: str, output: Path, tmp_path: Path
) -> None:
    for number in range(12):
        months.predict(FIRST + timedelta(number), champion, GOOD)
    source = months.write_labels(tmp_path / "labels.csv")
    cutoff = datetime.fromisoformat(at(FIRST + timedelta(12)))
    result = monitoring.join_labels(
        model="digits", run_after=cutoff.isoformat(), dataset=str(source), **LABELS
    )
    rows = labelled(output)
    assert tuple(rows[0]) == LABELLED_COLUMNS
    assert Counter(row["row_id"] for row in rows) == Counter(list(months.truth))
    newest: dict[str, tuple[datetime, str]] = {}
    for row_id, label, known_at in months.labels:
        if known_at <= cutoff:
            newest[row_id] = max(newest.get(row_id, (known_at, label)), (known_at, label))
    assert {row["row_id"]: row["label"] for row in rows if row["label"]} == {
        row_id: label for row_id, (_, label) in newest.items()
    }
    assert result["labelled"] == len(newest)
    assert sum(result["labels"].values()) == len(months.labels)


def test_again_and_from_the_files_alone_it_is_the_same(
    months: Months, champion: str, output: Path, tmp_path: Path
) -> None:
    for number in range(5):
        months.predict(FIRST + timedelta(number), champion, GOOD)
    pipeline = Pipeline(months.write_labels(tmp_path / "labels.csv"), maturity_days=2)
    pipeline.other_metrics = ["f1_macro"]
    first = pipeline.run(FIRST + timedelta(6))
    before = tree(output / "quality")
    assert pipeline.run(FIRST + timedelta(6)) == first
    assert tree(output / "quality") == before
    for path in (output / "quality").rglob("*.csv"):
        path.unlink()
    assert pipeline.run(FIRST + timedelta(6)) == first
    assert tree(output / "quality") == before


def test_an_older_run_that_is_cleared_does_not_take_labels_away(
    months: Months, champion: str, tmp_path: Path
) -> None:
    months.predict(FIRST, champion, GOOD)
    pipeline = Pipeline(months.write_labels(tmp_path / "labels.csv"))
    pipeline.run(FIRST + timedelta(12))
    with pytest.raises(AirflowSkipException, match="a later run has joined"):
        pipeline.run(FIRST + timedelta(11))


def test_without_predictions_and_without_labels_it_says_so(
    months: Months, champion: str, tmp_path: Path
) -> None:
    pipeline = Pipeline(months.write_labels(tmp_path / "labels.csv"))
    with pytest.raises(AirflowSkipException, match="no predictions of the last 30 days"):
        pipeline.run(FIRST)
    months.predict(FIRST, champion, GOOD)
    found = pipeline.run(FIRST + timedelta(20))
    assert found["join"]["labelled"] == 0
    assert found["measure"]["newest_mature"][0]["value"] is None
    assert found["alarm"]["state"] == "ok"
    assert "has no mature day yet" in found["alarm"]["reason"]


def test_labels_outside_the_classes_are_counted_and_not_measured(
    months: Months, champion: str, output: Path, tmp_path: Path
) -> None:
    months.never = 0.0
    months.predict(FIRST, champion, 1.0)
    months.corrected = 0.0
    months.labels = [(row, "ten" if row.endswith("/0") else digit, at) for row, digit, at in months.labels]
    pipeline = Pipeline(months.write_labels(tmp_path / "labels.csv"))
    pipeline.run(FIRST + timedelta(20))
    text = (output / "quality" / "digits" / f"date={FIRST}" / "quality.csv").read_text()
    (line,) = [line.split(",") for line in text.splitlines() if ",accuracy," in line]
    assert line[6:10] == ["200", "199", "1", "yes"]


@pytest.mark.slow
def test_a_quarter_with_a_drop_of_three_points_that_is_repaired(
    months: Months, champion: str, output: Path, tmp_path: Path, slack: Slack
) -> None:
    """Labels come after 0 to 10 days, 5 % are corrected, 2 % never come."""
    months.rows = 600
    pipeline = Pipeline(tmp_path / "labels.csv")
    states: dict[int, str] = {}
    for number in range(90):
        is_bad = 30 <= number < 60
        months.predict(FIRST + timedelta(number), champion, BAD if is_bad else GOOD)
        if number % 5 == 4:
            months.write_labels(tmp_path / "labels.csv")
            states[number] = pipeline.run(FIRST + timedelta(number))["alarm"]["state"]
    changes = [number for number in states if states[number] != states.get(number - 5, "ok")]
    print(
        f"\n  changes on days {changes}; the drop was on day 30, its repair on day 60; mature after 10 days"
    )
    assert [states[number] for number in changes] == ["alarm", "ok"]
    assert 40 <= changes[0] <= 55
    assert 70 <= changes[1] <= 88
    assert len([text for text in slack.messages if ":warning:" in text]) == 1
    assert len([text for text in slack.messages if ":white_check_mark:" in text]) == 1
    rows = labelled(output)
    assert Counter(row["row_id"] for row in rows) == Counter(list(months.truth))
    last = [row for row in rows if row["row_id"] < f"{FIRST + timedelta(59)}"]
    share = sum(bool(row["label"]) for row in last) / len(last)
    assert 0.97 < share < 0.99


def test_a_try_that_was_killed_after_it_sent_sends_nothing_twice(
    months: Months, champion: str, output: Path, tmp_path: Path, slack: Slack
) -> None:
    for number in range(10):
        months.predict(FIRST + timedelta(number), champion, 0.5)
    pipeline = Pipeline(months.write_labels(tmp_path / "labels.csv"), maturity_days=0)
    found = pipeline.run(FIRST + timedelta(20))["alarm"]
    assert (found["state"], found["asks_for_training"]) == ("alarm", True)
    (output / "quality" / "digits" / "alarm.json").unlink()  # as if it was killed before it was written
    assert pipeline.run(FIRST + timedelta(20))["alarm"]["state"] == "alarm"
    assert len(slack.messages) == 1
    assert "must be 0.955 (the floor 0.955)" in slack.messages[0]


def test_of_a_try_that_was_killed_while_it_sent_the_next_run_takes_over(
    months: Months, champion: str, output: Path, tmp_path: Path, slack: Slack
) -> None:
    for number in range(10):
        months.predict(FIRST + timedelta(number), champion, 0.5)
    pipeline = Pipeline(months.write_labels(tmp_path / "labels.csv"), maturity_days=0)
    path = output / "quality" / "digits" / "changes" / "1.json"
    path.parent.mkdir(parents=True)
    for age, messages in ((0, 0), (ABANDONED_AFTER_S + 5, 1), (0, 1)):
        if not messages or age:
            killed = {"sender": "killed", "at": wall_clock() - age, "outcome": "", "about": ""}
            path.write_text(json.dumps(killed))
        assert pipeline.run(FIRST + timedelta(20))["alarm"]["state"] == "alarm"
        assert len(slack.messages) == messages


def test_a_new_champion_begins_without_an_alarm(
    months: Months, champion: str, tmp_path: Path, slack: Slack
) -> None:
    for number in range(5):
        months.predict(FIRST + timedelta(number), champion, 0.5)
    pipeline = Pipeline(months.write_labels(tmp_path / "labels.csv"), maturity_days=0)
    assert pipeline.run(FIRST + timedelta(20))["alarm"]["state"] == "alarm"
    version = promote_copy(champion)
    found = pipeline.run(FIRST + timedelta(20))["alarm"]
    assert (found["version"], found["state"], found["asks_for_training"]) == (version, "ok", False)
    assert ":white_check_mark:" in slack.messages[-1]


def test_the_margin_is_from_what_the_holdout_measured(months: Months, champion: str, tmp_path: Path) -> None:
    months.predict(FIRST, champion, GOOD)
    pipeline = Pipeline(months.write_labels(tmp_path / "labels.csv"))
    pipeline.standard = {"margin": 0.02}
    measured = ModelStore("digits").metadata(champion)["metrics"]["accuracy"]
    reason = pipeline.run(FIRST + timedelta(20))["alarm"]["reason"]
    assert f"it must be {measured - 0.02:.4f}".rstrip("0") in reason
    assert "on the holdout, with a margin of 0.02" in reason


def test_needs_training_reads_what_a_template_made_of_it() -> None:
    assert monitoring.needs_training(asks_for_training="True")
    assert not monitoring.needs_training(asks_for_training="False")


def test_the_cut_off_is_a_time_with_an_offset() -> None:
    with pytest.raises(ValueError, match="offset"):
        monitoring.join_labels(
            model="digits", run_after=datetime.now(UTC).replace(tzinfo=None).isoformat(), dataset="x.csv",
            row_id="id", label="digit",
        )  # fmt: skip
