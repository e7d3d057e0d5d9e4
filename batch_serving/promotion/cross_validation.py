"""Settings against settings: both are trained on the same folds of all training rows, many times.

The folds of repeated cross-validation share rows, so that the variance of their differences is too small:
Nadeau and Bengio (2003), "Inference for the Generalization Error", Machine Learning 52, multiply it by
1/J + (rows tested)/(rows trained) in place of 1/J, for J folds in all.
"""

from __future__ import annotations

import logging
import math
import warnings
from typing import TYPE_CHECKING, Any

from batch_serving.ml.estimators import build_pipeline, find_scorer
from batch_serving.ml.scoring import scorer_for
from batch_serving.promotion.gate import Evidence, is_tie
from batch_serving.shared.files import read_with_tag, seal, sha256, to_json, unseal, write_atomic
from batch_serving.shared.wording import shown

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.ml.dataset import Dataset
    from batch_serving.promotion.policy import Policy
    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

FOLD_SCORES = "fold_scores.json"
SETTINGS = ("estimator", "parameters", "scaler")
SEED = 0  # of the folds: the same for all versions

Record = dict[str, Any]


def compare_settings(
    store: ModelStore,
    policy: Policy,
    records: dict[str, Record],
    data: Dataset,
    rows: pd.DataFrame,
    *,
    keep: bool,
) -> Evidence:
    """Return whether the challenger's settings are better than the champion's on folds of these rows.

    With ``keep``, each version's scores are kept beside it, so that a champion's settings are not trained
    again each time. Raises ValueError for settings that cannot be trained on the rows.
    """
    new = _fold_scores(store, policy, records["challenger"], data, rows, keep=keep)
    same = _settings(records["challenger"]) == _settings(records["champion"])
    old = new if same else _fold_scores(store, policy, records["champion"], data, rows, keep=keep)
    return judge_folds(policy, new, old, len(rows))


def _settings(record: Record) -> dict[str, Any]:
    return {**{name: record.get(name) for name in SETTINGS}, "column_kinds": _kinds(record)}


def _kinds(record: Record) -> dict[str, str] | None:
    """Return the kinds of columns that a version was trained with."""
    return (record.get("settings") or {}).get("column_kinds")


def judge_folds(policy: Policy, new: list[float], old: list[float], rows: int) -> Evidence:
    """Judge the scores of the same folds, greater being better; ``rows`` is for the sentence."""
    import numpy as np

    sign = 1 if find_scorer(policy.metric)[1] == "maximize" else -1
    scores, before = (sign * float(np.mean(values)) for values in (new, old))
    gain, p_value = corrected_test(np.subtract(new, old), policy.folds)
    folds = f"{policy.repeats} × {policy.folds} folds of {rows} rows"
    change = f"{policy.metric} {shown(before)} → {shown(scores)} on {folds}"
    numbers = {
        "name": "cross_validated", "challenger": scores, "champion": before, "gain": gain,
        "p_value": p_value, "folds": policy.folds, "repeats": policy.repeats, "rows": rows,
    }  # fmt: skip
    if is_tie(scores, before):
        sentence = f"a tie of the settings, and on_tie is {policy.on_tie}: {change}"
        return Evidence(policy.on_tie == "newest", sentence, numbers)
    if gain < policy.min_delta:
        word = "worse" if gain < 0 else f"better by only {shown(gain)}, less than min_delta"
        return Evidence(False, f"{word}: {change}", numbers)
    limit = 1 - policy.confidence
    sure = p_value < limit
    word, relation = ("better", "below") if sure else ("not certainly better", "not below")
    return Evidence(
        sure, f"{word}: {change} (corrected p = {shown(p_value)}, {relation} {shown(limit)})", numbers
    )


def corrected_test(differences: Any, folds: int) -> tuple[float, float]:
    """Return the mean of the differences of all folds, and the one-sided p-value that it is above 0.

    ``differences`` are those of repeated ``folds``-fold cross-validation; see the module for the correction.
    """
    import numpy as np
    import scipy.stats

    values = np.asarray(differences, dtype=float)
    mean, number = float(values.mean()), len(values)
    variance = float(values.var(ddof=1)) * (1 / number + 1 / (folds - 1))
    if variance == 0:
        return mean, 0.0 if mean > 0 else 1.0
    return mean, float(scipy.stats.t.sf(mean / math.sqrt(variance), number - 1))


def _fold_scores(
    store: ModelStore, policy: Policy, record: Record, data: Dataset, rows: pd.DataFrame, *, keep: bool
) -> list[float]:
    """Return the score of each fold, greater being better: those that are kept, or measured now."""
    ids = sha256("\n".join(map(str, rows[data.row_id])).encode())
    basis = [data.sha256, ids, policy.metric, policy.folds, policy.repeats, _settings(record)]
    key = sha256(to_json(basis))
    path = store.folder(record["version"]) / FOLD_SCORES
    kept, _ = read_with_tag(path)
    if kept is not None:
        try:
            found = unseal(kept)
            if found["key"] == key:
                return [float(score) for score in found["scores"]]
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s is corrupt (%s); it is measured again", path, error)
    scores = measure_folds(record, policy, rows[data.features], rows[data.target])
    if keep and record["version"] in store.versions():  # it may have been removed while they were measured
        write_atomic(path, seal({"key": key, "scores": scores}))
    return scores


def measure_folds(record: Record, policy: Policy, features: pd.DataFrame, target: pd.Series) -> list[float]:
    """Train a version's settings on each fold and return its score on the rest, greater being better.

    The target of a fold is in the order of the rows. Raises ValueError if the settings cannot be trained.
    """
    from sklearn.base import clone

    pipeline = build_pipeline(
        features,
        record["estimator"],
        record["parameters"] or {},
        record.get("scaler"),
        _kinds(record),
    )
    estimator = pipeline.named_steps["estimator"]
    if estimator.get_params().get("random_state", 0) is None:
        estimator.set_params(random_state=SEED)
    values, scores = target.to_numpy(), []
    for train, test in _splits(pipeline, policy, features, target):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of each of many fits: training has reported it
            model = clone(pipeline).fit(features.iloc[train], values[train])
            scores.append(float(scorer_for(policy.metric, model, values)(features.iloc[test], values[test])))
    if not all(map(math.isfinite, scores)):
        raise ValueError(f"{policy.metric} of {record['version']} is not a number on a fold; use fewer folds")
    return scores


def _splits(pipeline: Any, policy: Policy, features: pd.DataFrame, target: pd.Series) -> Any:
    from sklearn.base import is_classifier
    from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

    splitter = RepeatedStratifiedKFold if is_classifier(pipeline[-1]) else RepeatedKFold
    return splitter(n_splits=policy.folds, n_repeats=policy.repeats, random_state=SEED).split(
        features, target
    )
