"""Short descriptions of models and versions, for tables."""

from __future__ import annotations

from typing import Any

from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import ModelStoreError


def models_overview() -> list[dict[str, Any]]:
    """Return one line for each model: its versions and its champion."""
    lines = []
    for name in ModelStore.names():
        store = ModelStore(name)
        pointer = store.usable_pointer()
        line = {
            "model": name,
            "versions": len(store.versions()),
            "champion": pointer.version if pointer else None,
            "since": pointer.promoted_at if pointer else None,
        }
        lines.append(line)
    return lines


def versions_overview(store: ModelStore) -> list[dict[str, Any]]:
    """Return one line for each version of a model, newest first."""
    pointer = store.usable_pointer()
    roles = {pointer.previous: "previous", pointer.version: "champion"} if pointer else {}
    lines = []
    for version in reversed(store.versions()):
        line: dict[str, Any] = {"version": version, "role": roles.get(version, "")}
        try:
            record = store.metadata(version)
        except ModelStoreError as error:
            lines.append({**line, "problem": str(error)})
            continue
        estimator = str(record.get("estimator", "")).rpartition(".")[2]
        lines.append({**line, "estimator": estimator, **record["metrics"], "run_id": record["run_id"]})
    return lines
