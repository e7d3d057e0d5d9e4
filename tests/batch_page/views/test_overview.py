"""The overview: whether everything is all right, and what to do if it is not."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asking import asking, forbidden_in, links_of, text_of
from months_of_output import write_weather

from batch_page.queries import answered_within
from batch_page.view import State, Tile
from batch_page.views import overview
from batch_serving.registry.store import ModelStore


@pytest.fixture(autouse=True)
def airflow_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Airflow runs here: it has no DAG and no error."""
    monkeypatch.setattr(overview, "next_runs", lambda _: [])
    from batch_page.views import configs

    monkeypatch.setattr(configs, "import_errors", dict)
    monkeypatch.setattr(configs, "_known_dags", set)


def test_each_tile_has_its_figure_and_leads_to_its_view(champion: str) -> None:
    page = overview.page(asking())
    text = text_of(page)
    metric = ModelStore("digits").usable_pointer().metrics["accuracy"]
    assert f"Champion of digits {champion} accuracy {metric:.4g} · since" in text
    assert "Predictions of digits" in text
    assert "25 districts" in text
    assert "with problems" in text
    leads = {link["href"] for link in links_of(page)}
    assert {f"/batch-serving/{name}?model=digits" for name in ("models", "predictions")} <= leads
    assert "/batch-serving/weather" in leads
    assert forbidden_in(page) == []


def test_nothing_there_yet_says_what_to_do_first(output: Path) -> None:
    state, sentence = overview.summary(asking(), overview.tiles_of_all(asking()))
    assert state is State.EMPTY
    assert sentence.startswith("There is no model yet: trigger train_model.")


def test_what_is_wrong_comes_before_what_is_to_be_looked_at(champion: str, output: Path) -> None:
    write_weather(output, 1, datetime.now(UTC) - timedelta(hours=9))
    state, sentence = overview.summary(asking(), overview.tiles_of_all(asking()))
    assert (state, sentence) == (
        State.WRONG, "The weather is old: see whether collect_weather is paused or fails."
    )  # fmt: skip


def test_with_nothing_to_say_all_is_right() -> None:
    tile = Tile("a", "b", "c", "/")
    assert overview.summary(asking(), [tile]) == (State.FINE, "Everything is all right.")


def test_a_storage_that_is_away_is_said_soon_and_the_rest_is_there(
    output: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BATCH_OUTPUT", "s3://bucket/output")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://10.255.255.1")  # answers nothing
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    start = time.monotonic()
    with answered_within():
        page = overview.page(asking())
    assert time.monotonic() - start < 2
    assert "the storage has not answered within 1.5 s" in text_of(page) or "cannot be read" in text_of(page)
    assert "Configs" in text_of(page)
