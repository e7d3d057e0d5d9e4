"""The gate over a simulated month: false promotions, hours until a better model is in use, and regret.

``make bench`` prints it. A month has 720 hourly trainings. Of each dataset 40 % is kept aside as the truth: no
model and no gate without late labels sees it. It stands for all rows that there could be: a model's true score
is its mean over them, and the stream that is predicted has 60 new rows an hour, each drawn from them by chance.
A training draws six settings and keeps the best by cross-validation, as ``train_challenger`` does; settings
are drawn from 24 values, so that each is fitted once for all months.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.model_selection import KFold, StratifiedKFold

from batch_serving.ml.estimators import build_pipeline
from batch_serving.promotion.budget import allowance_of, saved_by
from batch_serving.promotion.cross_validation import judge_folds, measure_folds
from batch_serving.promotion.evidence import Gains
from batch_serving.promotion.gate import Verdict, judge
from batch_serving.promotion.paired_tests import paired_test
from batch_serving.promotion.policy import Policy
from batch_serving.promotion.sequential import TrialProgress
from batch_serving.registry.contender import Trial

HOURS = 720
BETTER_FROM = 100  # the hour
ROWS_AN_HOUR = 60
CANDIDATES = 6
SETTINGS = 24
SPLITS = 4  # seeds of the search's folds
START = datetime(2026, 1, 1, tzinfo=UTC)
DATASETS = {
    "digits": (load_digits, "sklearn.linear_model.LogisticRegression", "C", np.logspace(-2, 2, SETTINGS)),
    "breast cancer": (
        load_breast_cancer, "sklearn.linear_model.LogisticRegression", "C", np.logspace(-2, 2, SETTINGS),
    ),
    "diabetes": (load_diabetes, "sklearn.linear_model.Ridge", "alpha", np.logspace(-2, 3, SETTINGS)),
}  # fmt: skip
GATES = {
    ">": {},
    "min_delta": {"min_delta": 0.002},
    "mcnemar": {"min_delta": 0.002, "test": "mcnemar"},
    "paired_bootstrap": {"min_delta": 0.002, "test": "paired_bootstrap"},
    "cross_validated": {"min_delta": 0.002, "test": "cross_validated", "confidence": 0.9},
    "sequential": {"min_delta": 0.002, "test": "sequential"},
    "sequential, labels after a day": {"min_delta": 0.002, "test": "sequential"},
}


class World:
    """A dataset, and a fitted model for each of the settings."""

    def __init__(self, name: str, split: int) -> None:
        """Split the rows, and fit each of the settings on the training rows."""
        load, estimator, parameter, values = DATASETS[name]
        features, target = load(return_X_y=True, as_frame=True)
        order = np.random.default_rng(split).permutation(len(target))
        features, target = (one.iloc[order].reset_index(drop=True) for one in (features, target))
        known, held_out = int(0.6 * len(target)), int(0.6 * len(target) * 0.2)
        self.holdout = features[:held_out], target[:held_out]
        self.training = features[held_out:known], target[held_out:known]
        self.truth = features[known:], target[known:]
        self.is_regression = name == "diabetes"
        self.metric = "mean_absolute_error" if self.is_regression else "accuracy"
        extra = {} if self.is_regression else {"max_iter": 1000, "tol": 0.001}
        scaler = "sklearn.preprocessing.MinMaxScaler"
        self.records = [
            {
                "version": f"{value:.4g}", "estimator": estimator, "scaler": scaler,
                "parameters": {parameter: value, **extra},
            }
            for value in values
        ]  # fmt: skip
        self.models = [self._new(record).fit(*self.training) for record in self.records]
        self.holdout_scores = [self._score(model, *self.holdout) for model in self.models]
        self.true_scores = [self._score(model, *self.truth) for model in self.models]
        sign = -1 if self.is_regression else 1
        self.quality = sign * np.array(self.true_scores)  # greater is better
        self.point = 0.01 * abs(self.quality).min() if self.is_regression else 0.01
        self._verdicts: dict[tuple[str, int, int], Verdict] = {}

    def _new(self, record: dict[str, Any]) -> Any:
        features = self.training[0]
        return build_pipeline(features, record["estimator"], record["parameters"], record["scaler"])

    def _score(self, model: Any, features: pd.DataFrame, target: pd.Series) -> float:
        predicted = model.predict(features)
        if self.is_regression:
            return float(np.abs(predicted - target).mean())
        return float((predicted == target).mean())

    @cached_property
    def search_scores(self) -> np.ndarray[Any, Any]:
        """The score of each of the settings in the search's three folds, by the seed of these."""
        features, target = self.training
        scores = np.zeros((SPLITS, len(self.records)))
        folds = KFold if self.is_regression else StratifiedKFold
        for seed in range(SPLITS):
            for train, test in folds(3, shuffle=True, random_state=seed).split(features, target):
                for place, record in enumerate(self.records):
                    model = self._new(record).fit(features.iloc[train], target.iloc[train])
                    score = self._score(model, features.iloc[test], target.iloc[test])
                    scores[seed, place] += -score if self.is_regression else score
        return scores

    @cached_property
    def row_scores(self) -> np.ndarray[Any, Any]:
        """The score of each of the settings in each row of the truth, greater being better."""
        features, target = self.truth
        rows = [model.predict(features) for model in self.models]
        if self.is_regression:
            return np.array([-np.abs(row - target.to_numpy()) for row in rows])
        return np.array([row == target.to_numpy() for row in rows], dtype=float)

    @cached_property
    def alike(self) -> np.ndarray[Any, Any]:
        """The largest group of settings whose true scores differ by rounding, or next to nothing."""
        tolerance = 0.05 * self.point
        groups = [np.flatnonzero(np.abs(self.quality - one) < tolerance) for one in self.quality]
        return max(groups, key=len)

    @cached_property
    def fold_scores(self) -> list[list[float]]:
        """The scores of each of the settings in the repeated folds."""
        policy = self.policy("cross_validated")
        return [measure_folds(record, policy, *self.training) for record in self.records]

    def policy(self, gate: str) -> Policy:
        """Return the policy of a gate; min_delta is in points."""
        given = dict(GATES[gate])
        if "min_delta" in given:
            given["min_delta"] = 0.2 * self.point
        direction = "minimize" if self.is_regression else "maximize"
        return Policy(metric=self.metric, direction=direction, **given)

    def verdict(self, gate: str, new: int, old: int) -> Verdict:
        """Return what a gate without memory says of two of the settings."""
        key = gate, new, old
        if key not in self._verdicts:
            policy = self.policy(gate)
            scores = [{self.metric: self.holdout_scores[place]} for place in (new, old)]
            models = [self.models[place] for place in (new, old)]
            if policy.test == "cross_validated":
                folds = [self.fold_scores[place] for place in (new, old)]
                rows = len(self.training[1])
                self._verdicts[key] = judge(policy, *scores, lambda: judge_folds(policy, *folds, rows))
            else:
                self._verdicts[key] = judge(
                    policy, *scores, lambda: paired_test(policy, *models, *self.holdout)
                )
        return self._verdicts[key]


