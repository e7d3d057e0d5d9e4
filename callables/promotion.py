"""P2: the challenger becomes champion only if it is better on the same holdout, or when told by hand."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from callables import _values
from callables._airflow import fail, skip
from callables._dataset import fingerprint, read_holdout, split_holdout
from callables._model_store import ModelStore
from callables._model_versions import ModelStoreError
from callables._run import parse_flag
from callables._values import checked_by

if TYPE_CHECKING:
    import pandas as pd

    from callables._dataset import Dataset
    from callables._gate import Policy

log = logging.getLogger(__name__)

FEWEST_ROWS = 30  # fewer say little about two models


@checked_by(_values.of_comparison)
def compare(
    *,
    model: str,
    metric: str,
    direction: Literal["maximize", "minimize"] = "maximize",
    min_delta: float = 0.0,
    floors: dict[str, float] | None = None,
    guardrails: dict[str, float] | None = None,
    on_tie: Literal["keep", "newest"] = "keep",
    test: Literal["none", "mcnemar", "paired_bootstrap"] = "none",
    confidence: float = 0.95,
    version: str = "",
    roll_back: bool | str = False,
    dry_run: bool | str = False,
) -> dict:
    """Decide whether the newest version of ``model`` should replace the champion.

    It should if it keeps every floor (the worst value allowed of a metric; the only gate for a first model),
    beats the champion's ``metric`` by at least ``min_delta``, loses no more than its guardrail on any other
    metric, and if the ``test`` on the same rows says, with ``confidence``, that this is more than luck. A tie
    goes by ``on_tie`` (keep or newest). With ``version`` or ``roll_back`` a person has decided: that one, or
    the one before the champion, is promoted unseen. ``dry_run`` only says what would be done. Returns the
    verdict (promote or keep), the reason, and every number that led to it; errors are smaller-is-better,
    with ``direction: minimize``.
    """
    from callables import _gate

    policy = _gate.Policy(
        metric, direction, min_delta, floors or {}, guardrails or {}, on_tie, test, confidence
    )
    store = ModelStore(model)
    pointer = store.usable_pointer()
    champion = pointer["version"] if pointer else None
    roll_back = parse_flag(roll_back, "roll_back")
    chosen = _chosen_by_hand(store, version, roll_back)
    if chosen:
        scores = {"challenger": chosen["metrics"], "champion": _on_record(store, champion)}
        reason = _reason_by_hand(roll_back, metric, scores)
        challenger, verdict, rows = chosen["version"], _gate.Verdict(True, reason), None
    else:
        challenger = _newest(store)
        pair = _Pair(store, policy, challenger, champion)
        scores, rows = pair.scores, pair.rows_on_record
        verdict = _gate.judge(policy, scores["challenger"], scores["champion"], pair.test)
    if challenger == champion and pointer and "lost" in pointer:
        verdict = _gate.Verdict(
            True, f"{challenger} is the champion: champion.json, which was lost, is written anew"
        )
    elif challenger == champion:
        verdict = _gate.Verdict(False, f"{challenger} is the champion already")
    result = {
        "verdict": "promote" if verdict.promote else "keep",
        "reason": verdict.reason,
        "dry_run": parse_flag(dry_run, "dry_run"),
        "model": model,
        "challenger": challenger,
        "champion": champion,
        "metric": metric,
        "challenger_score": scores["challenger"].get(metric),
        "champion_score": scores["champion"].get(metric),
        "scores": scores,
        "policy": asdict(policy),
        "holdout": rows,
        "test": verdict.evidence.numbers if verdict.evidence else None,
    }
    if result["dry_run"]:
        would = "would be promoted" if verdict.promote else "would not be promoted"
        result |= {"verdict": "keep", "reason": f"dry run: {challenger} {would}: {verdict.reason}"}
    log.info("\n%s", _gate.note(result, policy))
    return result


def _reason_by_hand(rolled_back: bool, metric: str, scores: dict[str, dict[str, float]]) -> str:
    """Say what a person has decided, and what the records say of it.

    Nothing is scored anew, so that the way back is open whatever is broken.
    """
    from callables._gate import shown

    values = [scores[key].get(metric) for key in ("champion", "challenger")]
    change = " → ".join(shown(value) for value in values if value is not None)
    reason = "rolled back by hand" if rolled_back else "chosen by hand"
    return f"{reason}: {metric} {change}" if change else reason


def choose(*, verdict: str, better_task: str, otherwise_task: str) -> str:
    """Return the task_id that follows: ``better_task`` for the verdict promote, else ``otherwise_task``."""
    if verdict not in ("promote", "keep"):
        raise ValueError(f"verdict is {verdict!r}; compare gives 'promote' or 'keep'")
    return better_task if verdict == "promote" else otherwise_task


def promote(*, comparison: str, run_id: str) -> dict:
    """Make the compared challenger the champion; ``comparison`` is what ``compare`` returned, as JSON.

    Returns both versions, the metric before and after, and the reason. A second call changes nothing; it
    skips if another version has become the champion since.
    """
    result = json.loads(comparison)
    store = ModelStore(result["model"])
    pointer = store.usable_pointer()
    back = pointer is not None and result["challenger"] == pointer["previous"]
    pointer = store.promote(
        result["challenger"],
        expect=result["champion"],
        run_id=run_id,
        reason=result["reason"],
        verdict="rolled back" if back else "promoted",
        details=_numbers(result),
    )
    if pointer["version"] != result["challenger"]:
        skip(f"{pointer['version']} has become the champion since, and stays")
    return {
        "model": result["model"],
        "version": result["challenger"],
        "previous": pointer["previous"],
        "rolled_back": back,
        "metric": result["metric"],
        "before": result["champion_score"],
        "after": result["challenger_score"],
        "reason": result["reason"],
    }


def keep(*, comparison: str, run_id: str) -> dict:
    """Leave the champion in place and write the reason into the history, unless it was a dry run."""
    result = json.loads(comparison)
    if not result.get("dry_run"):
        ModelStore(result["model"]).record(
            "kept", result["challenger"], run_id=run_id, reason=result["reason"], **_numbers(result)
        )
    return {"model": result["model"], "champion": result["champion"], "reason": result["reason"]}


def _numbers(result: dict[str, Any]) -> dict[str, Any]:
    """Return what a line of history keeps of a comparison beside verdict, version and reason."""
    return {name: result.get(name) for name in ("champion", "metric", "scores", "policy", "holdout", "test")}


def _chosen_by_hand(store: ModelStore, version: str, roll_back: bool) -> dict[str, Any] | None:
    """Return the record of the version that a person asks for, if one does; fail if there is none."""
    if version and roll_back:
        fail("both version and roll_back are given; a person can ask for one of them")
    if not version and not roll_back:
        return None
    try:
        return store.metadata(version or store.before_champion())
    except ModelStoreError as error:
        return fail(str(error))


def _newest(store: ModelStore) -> str:
    versions = store.versions()
    if not versions:
        raise ModelStoreError(f"model {store.name!r} has no version yet; run train_model first")
    return versions[-1]


def _on_record(store: ModelStore, version: str | None) -> dict[str, float]:
    """Return the metrics in a version's record; none where there is no version or no record."""
    try:
        return store.metadata(version)["metrics"] if version else {}
    except ModelStoreError:
        return {}


