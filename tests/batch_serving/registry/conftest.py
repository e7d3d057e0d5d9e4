"""A model store on each kind of storage."""

from __future__ import annotations

import pytest

from batch_serving.registry.store import ModelStore


@pytest.fixture
def store(place: str) -> ModelStore:
    return ModelStore("digits")
