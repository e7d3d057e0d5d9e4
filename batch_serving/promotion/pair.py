"""Challenger and champion on the same rows."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from batch_serving.ml.holdout import fingerprint, read_holdout, split_as
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import pandas as pd

    from batch_serving.ml.dataset import Dataset
    from batch_serving.promotion.gate import Evidence
    from batch_serving.promotion.policy import Policy, Scores
    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

FEWEST_ROWS = 30  # fewer say little about two models
BY_HAND = "promote by hand with a version"


class ModelPair:
    """Challenger and champion on the same rows, which neither has seen in training.

    The scores on record are used if both have them for the same holdout. A champion that cannot be used has
    no scores, and the challenger is judged as a first model.
    """

    def __init__(
        self,
        store: ModelStore,
        policy: Policy,
        challenger: str,
        champion: str | None,
        *,
        keep: bool = True,
    ) -> None:
        """Score both on the same rows; with ``keep``, results that take long are kept."""
        self._store, self._policy, self._keep = store, policy, keep
        self._records = {"challenger": store.metadata(challenger)}
        try:
            if champion and champion != challenger:
                self._records["champion"] = store.metadata(champion)
        except ModelStoreError as error:
            log.error("the champion cannot be compared: %s", error)
        self._shared_rows: tuple[Dataset, pd.DataFrame] | None = None
        self._models: dict[str, Any] = {}
        self.holdout_summary: dict[str, Any] = {}
        self.scores = self._scores_on_record() or self._scores_on_shared_rows()
        if policy.cost_guardrails and self.scores["champion"]:
            self._measure_costs()

    def _scores_on_record(self) -> dict[str, Scores] | None:
        """Return the scores in the records; None if they are of different rows, or a metric is missing."""
        records = self._records.values()
        holdouts = [record["holdout"] for record in records]
        if len({holdout["fingerprint"] for holdout in holdouts}) != 1:
            return None
        if not all(name in record["metrics"] for record in records for name in self._policy.metrics):
            return None
        self.holdout_summary = {name: holdouts[0].get(name) for name in ("rows", "fingerprint")}
        scores: dict[str, Scores] = {"challenger": {}, "champion": {}}
        return scores | {role: {**record["metrics"]} for role, record in self._records.items()}

    def _scores_on_shared_rows(self) -> dict[str, Scores]:
        data, rows = self._rows()
        self.holdout_summary = {"rows": len(rows), "fingerprint": fingerprint(rows, data.row_id)}
        log.info("scoring both on %d rows that neither was trained on", len(rows))
        scores: dict[str, Scores] = {"challenger": self._measure("challenger"), "champion": {}}
        if "champion" in self._records:
            try:
                scores["champion"] = self._measure("champion")
            except ModelStoreError as error:
                log.error("the champion cannot be compared: %s", error)
        return scores

    def _measure(self, role: str) -> Scores:
        from batch_serving.ml.scoring import measure

        model = self._model(role)
        data, rows = self._rows()
        try:
            return measure(model, rows[data.features], rows[data.target], self._policy.metrics)
        except ValueError as error:
            raise ValueError(
                f"the {role} {self._records[role]['version']} cannot be scored on these rows: {error}; "
                f"if the new rows are intended, {BY_HAND}"
            ) from None

    def _rows(self) -> tuple[Dataset, pd.DataFrame]:
        """Return the dataset, and those of its rows that neither was trained on, sorted by their id."""
        if self._shared_rows is None:
            self._check_comparable()
            data, holdout = read_holdout(self._records["challenger"])
            champion = self._records.get("champion")
            if champion is not None:
                # A model scores too high on rows that it was trained on.
                _, unseen = split_as(champion["holdout"], data)
                holdout = holdout[holdout[data.row_id].isin(unseen[data.row_id])]
            if len(holdout) < FEWEST_ROWS:
                version = self._records["challenger"]["version"]
                raise ValueError(
                    f"the holdouts of {version} and the champion share only {counted(len(holdout), 'row')}; "
                    f"keep holdout_share and holdout_seed, or {BY_HAND}"
                )
            self._shared_rows = data, holdout.sort_values(data.row_id)
        return self._shared_rows

    def _check_comparable(self) -> None:
        """Refuse to score on rows that may not be the same, for example if ids are line numbers."""
        old, new = self._records.get("champion"), self._records["challenger"]
        if old is None or old["holdout"]["fingerprint"] == new["holdout"]["fingerprint"]:
            return
        same_file = old["dataset"]["sha256"] == new["dataset"]["sha256"]
        if new["row_id"] is None and not same_file:
            raise ValueError(
                "the rows have changed, and without a `row_id` column it is not known which of them the "
                f"champion was trained on; name one in the YAML and {BY_HAND}"
            )
        for name in ("row_id", "target"):
            if old[name] != new[name]:
                raise ValueError(
                    f"the champion has {name} {old[name]!r} and the challenger {new[name]!r}; {BY_HAND}"
                )

    def _model(self, role: str) -> Any:
        if role not in self._models:
            self._models[role] = self._store.load(self._records[role]["version"])
        return self._models[role]

    def _measure_costs(self) -> None:
        """Add to the scores what both cost; a champion that cannot be loaded costs nothing."""
        from batch_serving.promotion.costs import predict_ms, size_mb

        for role, record in self._records.items():
            self.scores[role]["size_mb"] = size_mb(record)
        if "predict_ms" not in self._policy.cost_guardrails:
            return
        try:
            models = {role: self._model(role) for role in self._records}
            data, rows = self._rows()
        except (ModelStoreError, OSError, ValueError) as error:
            # The other scores are as good without these rows.
            log.warning("the time to predict is not compared: %s", error)
            return
        times = predict_ms(list(models.values()), rows[data.features])
        for role, milliseconds in zip(models, times, strict=True):
            self.scores[role]["predict_ms"] = milliseconds

    def largest_difference(self) -> float:
        """Return by how much the predictions of both differ at most, on the holdout; 1 if they do not.

        Predictions that are not numbers are left out.
        """
        import numpy as np

        data, rows = self._rows()
        new, old = (self._model(role).predict(rows[data.features]) for role in ("challenger", "champion"))
        differences = np.abs(np.subtract(new, old, dtype=float))
        return float(differences[np.isfinite(differences)].max(initial=0.0)) or 1.0

    def compare_settings(self) -> Evidence:
        """Compare the settings of both by cross-validation on all rows outside the challenger's holdout."""
        from batch_serving.ml.holdout import split_as
        from batch_serving.promotion.cross_validation import compare_settings

        self._check_comparable()
        data, _ = read_holdout(self._records["challenger"])
        training, _ = split_as(self._records["challenger"]["holdout"], data)
        return compare_settings(
            self._store, self._policy, self._records, data, training.sort_values(data.row_id), keep=self._keep
        )

    def run_test(self) -> Evidence:
        """Make the policy's paired test; a champion that cannot be loaded loses it."""
        from batch_serving.promotion.gate import Evidence
        from batch_serving.promotion.paired_tests import paired_test

        if self._policy.test == "cross_validated":
            return self.compare_settings()
        challenger = self._model("challenger")
        try:
            champion = self._model("champion")
        except ModelStoreError as error:
            log.error("the champion cannot be loaded: %s", error)
            sentence = "no test was made, because the champion cannot be loaded"
            return Evidence(True, sentence, {"name": "none"})
        data, rows = self._rows()
        return paired_test(self._policy, challenger, champion, rows[data.features], rows[data.target])
