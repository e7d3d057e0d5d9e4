"""The champion of an earlier time."""

from __future__ import annotations

import json
import shutil
from datetime import datetime
from pathlib import Path

import pytest
from stores import save

from batch_serving.registry.former import load_champion_of
from batch_serving.registry.store import ModelStore

MOVES = (("promoted", "first", 10), ("promoted", "second", 12), ("promoted", "third", 14))


def at(hour: int, minute: int = 0) -> datetime:
    return datetime.fromisoformat(f"2026-11-03T{hour:02}:{minute:02}:00+00:00")


def store_with(moves: tuple[tuple[str, str, int], ...]) -> ModelStore:
    """A store in which versions became the champion at these hours; the last one is it."""
    store = ModelStore("digits")
    versions: dict[str, str] = {}
    lines = []
    for number, (verdict, name, hour) in enumerate(moves):
        version = versions.get(name) or save(store, name, name, hour=len(versions))
        versions[name] = version
        champion = store.champion()
        store.promote(
            version,
            expect=champion.version if champion else None,
            run_id=f"run {number}",
            reason="",
            verdict=verdict,
        )
        lines.append({**store.history()[-1], "at": at(hour).isoformat()})
    path = Path(str(store.root / "history.jsonl"))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return store


def champion_of(store: ModelStore, moment: datetime) -> str:
    found = load_champion_of(store, moment)
    assert found is not None
    assert not found.problem
    return str(found.model)


@pytest.mark.parametrize(
    ("moment", "name"),
    [(at(9), "first"), (at(10), "first"), (at(11, 59), "first"), (at(12), "second"), (at(15), "third")],
)
def test_it_is_the_one_of_that_time_or_the_first_one(output: Path, moment: datetime, name: str) -> None:
    assert champion_of(store_with(MOVES), moment) == name


def test_a_time_after_the_last_promotion_reads_no_history(output: Path) -> None:
    store = store_with(MOVES)
    Path(str(store.root / "history.jsonl")).unlink()
    assert champion_of(store, datetime.fromisoformat("2099-01-01T00:00:00+00:00")) == "third"


def test_one_that_is_gone_is_replaced_by_the_next_with_a_warning(
    output: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = store_with(MOVES)
    shutil.rmtree(str(store.folder(store.versions()[0])))
    assert champion_of(store, at(11)) == "second"
    assert "the champion of 2026-11-03 11:00:00+00:00 cannot predict: " in caplog.text


def test_one_that_was_rolled_back_does_not_predict(output: Path) -> None:
    store = store_with(
        (
            ("promoted", "good", 10),
            ("promoted", "bad", 12),
            ("rolled back", "good", 13),
            ("promoted", "new", 14),
        )
    )
    assert [champion_of(store, at(hour)) for hour in (11, 12, 13, 15)] == ["good", "good", "good", "new"]


def test_without_a_promotion_there_is_none(output: Path) -> None:
    assert load_champion_of(ModelStore("digits"), at(10)) is None


def test_a_history_without_times_gives_the_present_champion(output: Path) -> None:
    store = store_with(MOVES)
    path = Path(str(store.root / "history.jsonl"))
    lines = [{**json.loads(line), "at": None} for line in path.read_text(encoding="utf-8").splitlines()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    assert champion_of(store, at(11)) == "third"
