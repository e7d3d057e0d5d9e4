"""When the card of the version that predicts is made again."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from predicting import maintain, predict, promote_copy

from batch_serving.registry.store import ModelStore
from callables import training


def test_the_card_shows_the_latest_predictions_once_a_day_and_after_a_promotion(
    champion: str, output: Path
) -> None:
    training.predict_holdout(model="digits", version=champion)
    card = output / "models" / "digits" / "versions" / champion / "card.html"
    assert "Predictions for the holdout" in card.read_text(encoding="utf-8")
    pointer = ModelStore("digits").champion()
    assert pointer is not None
    assert pointer.promoted_at is not None
    just_before = datetime.fromisoformat(pointer.promoted_at).timestamp() - 1
    for run_id, made in (("after a promotion", just_before), ("on another day", just_before - 86400)):
        os.utime(card, (made, made))
        predict(run_id=run_id)
        assert Path(maintain()["card"]) == card
        assert card.stat().st_mtime > made + 0.5
        text = card.read_text(encoding="utf-8")
        assert "Latest predictions" in text
        predict(run_id=f"{run_id}, once more")
        assert maintain()["card"] is None
        assert card.read_text(encoding="utf-8") == text


def test_a_broken_champion_leaves_the_card_to_the_version_that_predicts(champion: str, output: Path) -> None:
    training.predict_holdout(model="digits", version=champion)
    second = promote_copy(champion)
    training.predict_holdout(model="digits", version=second)
    cards = {version: ModelStore("digits").folder(version) / "card.html" for version in (champion, second)}
    for card in cards.values():
        os.utime(str(card), (0, 0))
    before = cards[second].read_bytes()
    (ModelStore("digits").folder(second) / "model.joblib").write_bytes(b"corrupt")
    predict()
    assert Path(maintain()["card"]) == Path(str(cards[champion]))
    assert cards[second].read_bytes() == before
    assert maintain()["card"] is None


def test_without_a_card_at_training_none_is_made(champion: str, output: Path) -> None:
    predict()
    assert maintain()["card"] is None
    assert not (ModelStore("digits").folder(champion) / "card.html").exists()
