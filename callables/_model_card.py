"""A version's card: one HTML file that needs no network, with what there is to see of the model."""

from __future__ import annotations

import contextlib
import html
import io
import logging
import math
from typing import TYPE_CHECKING, Any

from callables._card_pictures import axes_of, errors, importance, rows_with_pictures, section, svg
from callables._dataset import read_rows
from callables._estimators import find_scorer
from callables._files import relative_to_project, write_atomic
from callables._model_history import MOVES
from callables._model_store import ModelStore
from callables._model_versions import HOLDOUT_COLUMNS, HOLDOUT_PREDICTIONS, ModelStoreError
from callables._prediction_files import latest_rows

if TYPE_CHECKING:
    import pandas as pd
    from upath import UPath

log = logging.getLogger(__name__)

MOST_ENTRIES = 500  # of the history in the picture
LATEST = 5
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
  color: #1b1f24 }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin-top: 2rem }
table { border-collapse: collapse }
td, th { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #d8dee4 }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.rows { display: flex; gap: 1rem; flex-wrap: wrap }
figure { margin: 0 } figcaption { font-size: .85rem; color: #57606a }
svg { max-width: 100%; height: auto }
"""


def write_card(store: ModelStore, version: str) -> UPath:
    """Make the card of a version from what the store keeps of it, and return the card's place.

    Rows that were predicted have a picture if the dataset still has them. Raises ModelStoreError where the
    version, or what it predicted for its holdout, is no more.
    """
    import matplotlib as mpl

    # A name with $ in it is a name, and no formula.
    with mpl.rc_context({"svg.hashsalt": "card", "svg.fonttype": "none", "text.parse_math": False}):
        return _write_card(store, version)


def _write_card(store: ModelStore, version: str) -> UPath:
    """Make the card."""
    metadata = store.metadata(version)
    fitted = store.load(version)
    scored = _scored(store.folder(version) / HOLDOUT_PREDICTIONS, metadata)
    latest = latest_rows(store.name, version, LATEST)
    title = "The latest predictions" if latest else "Predictions of rows held out"
    shown = latest or scored.head(LATEST).to_dict("records")
    features = _features(metadata, fitted, shown)
    name = html.escape(store.name)
    parts = [
        _facts(metadata),
        _history(store, metadata),
        errors(scored, fitted),
        importance(fitted, list(features.columns)),
        section(title, rows_with_pictures(features, shown)),
    ]
    text = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name} {version}</title>\n'
        f"<style>{STYLE}</style></head><body>\n<h1>{name} <code>{version}</code></h1>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )
    path = store.folder(version) / "card.html"
    write_atomic(path, text.encode())
    return path


def _scored(path: UPath, metadata: dict[str, Any]) -> pd.DataFrame:
    """Read what a version predicted for its holdout: classes as texts, what a regression says as numbers."""
    import pandas as pd

    try:
        frame = pd.read_csv(io.BytesIO(path.read_bytes()), dtype=str, keep_default_na=False)
        frame = frame[[*HOLDOUT_COLUMNS]]
        pd.to_numeric(frame["probability"])
        if frame.isna().any(axis=None) or len(frame) != metadata["holdout"]["rows"]:
            raise ValueError("it has other rows than were held out")
    except (FileNotFoundError, ValueError, KeyError) as error:
        wrong = "does not exist" if isinstance(error, FileNotFoundError) else f"is spoilt ({error})"
        place = relative_to_project(path)
        raise ModelStoreError(f"{place} {wrong}; clear predict_holdout of the run that made it") from None
    return frame


def _features(metadata: dict[str, Any], fitted: Any, shown: list[dict[str, Any]]) -> pd.DataFrame:
    """Return the features of rows that were predicted; empty where the dataset has others by these ids now.

    It may have changed since, or the rows have come from elsewhere: so they are predicted once more.
    """
    import pandas as pd

    from callables._estimators import predict

    names = [feature["name"] for feature in metadata["features"]]
    found = pd.DataFrame(index=[row["row_id"] for row in shown], columns=names)
    try:
        frame, row_id, _ = read_rows(metadata["dataset"]["location"], metadata["row_id"], metadata["target"])
        rows = frame.drop_duplicates(row_id).set_index(row_id)
        rows = rows.reindex([row["row_id"] for row in shown])[names]
        predictions, probabilities = predict(fitted, rows)
    except Exception as error:  # whatever a file system raises, or a model that is given other columns
        log.info("no pictures of rows for %s: %s", metadata["version"], type(error).__name__)
        return found
    shares = [""] * len(shown) if probabilities is None else probabilities.tolist()
    same = [
        _is_same(row["prediction"], prediction) and _is_same(row["probability"], share)
        for row, prediction, share in zip(shown, predictions.tolist(), shares, strict=True)
    ]
    return rows if all(same) else rows.where(pd.DataFrame(dict.fromkeys(names, same), index=rows.index))


def _is_same(written: str, value: Any) -> bool:
    """Tell whether a value is the one that a file has; in the last digits a sum may differ by its order."""
    try:
        return written == str(value) or math.isclose(float(written), float(value), rel_tol=1e-6)
    except ValueError:
        return False


def _facts(metadata: dict[str, Any]) -> str:
    dataset, holdout = metadata["dataset"], metadata["holdout"]
    facts = {
        "estimator": metadata["estimator"],
        "parameters": ", ".join(f"{name}={value}" for name, value in metadata["parameters"].items()),
        **{name: f"{value:.4f}" for name, value in metadata["metrics"].items()},
        "data": f"{dataset['location']}: {dataset['rows_trained']} rows, and {holdout['rows']} held out",
        "trained": f"{metadata['trained_at']}, in {metadata['duration_s']} s, by run {metadata['run_id']}",
        "made with": ", ".join(f"{name} {value}" for name, value in metadata["libraries"].items()),
    }
    rows = "".join(
        f"<tr><th>{html.escape(k)}</th><td>{html.escape(str(v))}</td></tr>" for k, v in facts.items()
    )
    return f"<table>{rows}</table>"


def _history(store: ModelStore, metadata: dict[str, Any]) -> str:
    """Draw the metric of all versions, those that are pruned included, in the order they were made."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    metric, own = metadata["metric"], metadata["version"]
    entries = store.history()
    values: dict[str, float] = {own: metadata["metrics"][metric]}
    for entry in entries[-MOST_ENTRIES:]:
        score = (entry.get("scores") or {}).get("challenger", {}).get(metric)
        if score is not None:
            values[entry["version"]] = score
    for version in store.versions()[-MOST_ENTRIES:]:
        if version not in values:  # never compared: promote_model was paused, say
            with contextlib.suppress(ModelStoreError, KeyError):
                values[version] = store.metadata(version)["metrics"][metric]
    promoted = {entry["version"] for entry in entries if entry["verdict"] in MOVES} & {*values}
    order = {version: place for place, version in enumerate(sorted(values))}
    figure, axes = axes_of(8, 2.6)
    axes.plot(
        range(len(order)), [values[version] for version in order], color="#8c959f", linewidth=1, marker="."
    )
    axes.scatter(
        [order[version] for version in promoted],
        [values[version] for version in promoted],
        **{"color": "#1a7f37", "zorder": 3, "label": "promoted"},
    )
    ring = {"s": 120, "facecolors": "none", "edgecolors": "#0969da", "zorder": 4, "label": "this one"}
    axes.scatter([order[own]], [values[own]], **ring)
    axes.set_ylabel(metric)
    axes.set_xlabel("when each version was made (UTC)")
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: _month_to_minute(list(order), place)))
    axes.legend(frameon=False, fontsize=8)
    better = "more is better" if find_scorer(metric)[1] == "maximize" else "less is better"
    return section(f"{metric} of all versions ({better})", svg(figure))


def _month_to_minute(versions: list[str], place: float) -> str:
    """Return the month, day and time of the version at a place of the axis, where there is one."""
    if place != int(place) or not 0 <= place < len(versions):
        return ""
    stamp = versions[int(place)]
    return f"{stamp[4:6]}-{stamp[6:8]} {stamp[9:11]}:{stamp[11:13]}"
