"""The quality of predictions: what was measured, and an alarm that no one can miss."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from asking import asking, forbidden_in, text_of
from contending import BAD, GOOD, Contest
from late_labels import Months, holdout_of_all_classes
from predicting import train_champion

from batch_page.view import State
from batch_page.views import quality
from batch_serving.registry.store import ModelStore
from batch_serving.shared.dates import today_in
from callables import monitoring, training

DAYS = 6


@pytest.fixture
def version(output: Path, tmp_path: Path) -> str:
    """A champion whose predictions of the last days are right 3 times of 4, measured; its version."""
    version = train_champion()
    holdout_of_all_classes("digits", version)
    months = Months(output)
    for ago in reversed(range(1, DAYS + 1)):
        months.predict(today_in() - timedelta(ago), version, 0.75)
    months.never = 0.0
    labels = months.write_labels(tmp_path / "labels.csv")
    common = {"model": "digits", "run_after": datetime.now().astimezone().isoformat()}
    monitoring.join_labels(**common, dataset=str(labels), row_id="id", label="digit")
    monitoring.measure(**common, metric="accuracy", other_metrics=["f1_macro"], mature_share=0.9)
    return version


def alarm(floor: float) -> None:
    monitoring.alarm(
        model="digits", run_after=datetime.now().astimezone().isoformat(), metric="accuracy", floor=floor,
        mature_share=0.9,
    )  # fmt: skip


def test_each_day_has_its_metrics_with_intervals(version: str) -> None:
    page = quality.page(asking("/quality"))
    rows = [row for row in quality.state_of("digits").rows if row["metric"] == "accuracy"]
    assert len(rows) == DAYS
    text = text_of(page)
    for row in rows:
        value, low, high = (float(row[name]) for name in ("value", "low", "high"))
        assert f"{row['date']} {version} 200" in text
        assert f"{value:.4f} ({low:.4f} – {high:.4f})" in text
    assert "accuracy by day" in page
    assert forbidden_in(page) == []


def test_an_alarm_is_on_the_page_and_on_the_overview(version: str) -> None:
    alarm(0.5)
    (tile,) = quality.tiles(asking())
    assert tile.state is State.FINE
    assert tile.value.startswith("0.7")
    alarm(0.95)
    (tile,) = quality.tiles(asking())
    assert tile.state is State.WRONG
    assert "is not what it must be since" in tile.advice
    page = quality.page(asking("/quality"))
    assert 'role="alert"' in page
    assert "it must be 0.95 (the floor 0.95)" in text_of(page)


def test_a_trial_is_on_the_page_and_on_both_cards(output: Path, tmp_path: Path) -> None:
    contest = Contest(tmp_path)
    champion = contest.train("first", **BAD)
    contest.compare()
    contender = contest.train("second", **GOOD)
    contest.compare()
    reason = contest.hour(60)["reason"]
    page = quality.page(asking("/quality"))
    text = text_of(page)
    assert reason in text
    assert f"{contender} " in text[text.index("Contender on trial") :]
    assert forbidden_in(page) == []
    for version in (champion, contender):
        training.predict_holdout(model="digits", version=version)
        card = (ModelStore("digits").folder(version) / "card.html").read_text(encoding="utf-8")
        assert f"trial: {reason}" in card


def test_the_card_has_the_last_measured_days(version: str) -> None:
    alarm(0.95)
    training.predict_holdout(model="digits", version=version)
    card = (ModelStore("digits").folder(version) / "card.html").read_text(encoding="utf-8")
    part = card[card.index("<h2>Live quality</h2>") :]
    for row in quality.state_of("digits").of("accuracy"):
        value, low, high = (float(row[name]) for name in ("value", "low", "high"))
        cells = f"<td>{row['date']}</td><td>accuracy</td><td>{value:.4f}</td><td>{low:.4f} to {high:.4f}</td>"
        assert cells in part
    assert "is not what it must be since" in part


def test_without_measurements_the_page_says_what_to_do_and_the_overview_nothing(output: Path) -> None:
    assert "No predictions are measured yet" in text_of(quality.page(asking("/quality")))
    assert quality.tiles(asking()) == []


def test_who_may_not_read_the_dags_of_a_model_does_not_see_it(version: str) -> None:
    text = text_of(quality.page(asking("/quality", readable={"collect_weather"})))
    assert version not in text


def test_a_class_named_as_a_script_stays_a_text(version: str, output: Path) -> None:
    for path in (output / "quality" / "digits").glob("date=*/quality.csv"):
        path.write_text(path.read_text().replace(version, "<script>alert(1)</script>"))
    page = quality.page(asking("/quality"))
    assert "<script>alert(1)" not in page
    assert forbidden_in(page) == []


def test_korean(version: str) -> None:
    page = quality.page(asking("/quality", language="ko"))
    assert "성숙한 날" in page
    assert "Mature" not in text_of(page)
