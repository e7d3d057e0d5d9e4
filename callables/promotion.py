"""P2: the challenger becomes champion only if it is better on the same holdout, or when told by hand."""

from __future__ import annotations

import json
import logging
import math
from typing import Any, Literal

from callables._dataset import split_holdout
from callables._model_store import ModelStore, ModelStoreError
from callables.training import read_holdout

log = logging.getLogger(__name__)

FEWEST_ROWS = 30  # fewer say little about two models
TIE = 1e-12  # two sums of the same scores may differ by rounding alone


def compare(
    *,
    model: str,
    metric: str,
    direction: Literal["maximize", "minimize"] = "maximize",
    min_delta: float = 0.0,
    floors: dict[str, float] | None = None,
    guardrails: dict[str, float] | None = None,
    on_tie: Literal["keep", "newest"] = "keep",
    version: str = "",
) -> dict:
    """Decide whether the newest version of ``model`` should replace the champion.

    It should if it keeps every floor (the worst value allowed of a metric; the only gate for a first model),
    beats the champion's ``metric`` by at least ``min_delta``, and loses no more than its guardrail on any
    other metric; a tie goes by ``on_tie`` (keep or newest). With ``version`` a person has decided: that one
    is promoted unseen, which is also the way back. Returns verdict (promote or keep), reason, both versions
    and both scores; errors are smaller-is-better, with ``direction: minimize``.
    """
    from callables._estimators import find_scorer

    known_direction = find_scorer(metric)[1]
    if direction != known_direction:
        raise ValueError(
            f"direction is {direction!r}, but {metric!r} is to be {known_direction}d; correct the YAML"
        )
    if on_tie not in ("keep", "newest"):
        raise ValueError(f"on_tie is {on_tie!r}; it must be 'keep' or 'newest'")
    store = ModelStore(model)
    versions = store.versions()
    if not versions:
        raise ModelStoreError(f"model {model!r} has no version yet; run train_model first")
    challenger = version or versions[-1]
    pointer = store.usable_pointer()
    champion = pointer["version"] if pointer else None
    metrics = sorted({metric, *(floors or {}), *(guardrails or {})})
    if version:
        # A person has decided: nothing is scored, so that the way back is open whatever is broken.
        scores = {"challenger": store.metadata(version)["metrics"], "champion": _on_record(store, champion)}
        promote, reason = True, "chosen by hand"
    else:
        scores = _scores(store, challenger, champion, metrics)
        promote, reason = _judge(scores, metric, min_delta, floors or {}, guardrails or {}, on_tie)
    if challenger == champion:
        promote, reason = False, f"{challenger} is the champion already"
    result = {
        "verdict": "promote" if promote else "keep",
        "reason": reason,
        "model": model,
        "challenger": challenger,
        "champion": champion,
        "metric": metric,
        "challenger_score": scores["challenger"].get(metric),
        "champion_score": scores["champion"].get(metric),
    }
    log.info("%s %s: %s", result["verdict"], challenger, reason)
    return result


def choose(*, verdict: str, better_task: str, otherwise_task: str) -> str:
    """Return the task_id that follows: ``better_task`` for the verdict promote, else ``otherwise_task``."""
    if verdict not in ("promote", "keep"):
        raise ValueError(f"verdict is {verdict!r}; compare gives 'promote' or 'keep'")
    return better_task if verdict == "promote" else otherwise_task


def promote(*, comparison: str, run_id: str) -> dict:
    """Make the compared challenger the champion; ``comparison`` is what ``compare`` returned, as JSON.

    Returns both versions, the metric before and after, and the reason. A second call changes nothing.
    """
    result = json.loads(comparison)
    store = ModelStore(result["model"])
    pointer = store.usable_pointer()
    back = pointer is not None and result["challenger"] == pointer["previous"]
    store.promote(
        result["challenger"],
        expect=result["champion"],
        run_id=run_id,
        reason=result["reason"],
        verdict="rolled back" if back else "promoted",
    )
    return {
        "model": result["model"],
        "version": result["challenger"],
        "previous": result["champion"],
        "metric": result["metric"],
        "before": result["champion_score"],
        "after": result["challenger_score"],
        "reason": result["reason"],
    }


