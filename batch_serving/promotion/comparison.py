"""The comparison of a challenger with the champion: its result, and how it is reached."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from batch_serving.promotion.gate import Verdict, judge
from batch_serving.promotion.pair import ModelPair
from batch_serving.promotion.policy import Policy, Scores
from batch_serving.promotion.sequential import GIVEN_UP
from batch_serving.promotion.trials import Trials
from batch_serving.registry.contender import Trial
from batch_serving.registry.history import PRUNED
from batch_serving.registry.pointer import Pointer
from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.wording import shown

log = logging.getLogger(__name__)

# What the history keeps of a comparison beside verdict, version and reason.
HISTORY_DETAILS = ("champion", "metric", "scores", "policy", "holdout", "test")


class InvalidRequestError(Exception):
    """An operator asks for a version that cannot be promoted; trying again cannot help."""


@dataclass(frozen=True)
class Comparison:
    """The verdict on a challenger, and every number that led to it."""

    model: str
    verdict: str  # promote or keep
    reason: str
    challenger: str
    champion: str | None
    metric: str
    scores: dict[str, Scores]  # of challenger and champion
    policy: dict[str, Any]
    holdout: dict[str, Any] | None
    test: dict[str, Any] | None
    dry_run: bool = False
    rolls_back: bool = False  # the challenger is the version before the champion

    @property
    def challenger_score(self) -> float | None:
        """The challenger's value of the deciding metric, if it is known."""
        return self.scores["challenger"].get(self.metric)

    @property
    def champion_score(self) -> float | None:
        """The champion's value of the deciding metric, if it is known."""
        return self.scores["champion"].get(self.metric)

    @property
    def details(self) -> dict[str, Any]:
        """What the history keeps beside verdict, version and reason."""
        return {name: getattr(self, name) for name in HISTORY_DETAILS}

    def repeats(self, verdicts: Sequence[Mapping[str, Any]], versions: Sequence[str]) -> bool:
        """Return whether the last of these verdicts is the same, and no version has come since."""
        last = next((entry for entry in reversed(verdicts) if entry["verdict"] != PRUNED), None)
        if last is None or versions[-1:] != [self.challenger]:
            return False
        same = {
            "verdict": "kept",
            "version": self.challenger,
            "champion": self.champion,
            "reason": self.reason,
            "policy": self.policy,
        }
        return {name: last.get(name) for name in same} == same

    def as_dry_run(self) -> Comparison:
        """Return the same comparison with the verdict keep, and what would have been done as the reason."""
        would = "would be promoted" if self.verdict == "promote" else "would not be promoted"
        reason = f"dry run: {self.challenger} {would}: {self.reason}"
        return replace(self, verdict="keep", reason=reason, dry_run=True)

    def to_json(self) -> dict[str, Any]:
        """Return the values for XCom."""
        scores = {"challenger_score": self.challenger_score, "champion_score": self.champion_score}
        return {**asdict(self), **scores}

    @classmethod
    def from_json(cls, text: str) -> Comparison:
        """Return the comparison that ``to_json`` gave, as JSON."""
        given = json.loads(text)
        return cls(
            model=given["model"],
            verdict=given["verdict"],
            reason=given["reason"],
            challenger=given["challenger"],
            champion=given["champion"],
            metric=given["metric"],
            scores=given["scores"],
            policy=given["policy"],
            holdout=given.get("holdout"),
            test=given.get("test"),
            dry_run=bool(given.get("dry_run")),
            rolls_back=bool(given.get("rolls_back")),
        )


