"""The settings of one training, as YAML gives them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from batch_serving.ml.json_values import for_json
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.files import sha256, to_json
from batch_serving.shared.run_context import seed_of

# What these were called when the first versions were made: their hashes have the old names.
NAMES_IN_HASH = {"n_candidates": "candidates", "time_budget_s": "seconds"}
ON_RECORD = ("model", "run_id", "run_after", "estimator", "metric", "target", "row_id", "scaler")


@dataclass(frozen=True)
class TrainingSettings:
    """What ``train_challenger`` is given; its docstring explains each."""

    model: str
    dataset: str
    target: str
    estimator: str
    metric: str
    run_id: str
    run_after: str
    row_id: str | None = None
    parameters: dict[str, Any] | None = None
    scaler: str | None = None
    search_space: dict[str, Any] | None = None
    n_candidates: int = 8
    folds: int = 3
    other_metrics: list[str] | None = None
    time_budget_s: float | None = None
    seed: int | None = None
    holdout_share: float = 0.2
    holdout_seed: int = 0
    column_kinds: dict[str, str] | None = None

    @property
    def metrics(self) -> list[str]:
        """All metrics to measure, the deciding one first."""
        return [self.metric, *(self.other_metrics or [])]

    @property
    def search_seed(self) -> int:
        """The seed of the search: the given one, or the run's."""
        return seed_of(self.run_id) if self.seed is None else self.seed

    def inputs_hash(self, dataset_sha256: str) -> str:
        """Return the hash of everything the version depends on.

        A second try of a run finds its version by this hash, also if an earlier release made the version.
        """
        given = {NAMES_IN_HASH.get(name, name): value for name, value in asdict(self).items()}
        if not self.column_kinds:  # which earlier releases did not have
            del given["column_kinds"]
        return sha256(to_json(for_json({**given, "dataset_sha256": dataset_sha256})))

    def to_json(self) -> dict[str, Any]:
        """Return all settings for the version's record, from which it can be trained again."""
        found: dict[str, Any] = for_json(asdict(self))
        return found

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> TrainingSettings:
        """Return the settings of a version; InvalidValueError if its record does not have all of them."""
        version = record.get("version")
        if "settings" not in record:
            raise InvalidValueError(
                f"the record of {version} does not have all settings of its training",
                "an earlier release made it; versions that are trained from now on have them",
            )
        try:
            return cls(**record["settings"])
        except TypeError as error:
            raise InvalidValueError(
                f"the record of {version} has settings that this release does not know ({error})",
                "train it again with the release that made it",
            ) from None

    def on_record(self) -> dict[str, Any]:
        """Return the settings that stand in the version's record under their own names."""
        return {name: getattr(self, name) for name in ON_RECORD}