def keep(*, comparison: str, run_id: str) -> dict:
    """Leave the champion in place and write the reason into the history."""
    result = json.loads(comparison)
    ModelStore(result["model"]).record("kept", result["challenger"], run_id=run_id, reason=result["reason"])
    return {"model": result["model"], "champion": result["champion"], "reason": result["reason"]}


def _on_record(store: ModelStore, version: str | None) -> dict[str, float]:
    """Return the metrics in a version's record; none where there is no version or no record."""
    try:
        return store.metadata(version)["metrics"] if version else {}
    except ModelStoreError:
        return {}


def _scores(store: ModelStore, challenger: str, champion: str | None, metrics: list[str]) -> dict[str, dict]:
    """Return each one's metrics on the same rows, which neither has seen in training.

    The scores on record are taken where both have them for the same holdout. A champion that cannot be used
    has no scores, and the challenger is judged as a first model is.
    """
    challenger_record = store.metadata(challenger)
    try:
        champion_record = store.metadata(champion) if champion else None
    except ModelStoreError as error:
        log.error("the champion cannot be compared: %s", error)
        champion_record = None
    records = {"challenger": challenger_record, "champion": champion_record}
    known = [record for record in records.values() if record is not None]
    same_rows = len({record["holdout"]["fingerprint"] for record in known}) == 1
    if same_rows and all(name in record["metrics"] for record in known for name in metrics):
        return {key: record["metrics"] if record else {} for key, record in records.items()}
    return _score_anew(store, challenger_record, champion_record, metrics)


def _score_anew(
    store: ModelStore, challenger: dict[str, Any], champion: dict[str, Any] | None, metrics: list[str]
) -> dict[str, dict]:
    from callables._estimators import measure

    data, holdout = read_holdout(challenger)
    if champion is not None:
        # Rows that one of the two was trained on would flatter it.
        _, unseen = split_holdout(data, champion["holdout"]["share"], champion["holdout"]["seed"])
        holdout = holdout[holdout[data.row_id].isin(unseen[data.row_id])]
    if len(holdout) < FEWEST_ROWS:
        raise ValueError(
            f"the holdouts of {challenger['version']} and the champion share only {len(holdout)} rows; "
            "keep holdout_share and holdout_seed, or promote by hand with a version"
        )
    log.info("scoring on %d rows that neither was trained on", len(holdout))
    scores: dict[str, dict] = {"challenger": {}, "champion": {}}
    for key, record in (("challenger", challenger), ("champion", champion)):
        if record is not None:
            model = store.load(record["version"])
            scores[key] = measure(model, holdout[data.features], holdout[data.target], metrics)
    return scores


def _judge(
    scores: dict[str, dict], metric: str, min_delta: float, floors: dict, guardrails: dict, on_tie: str
) -> tuple[bool, str]:
    """Return (promote?, why) from the scores of both on the same rows."""
    new, old = scores["challenger"], scores["champion"]
    for name, value in (*new.items(), *old.items()):
        if not math.isfinite(value):
            raise ValueError(f"{name} is {value}: it cannot be compared; train again or promote by hand")
    for name, floor in floors.items():
        if _gain(name, new[name], floor) < 0:
            return False, f"{name} {_shown(new[name])} does not reach the floor {_shown(floor)}"
    if not old:
        return True, f"the first model: {metric} {_shown(new[metric])}" + (
            " keeps every floor" if floors else ""
        )
    for name, allowed in guardrails.items():
        loss = -_gain(name, new[name], old[name])
        if loss > allowed + TIE:
            return False, f"{name} got worse by {_shown(loss)}, more than the {_shown(allowed)} allowed"
    gain = _gain(metric, new[metric], old[metric])
    change = f"{metric} {_shown(old[metric])} → {_shown(new[metric])}"
    if abs(gain) <= TIE:
        return on_tie == "newest", f"a tie at {metric} {_shown(new[metric])}, and on_tie is {on_tie}"
    if gain < 0:
        return False, f"worse: {change}"
    if gain < min_delta - TIE:
        return False, f"better by {_shown(gain)} only, less than min_delta {_shown(min_delta)}: {change}"
    return True, f"better: {change}"


def _gain(metric: str, new: float, old: float) -> float:
    from callables._estimators import find_scorer

    return new - old if find_scorer(metric)[1] == "maximize" else old - new


def _shown(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
