"""The trials of a model: one contender at a time, until it is promoted or given up.

A trial goes on however many newer versions there are: a contender that changed each hour would never have
evidence. When it ends, the newest version gets the next one.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from batch_serving.promotion.budget import allowance_of, saved_by
from batch_serving.promotion.evidence import gains_of, kept_gains
from batch_serving.promotion.gate import Evidence
from batch_serving.promotion.sequential import Progress
from batch_serving.registry.contender import Trial, read_trial, write_trial

if TYPE_CHECKING:
    from batch_serving.promotion.pair import ModelPair
    from batch_serving.promotion.policy import Policy
    from batch_serving.registry.pointer import Pointer
    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

SMALLEST_ALLOWANCE = 1e-4  # with less, a trial could not end


def trial_of(store: ModelStore) -> Progress | None:
    """Return how far the trial is that goes on, by what has been counted so far; None without one."""
    state, _ = read_trial(store.root, datetime.now(UTC))
    pointer = store.usable_pointer()
    if state.trial is None or pointer is None or state.trial.champion != pointer.version:
        return None
    return Progress(state.trial, kept_gains(store, state.trial), min_delta=0.0, most_days=math.inf)


class Trials:
    """The trial that goes on, if there is one, and the one that may begin."""

    def __init__(self, store: ModelStore, policy: Policy, pointer: Pointer, *, keep: bool) -> None:
        """Read the state; with ``keep``, changes of it are written."""
        self._store, self._policy, self._keep = store, policy, keep
        self._champion, self._champions = pointer.version, pointer.versions
        self._now = datetime.now(UTC)
        self._state, self._tag = read_trial(store.root, self._now)
        saved = saved_by(self._now, self._state.saved, self._state.saved_at, policy.false_promotions_per_year)
        self._state = replace(self._state, saved=saved, saved_at=self._now)

    def contender(self, versions: list[str]) -> str | None:
        """Return the version on trial, or the newest one that has had none; None if there is none.

        A trial against an earlier champion, or of a version that was removed, is over. One that was the
        champion before, and was rolled back, gets none.
        """
        trial = self._state.trial
        if trial is not None:
            is_open = trial.champion == self._champion and trial.version not in self._champions
            if is_open and trial.version in versions:
                return trial.version
            self._end()
        newest = versions[-1]
        return newest if newest > self._state.ended and newest not in self._champions else None

    @property
    def waiting(self) -> str:
        """Why there is no contender."""
        newest = max(self._state.ended, *self._champions)
        return f"no version is newer than {newest}, which has had its trial"

    def evidence(self, pair: ModelPair, contender: str) -> Evidence:
        """Return how far the contender's trial is; it begins if there is none, and ends if it is given up."""
        trial = self._state.trial
        if trial is None:
            return self._begin(pair, contender)
        last_day = (self._now + timedelta(days=1)).date()  # it may be tomorrow in the pipeline's zone
        gains, missing = gains_of(self._store, trial, self._policy.metric, last_day, keep=self._keep)
        if missing:
            return Evidence(
                False, f"not certainly better yet: {missing[0]}", {"name": "sequential", "rows": 0}
            )
        progress = Progress(trial, gains, self._policy.min_delta, self._policy.contender_days)
        found = progress.evidence()
        if not found.sure and progress.is_given_up:
            self._end()
        return found

    def _begin(self, pair: ModelPair, contender: str) -> Evidence:
        allowance = allowance_of(self._state.saved)
        numbers = {"name": "sequential", "rows": 0}
        if allowance < SMALLEST_ALLOWANCE:
            sentence = "not certainly better yet: its trial begins once more of the budget is saved"
            return Evidence(False, sentence, numbers)
        largest = 1.0 if self._policy.metric == "accuracy" else 2 * pair.largest_difference()
        trial = Trial(contender, self._champion, self._now, allowance, largest)
        self._state = replace(self._state, trial=trial, saved=self._state.saved - allowance)
        sentence = f"not certainly better yet: the trial of the contender {contender} begins"
        return Evidence(False, sentence, {**numbers, "needed": round(1 / allowance, 1)})

    def stop(self) -> None:
        """End the trial of a contender that does not keep a floor or a guardrail."""
        if self._state.trial is not None:
            self._end()

    def _end(self) -> None:
        if self._state.trial is not None:
            log.info("the trial of %s is over", self._state.trial.version)
            self._state = replace(self._state, trial=None, ended=self._state.trial.version)

    def write(self) -> None:
        """Keep the state; ChangedError if another comparison has changed it meanwhile."""
        if self._keep:
            write_trial(self._store.root, self._state, self._tag)
