"""The champion of an earlier time, for a run that fills in a past date."""

from __future__ import annotations

import logging
from datetime import datetime

from batch_serving.registry.store import Loaded, ModelStore
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.run_context import parse_time

log = logging.getLogger(__name__)


def load_champion_of(store: ModelStore, moment: datetime) -> Loaded | None:
    """Return the version that was the champion at ``moment``, loaded; None before the first promotion.

    If it is gone or broken, the next champion that is there predicts, with a warning; so does the first one
    for a time before it. A champion that was rolled back is passed over. The present champion is loaded as
    for any other run, and raises what ``load_champion`` raises.
    """
    pointer = store.usable_pointer()
    if pointer is None or _is_champion_since(pointer.promoted_at, moment):
        return store.load_champion()
    for version in store.champions_since(moment):
        if version == pointer.version:
            break
        try:
            return Loaded(version, store.load(version))
        except ModelStoreError as error:
            log.warning("the champion of %s cannot predict: %s; the one after it does", moment, error)
    return store.load_champion()


def _is_champion_since(promoted_at: str | None, moment: datetime) -> bool:
    """Return whether the present champion was promoted before a time; False if that is not known."""
    try:
        return promoted_at is not None and parse_time(promoted_at) <= moment
    except InvalidValueError:
        return False
