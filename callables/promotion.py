"""P2: the challenger becomes champion if it is better by more than luck, or if an operator asks for it."""

from __future__ import annotations

import logging
from typing import Any, Literal

from batch_serving.promotion import arguments
from batch_serving.registry.store import ModelStore
from batch_serving.shared.airflow import fail, skip
from batch_serving.shared.checked_by import checked_by
from batch_serving.shared.run_context import parse_flag

log = logging.getLogger(__name__)

RECENT_VERDICTS = 20  # lines of the history: the last ones may be of what prune has removed


@checked_by(arguments.of_comparison)
def compare(
    *,
    model: str,
    metric: str,
    direction: Literal["maximize", "minimize"] = "maximize",
    min_delta: float = 0.0,
    floors: dict[str, float] | None = None,
    guardrails: dict[str, float | str] | None = None,
    on_tie: Literal["keep", "newest"] = "keep",
    test: Literal["none", "mcnemar", "paired_bootstrap", "cross_validated", "sequential"] = "none",
    confidence: float = 0.95,
    folds: int = 5,
    repeats: int = 3,
    false_promotions_per_year: float = 2,
    contender_days: float = 7,
    version: str = "",
    roll_back: bool | str = False,
    dry_run: bool | str = False,
) -> dict[str, Any]:
    """Decide whether the newest version of ``model`` should replace the champion.

    It should if it keeps every floor (the worst allowed value of a metric; the only gate for a first model),
    beats the champion's ``metric`` by at least ``min_delta``, loses no more than its guardrail on any other
    metric, and if the ``test`` finds, with ``confidence``, that this is more than luck. The guardrails
    ``predict_ms`` (the time to predict the holdout) and ``size_mb`` are in percent of the champion's, as in
    ``20 %``. ``mcnemar`` and ``paired_bootstrap`` test on the holdout. ``cross_validated`` compares the
    settings of both on ``repeats`` times ``folds`` folds of the training rows. ``sequential`` needs labels
    that come later, ``shadow: true`` in predict_rows, and accuracy or mean_absolute_error: a contender has a
    trial of ``contender_days`` of labelled rows at most, and its evidence is kept in the registry; however
    often it is looked at, at most ``false_promotions_per_year`` are expected in a year. ``on_tie`` decides a
    tie (keep or newest). With ``version`` or ``roll_back`` an operator has decided: that
    version, or the one before the champion, is promoted whatever its score. ``dry_run`` only reports what
    would be done. Returns the verdict (promote or keep), the reason, and every number that led to it. Errors
    are metrics with ``direction: minimize``.
    """
    from batch_serving.promotion.comparison import Comparer, InvalidRequestError, as_markdown
    from batch_serving.promotion.policy import Policy

    policy = Policy(
        metric=metric,
        direction=direction,
        min_delta=min_delta,
        floors=floors or {},
        guardrails=guardrails or {},
        on_tie=on_tie,
        test=test,
        confidence=confidence,
        folds=folds,
        repeats=repeats,
        false_promotions_per_year=false_promotions_per_year,
        contender_days=contender_days,
    )
    comparer = Comparer(ModelStore(model), policy)
    wants_roll_back, is_dry_run = parse_flag(roll_back, "roll_back"), parse_flag(dry_run, "dry_run")
    if version or wants_roll_back:
        try:
            result = comparer.requested(version, wants_roll_back)
        except InvalidRequestError as error:
            fail(str(error))
    else:
        result = comparer.newest(dry_run=is_dry_run)
    if is_dry_run:
        result = result.as_dry_run()
    log.info("\n%s", as_markdown(result))
    return result.to_json()


def choose(*, verdict: str, better_task: str, otherwise_task: str) -> str:
    """Return the task_id that follows: ``better_task`` for the verdict promote, else ``otherwise_task``."""
    if verdict not in ("promote", "keep"):
        raise ValueError(f"verdict is {verdict!r}; compare returns 'promote' or 'keep'")
    return better_task if verdict == "promote" else otherwise_task


def promote(*, comparison: str, run_id: str) -> dict[str, Any]:
    """Make the compared challenger the champion; ``comparison`` is what ``compare`` returned, as JSON.

    Returns both versions, the metric before and after, and the reason. A second call changes nothing; it
    skips if another version has become the champion since.
    """
    from batch_serving.promotion.comparison import Comparison

    result = Comparison.from_json(comparison)
    store = ModelStore(result.model)
    pointer = store.promote(
        result.challenger,
        expect=result.champion,
        run_id=run_id,
        reason=result.reason,
        verdict="rolled back" if result.rolls_back else "promoted",
        details=result.details,
    )
    if pointer.version != result.challenger:
        skip(f"{pointer.version} has become the champion since, and stays")
    return {
        "model": result.model,
        "version": result.challenger,
        "previous": pointer.previous,
        "rolled_back": result.rolls_back,
        "metric": result.metric,
        "before": result.champion_score,
        "after": result.challenger_score,
        "reason": result.reason,
    }


def keep(*, comparison: str, run_id: str) -> dict[str, Any]:
    """Leave the champion in place and write the reason into the history, unless it was a dry run.

    A verdict that repeats the last one, on the same newest version, is not written again.
    """
    from batch_serving.promotion.comparison import Comparison

    result = Comparison.from_json(comparison)
    store = ModelStore(result.model)
    if not result.dry_run and not result.repeats(store.history(RECENT_VERDICTS), store.versions()):
        store.record("kept", result.challenger, run_id=run_id, reason=result.reason, **result.details)
    return {"model": result.model, "champion": result.champion, "reason": result.reason}