@dataclass(frozen=True)
class Month:
    """The settings of each hour's challenger; which ones, says the scenario."""

    world: World
    gain: float | None  # points that challengers are better by from BETTER_FROM on; None: nothing differs
    seed: int

    @cached_property
    def challengers(self) -> np.ndarray[Any, Any]:
        """Which of the settings each hour's challenger has."""
        draw, world = np.random.default_rng(self.seed), self.world
        if self.gain is None:
            return draw.choice(world.alike, HOURS)
        found = np.empty(HOURS, dtype=int)
        for hour in range(HOURS):
            tried = draw.choice(len(world.records), CANDIDATES, replace=False)
            scores = world.search_scores[draw.integers(SPLITS), tried]
            found[hour] = tried[np.argmax(scores)]
        if self.gain:
            later = world.quality[found[BETTER_FROM:]].mean()
            found[:BETTER_FROM] = np.abs(world.quality - (later - self.gain * world.point)).argmin()
        return found


@dataclass
class Result:
    """What a gate did in a month."""

    champions: list[int] = field(default_factory=list)
    promotions: list[tuple[int, int, int]] = field(default_factory=list)  # hour, new, old

    def promote(self, hour: int, new: int, old: int) -> int:
        """Note a promotion and return the new champion."""
        self.promotions.append((hour, new, old))
        return new


def without_memory(month: Month, gate: str) -> Result:
    """Let a gate judge each hour's challenger."""
    result, champion = Result(), int(month.challengers[0])
    for hour, challenger in enumerate(month.challengers):
        if challenger != champion and month.world.verdict(gate, challenger, champion).promote:
            champion = result.promote(hour, int(challenger), champion)
        result.champions.append(champion)
    return result


def with_trials(month: Month, delay_hours: int) -> Result:
    """Let contenders have trials, as ``Trials`` does, on a stream of rows."""
    world, draw = month.world, np.random.default_rng(month.seed + 10_000)
    policy, result, champion = world.policy("sequential"), Result(), int(month.challengers[0])
    saved, trial, contender, gains = saved_by(START, 0, None, policy.false_promotions_per_year), None, -1, []
    for hour, challenger in enumerate(month.challengers):
        now = START + timedelta(hours=hour)
        saved = saved_by(now, saved, now - timedelta(hours=1), policy.false_promotions_per_year)
        if trial is None and challenger != champion:
            allowance = allowance_of(saved)
            contender, saved, gains = int(challenger), saved - allowance, []
            trial = Trial(
                "contender", "champion", now, allowance, policy.metric,
                _largest(world, contender, champion), policy.min_delta, policy.contender_days,
            )  # fmt: skip
        elif trial is not None:
            rows = draw.integers(0, len(world.truth[1]), ROWS_AN_HOUR)
            gains.append((world.row_scores[contender] - world.row_scores[champion])[rows])
            counted = np.concatenate([[], *gains[: max(0, len(gains) - delay_hours)]])
            days = max(0, len(gains) - delay_hours - 1) / 24
            values = np.clip(counted / trial.largest, -1, 1)
            progress = TrialProgress(trial, Gains(values, counted, days), now)
            if progress.is_better:
                champion, trial = result.promote(hour, contender, champion), None
            elif progress.is_given_up:
                trial = None
        result.champions.append(champion)
    return result


