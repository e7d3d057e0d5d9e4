"""Versions in a model store, and work in several threads."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime

from batch_serving.registry.store import ModelStore

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


def save(store: ModelStore, value: object, run_id: str = "r", hour: int = 0, second: int = 0) -> str:
    """Save any value as a version."""
    metadata = {"run_id": run_id, "inputs": "i", "metrics": {"accuracy": 0.9}}
    return store.save(value, metadata, MOMENT.replace(hour=hour, second=second))


def two_champions(store: ModelStore) -> tuple[str, str]:
    """The one before, and the champion."""
    first, second = save(store, "first", "a", hour=1), save(store, "second", "b", hour=2)
    store.promote(first, expect=None, run_id="a", reason="")
    store.promote(second, expect=first, run_id="b", reason="")
    return first, second


def together(calls: list[Callable[[], object]]) -> None:
    """Run all calls at the same time."""
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