class Comparer:
    """Compares versions of one model with its champion, which is read once."""

    def __init__(self, store: ModelStore, policy: Policy) -> None:
        """Read which version is the champion."""
        self._store, self._policy = store, policy
        self._pointer = store.usable_pointer()
        self._champion = self._pointer.version if self._pointer else None

    def newest(self, *, dry_run: bool = False) -> Comparison:
        """Compare the newest version with the champion, or the one whose trial goes on (``sequential``).

        The evidence of a trial is kept, and so are scores that took long; not with ``dry_run``.
        """
        versions = self._store.versions()
        if not versions:
            raise ModelStoreError(f"model {self._store.name!r} has no version yet; run train_model first")
        if self._policy.test == "sequential" and self._pointer is not None and self._champion_is_sound():
            return self._on_trial(self._pointer, versions, keep=not dry_run)
        pair = ModelPair(self._store, self._policy, versions[-1], self._champion, keep=not dry_run)
        scores = pair.scores
        verdict = judge(self._policy, scores["challenger"], scores["champion"], pair.run_test)
        return self._result(versions[-1], scores, verdict, pair.holdout_summary)

    def _champion_is_sound(self) -> bool:
        """Return whether the champion can predict: beside one that cannot, no trial comes to an end."""
        try:
            self._store.check_file(str(self._champion))
        except ModelStoreError as error:
            log.error("the champion cannot be compared: %s", error)
            return False
        return True

    def _on_trial(self, pointer: Pointer, versions: list[str], *, keep: bool) -> Comparison:
        trials = Trials(self._store, self._policy, pointer, versions, keep=keep)
        if trials.trial is not None:
            result = self._goes_on(trials, trials.trial)
        elif trials.next is not None:
            pair = ModelPair(self._store, self._policy, trials.next, pointer.version)
            begin = partial(trials.begin, pair, trials.next)
            verdict = judge(self._policy, pair.scores["challenger"], pair.scores["champion"], begin)
            result = self._result(trials.next, pair.scores, verdict, pair.holdout_summary)
        else:
            record = self._store.metadata(versions[-1])
            scores = {"challenger": record["metrics"], "champion": self._champion_metrics()}
            result = self._result(versions[-1], scores, Verdict(False, trials.waiting), None)
        trials.write()
        return result

    def _goes_on(self, trials: Trials, trial: Trial) -> Comparison:
        """Judge a contender by its trial, which ends if it does not keep a floor or a guardrail."""
        scores = trials.scores_of(trial)
        if scores is None:  # the policy has a metric more than when the trial began
            try:
                scores = ModelPair(self._store, self._policy, trial.version, trial.champion).scores
            except (OSError, ValueError, ModelStoreError) as error:
                trials.end()
                verdict = Verdict(False, f"{GIVEN_UP}: {error}")
                none: dict[str, Scores] = {"challenger": {}, "champion": {}}
                return self._result(trial.version, none | trial.scores, verdict, trial.holdout or None)
        run_test = partial(trials.evidence, trial)
        verdict = judge(self._policy, scores["challenger"], scores["champion"], run_test)
        if verdict.evidence is None:
            trials.end()
        return self._result(trial.version, scores, verdict, trial.holdout or None)

    def requested(self, version: str, roll_back: bool) -> Comparison:
        """Promote the version that an operator asks for, or the one before the champion.

        No model is loaded or scored, so that a roll back works whatever is broken.
        """
        if version and roll_back:
            raise InvalidRequestError("version and roll_back are both given; use one of them")
        try:
            record = self._store.metadata(version or self._store.before_champion())
        except ModelStoreError as error:
            raise InvalidRequestError(str(error)) from error
        scores = {"challenger": record["metrics"], "champion": self._champion_metrics()}
        reason = "rolled back by hand" if roll_back else "chosen by hand"
        values = [scores[role].get(self._policy.metric) for role in ("champion", "challenger")]
        change = " → ".join(shown(value) for value in values if value is not None)
        if change:
            reason = f"{reason}: {self._policy.metric} {change}"
        return self._result(record["version"], scores, Verdict(True, reason), None)

    def _champion_metrics(self) -> Scores:
        """Return the metrics in the champion's record; none without a champion or its record."""
        if self._champion is None:
            return {}
        try:
            metrics: Scores = self._store.metadata(self._champion)["metrics"]
        except ModelStoreError:
            return {}
        return metrics

    def _result(
        self,
        challenger: str,
        scores: dict[str, Scores],
        verdict: Verdict,
        holdout: dict[str, Any] | None,
    ) -> Comparison:
        """Return the comparison; a version that is already the champion is not promoted again."""
        if self._pointer is not None and challenger == self._champion:
            if self._pointer.lost:
                reason = f"{challenger} is the champion: champion.json was lost, and is written again"
                verdict = Verdict(True, reason)
            else:
                verdict = Verdict(False, f"{challenger} is already the champion")
        return Comparison(
            model=self._store.name,
            verdict="promote" if verdict.promote else "keep",
            reason=verdict.reason,
            challenger=challenger,
            champion=self._champion,
            metric=self._policy.metric,
            scores=scores,
            policy=asdict(self._policy),
            holdout=holdout,
            test=verdict.evidence.numbers if verdict.evidence else None,
            rolls_back=self._pointer is not None and challenger == self._pointer.previous,
        )


def as_markdown(comparison: Comparison) -> str:
    """Return a comparison as Markdown: the verdict in one sentence, then every number that led to it."""
    lines = [
        f"### {comparison.verdict}: {comparison.reason}",
        "",
        "| | challenger | champion | floor | guardrail |",
        "|---|---|---|---|---|",
        f"| version | {comparison.challenger} | {comparison.champion or 'none'} | | |",
    ]
    policy = comparison.policy
    columns = [comparison.scores["challenger"], comparison.scores["champion"]]
    for name in sorted({*columns[0], *columns[1]}):
        values = [column.get(name) for column in (*columns, policy["floors"], policy["guardrails"])]
        cells = [_cell(value) for value in values]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    plain = {name: value for name, value in policy.items() if name not in ("floors", "guardrails")}
    lines += ["", f"policy: {_listed(plain)}"]
    if comparison.holdout:
        lines.append(f"holdout: {_listed(comparison.holdout)}")
    if comparison.test:
        lines.append(f"test: {_listed(comparison.test)}")
    return "\n".join(lines)


def _cell(value: float | str | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else shown(value)


def _listed(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items())
