"""The trials of a model: one contender at a time, until it is promoted or given up.

A trial goes on however many newer versions there are: a contender that changed each hour would never have
evidence. When it ends, the newest version gets the next one.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from batch_serving.promotion.budget import PART, allowance_of, saved_by, until_saved
from batch_serving.promotion.evidence import gains_of, kept_gains
from batch_serving.promotion.gate import Evidence
from batch_serving.promotion.sequential import GIVEN_UP, NOT_YET, TrialProgress
from batch_serving.registry.contender import Trial, is_open, next_contender, read_trial, write_trial

if TYPE_CHECKING:
    from batch_serving.promotion.pair import ModelPair
    from batch_serving.promotion.policy import Policy, Scores
    from batch_serving.registry.pointer import Pointer
    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

SMALLEST_ALLOWANCE = 1e-4  # with less, a trial could not end


def trial_of(store: ModelStore) -> TrialProgress | None:
    """Return how far the trial is that goes on, by what has been counted so far; None without one."""
    now = datetime.now(UTC)
    state, _ = read_trial(store.root, now)
    pointer = store.usable_pointer()
    if state.trial is None or pointer is None or not is_open(state.trial, pointer):
        return None
    return TrialProgress(state.trial, kept_gains(store, state.trial), now)


class Trials:
    """The trial that goes on, if there is one, and the one that may begin."""

    def __init__(
        self, store: ModelStore, policy: Policy, pointer: Pointer, versions: list[str], *, keep: bool
    ) -> None:
        """Read the state; with ``keep``, changes of it are written.

        A trial against an earlier champion, by another metric, or of a version that was removed, is over.
        """
        self._store, self._policy, self._pointer, self._keep = store, policy, pointer, keep
        self._versions, self._now = versions, datetime.now(UTC)
        self._state, self._tag = read_trial(store.root, self._now)
        saved = saved_by(self._now, self._state.saved, self._state.saved_at, policy.false_promotions_per_year)
        trial = self._state.trial
        goes_on = trial is not None and is_open(trial, pointer) and trial.version in versions
        is_over = not goes_on or (trial is not None and trial.metric != policy.metric)
        self._state = replace(self._state, saved=saved, saved_at=self._now, trial=None if is_over else trial)

    @property
    def trial(self) -> Trial | None:
        """The trial that goes on."""
        return self._state.trial

    @property
    def next(self) -> str | None:
        """The version that gets the next trial; None if there is none."""
        return next_contender(self._state, self._pointer, self._versions)

    @property
    def waiting(self) -> str:
        """Why no version gets a trial."""
        newest = max(self._state.ended, *self._pointer.versions)
        state = "has had its trial"
        if newest == self._pointer.version:
            state = "is the champion"
        elif newest == self._pointer.previous:
            state = "was the champion before"
        return f"no version is newer than {newest}, which {state}"

    def begin(self, pair: ModelPair, contender: str) -> Evidence:
        """Begin a trial, if the budget allows one."""
        allowance = allowance_of(self._state.saved)
        numbers = {"name": "sequential", "rows": 0}
        if allowance < SMALLEST_ALLOWANCE:
            a_year = self._policy.false_promotions_per_year
            hours = until_saved(self._state.saved, SMALLEST_ALLOWANCE / PART, a_year) / timedelta(hours=1)
            sentence = f"{NOT_YET}: its trial begins once more of the budget is saved, in {hours:.1f} hours"
            return Evidence(False, sentence, numbers)
        trial = Trial(
            contender,
            self._pointer.version,
            self._now,
            allowance,
            self._policy.metric,
            1.0 if self._policy.metric == "accuracy" else 2 * pair.largest_difference(),
            self._policy.min_delta,
            self._policy.contender_days,
            pair.scores,
            pair.holdout_summary,
        )
        self._state = replace(self._state, trial=trial, saved=self._state.saved - allowance)
        sentence = f"{NOT_YET}: the trial of the contender {contender} begins"
        return Evidence(False, sentence, {**numbers, "needed": round(1 / allowance, 1)})

    def scores_of(self, trial: Trial) -> dict[str, Scores] | None:
        """Return the scores when the trial began; None if the policy asks for others by now."""
        both = [trial.scores.get(role, {}) for role in ("challenger", "champion")]
        known = all(name in scores for name in self._policy.metrics for scores in both)
        return dict(trial.scores) if known else None

    def evidence(self, trial: Trial) -> Evidence:
        """Return how far the trial is that goes on; it ends if the contender is given up."""
        gains, missing = gains_of(self._store, trial, self._now, keep=self._keep)
        progress = TrialProgress(trial, gains, self._now)
        found = progress.evidence()
        if missing:
            state = GIVEN_UP if progress.is_given_up else NOT_YET
            found = Evidence(False, f"{state}: {missing}", {"name": "sequential", "rows": 0})
        if not found.sure and progress.is_given_up:
            self.end(refund=not gains.rows)
        return found

    def end(self, *, refund: bool = False) -> None:
        """End the trial, if there is one; the next version gets one.

        ``refund``: it has had no evidence, and so no chance of a wrong promotion.
        """
        trial = self._state.trial
        if trial is not None:
            log.info("the trial of %s is over", trial.version)
            saved = self._state.saved + (trial.allowance if refund else 0)
            self._state = replace(self._state, trial=None, ended=trial.version, saved=saved)

    def write(self) -> None:
        """Keep the state; ChangedError if another comparison has changed it meanwhile."""
        if self._keep:
            write_trial(self._store.root, self._state, self._tag)
