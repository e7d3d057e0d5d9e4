"""The contender: the version that predicts the same rows as the champion, recorded and never delivered.

``contender.json`` has what the policy ``test: sequential`` keeps: the trial of a contender, and how much of
the budget of false promotions is saved. Without a trial, the newest version is the contender, if it is newer
than the champion, the one before it, and the last one on trial.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from batch_serving.shared.files import locked, read_with_tag, seal, unseal, write_if_unchanged
from batch_serving.shared.run_context import parse_time

if TYPE_CHECKING:
    from upath import UPath

    from batch_serving.registry.pointer import Pointer
    from batch_serving.registry.versions import ModelVersions

log = logging.getLogger(__name__)

CONTENDER = "contender.json"
LOCK_TIMEOUT_S = 60


@dataclass(frozen=True)
class Trial:
    """A contender against a champion, from a moment on.

    ``allowance`` is the largest probability with which it may be promoted wrongly. A difference of scores
    counts as ``largest`` at most. ``min_delta`` and ``most_days`` are those of the policy when it began, and
    ``scores`` and ``holdout`` what both had on the holdout then: a trial does not depend on what becomes of
    that dataset.
    """

    version: str
    champion: str
    since: datetime
    allowance: float
    metric: str = "accuracy"
    largest: float = 1.0
    min_delta: float = 0.0
    most_days: float = 7.0
    scores: dict[str, dict[str, float]] = field(default_factory=dict)  # of challenger and champion
    holdout: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return what is kept."""
        return {**vars(self), "since": self.since.isoformat()}


@dataclass(frozen=True)
class TrialState:
    """The trial that goes on, the newest version whose trial has ended, and the budget as of a moment."""

    trial: Trial | None = None
    ended: str = ""
    saved: float = 0.0
    saved_at: datetime | None = None  # None: nothing has been saved or spent yet

    def to_json(self) -> dict[str, Any]:
        """Return what is kept."""
        return {
            "trial": self.trial.to_json() if self.trial else None,
            "ended": self.ended,
            "saved": self.saved,
            "saved_at": self.saved_at.isoformat() if self.saved_at else None,
        }


def read_trial(root: UPath, now: datetime) -> tuple[TrialState, str]:
    """Return the state in a model's folder, and its tag for ``write_trial``.

    Of a corrupt file nothing is known: the budget then starts empty at ``now``, so that it is never spent
    twice.
    """
    data, tag = read_with_tag(root / CONTENDER)
    if data is None:
        return TrialState(), tag
    try:
        record = unseal(data)
        given = record["trial"]
        trial = Trial(**{**given, "since": parse_time(given["since"])}) if given else None
        saved_at = parse_time(record["saved_at"]) if record["saved_at"] else None
        return TrialState(trial, str(record["ended"]), float(record["saved"]), saved_at), tag
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        log.error("%s is corrupt (%s): the trial is over, and the budget starts empty", CONTENDER, error)
        return TrialState(saved_at=now), tag


def write_trial(root: UPath, state: TrialState, tag: str) -> None:
    """Keep the state; ChangedError if another run has changed it since ``read_trial``."""
    with locked(root, LOCK_TIMEOUT_S):
        write_if_unchanged(root / CONTENDER, seal(state.to_json()), tag)


def contender_of(versions: ModelVersions, pointer: Pointer | None, now: datetime) -> str | None:
    """Return the version that is to predict beside the champion; None if there is none."""
    if pointer is None:
        return None
    state, _ = read_trial(versions.root, now)
    if state.trial is not None and is_open(state.trial, pointer):
        return state.trial.version
    return next_contender(state, pointer, versions.versions(max(pointer.versions)))


def is_open(trial: Trial, pointer: Pointer) -> bool:
    """Return whether a trial goes on: it is against this champion, and its version was none."""
    return trial.champion == pointer.version and trial.version not in pointer.versions


def next_contender(state: TrialState, pointer: Pointer, versions: Sequence[str]) -> str | None:
    """Return which of the versions, sorted, gets the next trial; None if there is none.

    A champion that was rolled back gets none, nor does what is older.
    """
    newest = versions[-1] if versions else ""
    return newest if newest > max(state.ended, *pointer.versions) else None