class _Pair:
    """Challenger and champion on the same rows, which neither has seen in training.

    The scores on record are taken where both have them for the same holdout. A champion that cannot be used
    has no scores, and the challenger is judged as a first model is.
    """

    def __init__(self, store: ModelStore, policy: Policy, challenger: str, champion: str | None) -> None:
        self.store, self.policy = store, policy
        self.records = {"challenger": store.metadata(challenger)}
        try:
            if champion and champion != challenger:
                self.records["champion"] = store.metadata(champion)
        except ModelStoreError as error:
            log.error("the champion cannot be compared: %s", error)
        self._rows: tuple[Dataset, pd.DataFrame] | None = None
        self._models: dict[str, Any] = {}
        self.rows_on_record: dict[str, Any] | None = None
        self.scores = self._scores()

    def _scores(self) -> dict[str, dict[str, float]]:
        holdouts = [record["holdout"] for record in self.records.values()]
        same_rows = len({holdout["fingerprint"] for holdout in holdouts}) == 1
        found: dict[str, dict[str, float]] = {"challenger": {}, "champion": {}}
        measured = [record["metrics"] for record in self.records.values()]
        if same_rows and all(name in metrics for metrics in measured for name in self.policy.metrics):
            self.rows_on_record = {name: holdouts[0].get(name) for name in ("rows", "fingerprint")}
            return found | {key: record["metrics"] for key, record in self.records.items()}
        from callables._estimators import measure

        data, rows = self.rows()
        self.rows_on_record = {"rows": len(rows), "fingerprint": fingerprint(rows, data.row_id)}
        log.info("scoring anew on %d rows that neither was trained on", len(rows))
        for key, record in self.records.items():
            try:
                model = self.model(key)
            except ModelStoreError as error:
                if key == "challenger":
                    raise
                log.error("the champion cannot be compared: %s", error)
                continue
            try:
                found[key] = measure(model, rows[data.features], rows[data.target], self.policy.metrics)
            except ValueError as error:
                raise ValueError(
                    f"the {key} {record['version']} cannot be scored on these rows: {error}; if they are "
                    "what you want, promote by hand with a version"
                ) from None
        return found

    def rows(self) -> tuple[Dataset, pd.DataFrame]:
        """Return the dataset, and the rows of it that neither was trained on, sorted by their id."""
        if self._rows is None:
            self._check_comparable()
            data, holdout = read_holdout(self.records["challenger"])
            champion = self.records.get("champion")
            if champion is not None:
                # Rows that one of the two was trained on would flatter it.
                _, unseen = split_holdout(data, champion["holdout"]["share"], champion["holdout"]["seed"])
                holdout = holdout[holdout[data.row_id].isin(unseen[data.row_id])]
            if len(holdout) < FEWEST_ROWS:
                version = self.records["challenger"]["version"]
                raise ValueError(
                    f"the holdouts of {version} and the champion share only {len(holdout)} rows; "
                    "keep holdout_share and holdout_seed, or promote by hand with a version"
                )
            self._rows = data, holdout.sort_values(data.row_id)
        return self._rows

    def _check_comparable(self) -> None:
        """Refuse to score anew what would not be the same rows: ids that are numbers of lines, say."""
        old, new = self.records.get("champion"), self.records["challenger"]
        if old is None or old["holdout"]["fingerprint"] == new["holdout"]["fingerprint"]:
            return
        way_out = "promote by hand with a version"
        if new["row_id"] is None:
            raise ValueError(
                "the rows have changed, and without a `row_id` column nobody can tell which of them the "
                f"champion was trained on; name one in the YAML and {way_out}"
            )
        for name in ("row_id", "target"):
            if old[name] != new[name]:
                raise ValueError(
                    f"the champion has {name} {old[name]!r} and the challenger {new[name]!r}; {way_out}"
                )

    def model(self, key: str) -> Any:
        """Return the challenger or the champion, loaded."""
        if key not in self._models:
            self._models[key] = self.store.load(self.records[key]["version"])
        return self._models[key]

    def test(self) -> Any:
        """Make the policy's paired test; a champion that cannot be loaded loses it."""
        from callables._gate import Evidence
        from callables._paired_tests import paired_test

        challenger = self.model("challenger")
        try:
            champion = self.model("champion")
        except ModelStoreError as error:
            log.error("%s", error)
            return Evidence(True, "no test was made, as the champion cannot be loaded", {"name": "none"})
        data, rows = self.rows()
        return paired_test(self.policy, challenger, champion, rows[data.features], rows[data.target])
