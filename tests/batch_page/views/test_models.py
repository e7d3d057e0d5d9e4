"""The models: what the store has is on the page, and no more than the user may see."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from asking import asking, forbidden_in, links_of, text_of
from fastapi import HTTPException

from batch_page.view import State
from batch_page.views import models
from batch_serving.registry.store import ModelStore
from batch_serving.shared.files import seal, unseal


def test_the_champion_and_the_newest_other_version_stand_side_by_side(champion: str) -> None:
    page = models.page(asking("/models"))
    versions = ModelStore("digits").versions()
    other = next(name for name in reversed(versions) if name != champion)
    text = text_of(page)
    assert f"Champion: {champion}" in text
    assert f"{champion} (champion) card {other} card" in text
    for version in (champion, other):
        assert f"{ModelStore('digits').metadata(version)['metrics']['accuracy']:.4g}" in text
    assert forbidden_in(page) == []


def test_each_version_is_a_point_that_leads_to_its_card(champion: str) -> None:
    page = models.page(asking("/models"))
    cards = {link["href"] for link in links_of(page) if link.get("href", "").endswith("/card")}
    wanted = {f"/batch-serving/models/digits/{version}/card" for version in ModelStore("digits").versions()}
    assert wanted <= cards
    answer = models.card("digits", champion, asking("/models"))
    assert b"<html" in bytes(answer.body)
    assert "sandbox" in answer.headers["Content-Security-Policy"]


def test_the_verdicts_have_their_reasons(champion: str) -> None:
    text = text_of(models.page(asking("/models")))
    for entry in ModelStore("digits").history():
        assert f"{entry['verdict']} {entry['version']} {entry['reason']}" in text


def test_confusion_matrices_are_counted_from_the_holdout(champion: str) -> None:
    state = models.side_of("digits", champion)
    rows = ModelStore("digits").metadata(champion)["holdout"]["rows"]
    assert sum(state.confusion.values()) == rows
    assert "Confusion matrix" in models.page(asking("/models"))


def test_promote_roll_back_and_dry_run_lead_to_the_trigger_form_with_its_fields(champion: str) -> None:
    page = models.page(asking("/models"))
    leading = [link for link in links_of(page) if "data-trigger" in link]
    assert {link["data-airflow"] for link in leading} == {"/dags/promote_model"}
    forms = [json.loads(link["data-trigger"]) for link in leading]
    other = next(name for name in reversed(ModelStore("digits").versions()) if name != champion)
    assert forms == [{"version": other}, {"version": other, "dry_run": True}, {"roll_back": True}]


def test_who_may_not_read_the_dag_that_promotes_is_not_led_to_it(champion: str) -> None:
    page = models.page(asking("/models", readable={"predict"}))
    assert "data-trigger" not in page


def test_without_a_model_the_page_says_what_to_do(output: Path) -> None:
    assert "There is no model yet: trigger train_model." in text_of(models.page(asking("/models")))
    (tile,) = models.tiles(asking())
    assert (tile.state, tile.advice) == (State.EMPTY, "There is no model yet: trigger train_model.")


def test_a_corrupt_pointer_is_said_and_the_history_shows_who_serves(champion: str, output: Path) -> None:
    (output / "models" / "digits" / "champion.json").write_text("{", encoding="utf-8")
    page = models.page(asking("/models"))
    assert "The pointer of digits is missing or corrupt" in text_of(page)
    assert f"Champion: {champion}" in text_of(page)
    (tile,) = models.tiles(asking())
    assert tile.state is State.WRONG


def test_a_version_without_a_record_takes_nothing_else_away(champion: str, output: Path) -> None:
    versions = ModelStore("digits").versions()
    (output / "models" / "digits" / "versions" / versions[0] / "metadata.json").write_text(
        "{", encoding="utf-8"
    )
    page = models.page(asking("/models", version=versions[0]))
    assert "is corrupt" in text_of(page)
    assert f"Champion: {champion}" in text_of(page)


def test_what_is_written_in_the_store_is_text(champion: str, output: Path) -> None:
    evil = "<script>alert(1)</script>"
    store = ModelStore("digits")
    path = store.folder(champion) / "metadata.json"
    record = unseal(Path(str(path)).read_bytes())
    record.pop("checksum", None)
    record |= {"parameters": {evil: evil}, "target": evil}
    Path(str(path)).write_bytes(seal(record))
    store.record("kept", evil, run_id="r", reason=evil)
    page = models.page(asking("/models"))
    assert evil not in page
    assert evil in text_of(page)
    assert forbidden_in(page) == []


def test_a_model_is_shown_to_those_who_may_read_one_of_its_dags(champion: str) -> None:
    assert models.model_names(asking(readable={"predict"})) == ["digits"]
    assert models.model_names(asking(readable={"collect_weather"})) == []
    with pytest.raises(HTTPException) as refused:
        models.page(asking("/models", readable={"collect_weather"}, model="digits"))
    assert refused.value.status_code == 404
    with pytest.raises(HTTPException):
        models.card("digits", champion, asking(readable={"collect_weather"}))
    assert "digits" not in str(models.tiles(asking(readable={"collect_weather"})))


@pytest.mark.parametrize("name", ["..", "../x", "a/b", ""])
def test_a_name_that_is_no_model_is_not_found(champion: str, name: str) -> None:
    with pytest.raises(HTTPException) as refused:
        models.card(name, champion, asking())
    assert refused.value.status_code == 404
