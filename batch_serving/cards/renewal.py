"""The card of the version that predicts, with its latest predictions: once a day, and after a promotion."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from batch_serving.cards.card import CARD, write_card
from batch_serving.shared.files import remove_leftovers
from batch_serving.shared.reading import modified_at
from batch_serving.shared.run_context import parse_time

if TYPE_CHECKING:
    from upath import UPath

    from batch_serving.registry.pointer import Pointer
    from batch_serving.registry.store import ModelStore


def renew_card(store: ModelStore, midnight: datetime) -> UPath | None:
    """Make the champion's card again if it is due, or that of the version that predicts in its place.

    ``midnight`` is the beginning of the day. Returns the card; None if it is not due, or none was made when
    the version was trained.
    """
    pointer = store.usable_pointer()
    if pointer is None or not _is_due(store, pointer.version, pointer, midnight):
        return None
    loaded = store.load_champion()
    if loaded is None or not _is_due(store, loaded.version, pointer, midnight):
        return None
    remove_leftovers(store.folder(loaded.version))
    return write_card(store, loaded.version)


def _is_due(store: ModelStore, version: str, pointer: Pointer, midnight: datetime) -> bool:
    try:
        made_at = modified_at(store.folder(version) / CARD)
    except FileNotFoundError:
        return False
    promoted_at = parse_time(pointer.promoted_at) if pointer.promoted_at else midnight
    return made_at < max(midnight, promoted_at).timestamp()
