"""The picture of a metric over all versions of a model."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from batch_serving.cards.html_parts import figure_of, section, svg
from batch_serving.ml.estimators import find_scorer
from batch_serving.registry.history import MOVES, Entry
from batch_serving.registry.versions import ModelStoreError

if TYPE_CHECKING:
    from batch_serving.registry.store import ModelStore

MOST_ENTRIES = 500  # of the history in the picture


def metric_history(store: ModelStore, metadata: dict[str, Any]) -> str:
    """Draw the metric of all versions, also of pruned ones, in the order in which they were made."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    metric, own = metadata["metric"], metadata["version"]
    entries = store.history()
    values = _values(store, metadata, entries)
    versions = sorted(values)
    moved = {entry["version"] for entry in entries if entry["verdict"] in MOVES}
    promoted = [place for place, version in enumerate(versions) if version in moved]
    figure, axes = figure_of(8, 2.6)
    scores = [values[version] for version in versions]
    axes.plot(range(len(versions)), scores, color="#8c959f", linewidth=1, marker=".")
    axes.scatter(promoted, [scores[place] for place in promoted], color="#1a7f37", zorder=3, label="promoted")
    axes.scatter(
        [versions.index(own)],
        [values[own]],
        s=120,
        facecolors="none",
        edgecolors="#0969da",
        zorder=4,
        label="this version",
    )
    axes.set_ylabel(metric)
    axes.set_xlabel("when each version was made (UTC)")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: _month_to_minute(versions, place)))
    axes.legend(frameon=False, fontsize=8)
    better = "higher is better" if find_scorer(metric)[1] == "maximize" else "lower is better"
    return section(f"{metric} of all versions ({better})", svg(figure))


def _values(store: ModelStore, metadata: dict[str, Any], entries: list[Entry]) -> dict[str, float]:
    """Return the metric by version: from the history, and from the records of versions never compared."""
    metric = metadata["metric"]
    values: dict[str, float] = {metadata["version"]: metadata["metrics"][metric]}
    for entry in entries[-MOST_ENTRIES:]:
        score = (entry.get("scores") or {}).get("challenger", {}).get(metric)
        if score is not None:
            values[entry["version"]] = score
    for version in store.versions()[-MOST_ENTRIES:]:
        if version not in values:  # for example while promote_model was paused
            with contextlib.suppress(ModelStoreError, KeyError):
                values[version] = store.metadata(version)["metrics"][metric]
    return values


def _month_to_minute(versions: list[str], place: float) -> str:
    """Return month, day and time of the version at a place of the axis, if there is one."""
    if place != int(place) or not 0 <= place < len(versions):
        return ""
    stamp = versions[int(place)]
    return f"{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}"