def _largest(world: World, new: int, old: int) -> float:
    if not world.is_regression:
        return 1.0
    first, second = (world.models[place].predict(world.holdout[0]) for place in (new, old))
    return 2 * float(np.abs(first - second).max()) or 1.0


def run_gate(month: Month, gate: str) -> Result:
    """Run a gate over a month."""
    if not gate.startswith("sequential"):
        return without_memory(month, gate)
    return with_trials(month, 24 if "after a day" in gate else 0)


def row_of(months: list[Month], gate: str) -> str:
    """Return a line: false promotions a month, hours until promoted, months without, and regret in points."""
    false, hours, never, regrets = [], [], 0, []
    for month in months:
        result, quality = run_gate(month, gate), month.world.quality
        false.append(
            sum(month.gain is None or quality[new] <= quality[old] for _, new, old in result.promotions)
        )
        best = np.maximum.accumulate(quality[month.challengers])
        regrets.append(float((best - quality[result.champions]).mean() / month.world.point))
        half = quality[month.challengers[0]] + (month.gain or 0) / 2 * month.world.point
        first = next(
            (hour for hour, new, _ in result.promotions if hour >= BETTER_FROM and quality[new] >= half), None
        )
        never += first is None
        if first is not None:
            hours.append(first - BETTER_FROM)
    until = " " * 20
    if months[0].gain:
        numbers = f"{statistics.median(hours):6.0f} {max(hours):6.0f}" if hours else f"{'':13}"
        until = f"{numbers} {never:6d}"
    regret = f"{statistics.mean(regrets):8.2f}" if months[0].gain is not None else " " * 8
    return f"  {gate:32}{statistics.mean(false):8.2f}{until}{regret}"


def limits(world: World) -> Iterator[str]:
    """Yield what rows can show: the smallest gain on the holdout, and rows until one point is sure."""
    months = Month(world, 0.0, 0).challengers
    pairs = [(int(new), int(old)) for new, old in zip(months[:60], months[60:120], strict=True) if new != old]
    spread = np.mean([np.var(world.row_scores[new] - world.row_scores[old]) for new, old in pairs])
    rows = len(world.holdout[1])
    smallest = (1.96 + 0.84) * np.sqrt(spread / rows) / world.point
    yield f"  a gain that paired_bootstrap finds on {rows} holdout rows in 4 of 5 cases: {smallest:.1f} points"
    log_needed = -np.log(allowance_of(saved_by(START, 0, None, 2.0))) + np.log(12)
    for points in (0.2, 0.5, 1, 2):
        needed = 2 * log_needed * (spread + (points * world.point) ** 2) / (points * world.point) ** 2
        yield (
            f"  labelled rows until the evidence for {points:g} points suffices: about {needed:,.0f} "
            f"({needed / ROWS_AN_HOUR:.0f} hours)"
        )


SCENARIOS: dict[str, float | None] = {
    "nothing differs": None,
    "retrainings as they are": 0.0,
    "better by 0.5 points": 0.5,
    "better by 1 point": 1.0,
    "better by 2 points": 2.0,
}


def main(print_line: Callable[[str], None] = print) -> None:
    """Print a table for each dataset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, default=4, help="simulated months for each split and scenario")
    parser.add_argument("--splits", type=int, default=3, help="ways to split each dataset")
    parser.add_argument("--datasets", nargs="*", default=list(DATASETS), choices=list(DATASETS))
    options = parser.parse_args()
    for name in options.datasets:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of hundreds of fits that do not converge
            worlds = [World(name, split) for split in range(options.splits)]
            first = worlds[0]
            point = f"a point is {first.point:.3g} of {first.metric}"
            print_line(f"{name}: {len(first.truth[1])} rows of truth; {point}")
            for line in limits(first):
                print_line(line)
            for scenario, gain in SCENARIOS.items():
                seeds = range(options.months)
                months = [Month(world, gain, seed) for world in worlds for seed in seeds]
                print_line(f" {scenario}:{'':{33 - len(scenario)}}false  hours  worst  never  regret")
                for gate in GATES:
                    if not (gate == "mcnemar" and first.is_regression):
                        print_line(row_of(months, gate))


if __name__ == "__main__":
    main()
