"""A version's card: one HTML file, which needs no network, with tables and pictures of the model."""

from __future__ import annotations

import contextlib
import html
import io
import logging
import math
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from batch_serving.cards.history_plot import metric_history
from batch_serving.cards.html_parts import section
from batch_serving.cards.live_quality import live_quality
from batch_serving.cards.plots import errors, importance, rows_with_pictures
from batch_serving.ml.datasets import read_rows
from batch_serving.prediction.run_files import latest_rows
from batch_serving.registry.versions import HOLDOUT_COLUMNS, HOLDOUT_PREDICTIONS, ModelStoreError
from batch_serving.shared.files import write_atomic
from batch_serving.shared.paths import relative_to_project
from batch_serving.shared.reading import read_whole
from batch_serving.shared.unreachable import UnreachableError
from batch_serving.shared.wording import counted

if TYPE_CHECKING:
    import pandas as pd
    from upath import UPath

    from batch_serving.registry.store import ModelStore

log = logging.getLogger(__name__)

CARD = "card.html"
LATEST = 5
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem;
  color: #1b1f24 }
h1 { font-size: 1.4rem } h2 { font-size: 1.05rem; margin-top: 2rem }
table { border-collapse: collapse }
td, th { padding: .2rem .7rem; text-align: left; border-bottom: 1px solid #d8dee4; overflow-wrap: anywhere }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.rows { display: flex; gap: 1rem; flex-wrap: wrap }
td.number { white-space: nowrap }
figure { margin: 0; max-width: 16rem; overflow-wrap: anywhere }
figcaption { font-size: .85rem; color: #57606a }
svg { max-width: 100%; height: auto; overflow: visible }
"""

Row = dict[str, Any]  # a predicted row, as a file of predictions has it


def write_card(store: ModelStore, version: str) -> UPath:
    """Make the card of a version from what the store has of it, and return its path.

    Predicted rows have a picture if the dataset still has them. Raises ModelStoreError if the version, or its
    file of holdout predictions, does not exist.
    """
    with _drawing():
        page = _page(store, version)
    path = store.folder(version) / CARD
    write_atomic(path, page.encode())
    return path


@contextlib.contextmanager
def _drawing() -> Iterator[None]:
    """Draw with settings of our own, whatever a notebook or a file has set for this user.

    A worker that was started from a notebook inherits MPLBACKEND, with which matplotlib cannot be imported.
    """
    inherited = {name: os.environ.pop(name) for name in ("MPLBACKEND", "MATPLOTLIBRC") if name in os.environ}
    try:
        import matplotlib as mpl
    finally:
        os.environ.update(inherited)
    with mpl.rc_context():
        mpl.rcdefaults()
        # A $ in a name is part of the name, not the beginning of a formula.
        mpl.rcParams.update({"svg.hashsalt": "card", "svg.fonttype": "none", "text.parse_math": False})
        yield


def _page(store: ModelStore, version: str) -> str:
    metadata = store.metadata(version)
    model = store.load(version)
    scored = _holdout_predictions(store.folder(version) / HOLDOUT_PREDICTIONS, metadata)
    shown: list[Row] = list(latest_rows(store.name, version, LATEST))
    title = "Latest predictions" if shown else "Predictions for the holdout"
    if not shown:
        shown = [
            {str(name): value for name, value in row.items()}
            for row in scored.head(LATEST).to_dict("records")
        ]
    features = _features(metadata, model, shown)
    parts = [
        _facts(metadata),
        metric_history(store, metadata),
        live_quality(store, version),
        errors(scored, model),
        importance(model, [str(name) for name in features.columns]),
        section(title, rows_with_pictures(features, shown)),
    ]
    name = html.escape(store.name)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{name} {version}</title>\n'
        f"<style>{STYLE}</style></head><body>\n<h1>{name} <code>{version}</code></h1>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _holdout_predictions(path: UPath, metadata: dict[str, Any]) -> pd.DataFrame:
    """Read what a version predicted for its holdout, as texts."""
    import pandas as pd

    try:
        frame = pd.read_csv(io.BytesIO(read_whole(path)), dtype=str, keep_default_na=False)
        frame = frame[[*HOLDOUT_COLUMNS]]
        pd.to_numeric(frame["probability"])
        if frame.isna().any(axis=None) or len(frame) != metadata["holdout"]["rows"]:
            raise ValueError("its rows are not those of the holdout")
    except (FileNotFoundError, ValueError, KeyError) as error:
        problem = "does not exist" if isinstance(error, FileNotFoundError) else f"is corrupt ({error})"
        raise ModelStoreError(
            f"{relative_to_project(path)} {problem}; clear predict_holdout of the run that made it"
        ) from None
    return frame


def _features(metadata: dict[str, Any], model: Any, shown: list[Row]) -> pd.DataFrame:
    """Return the features of predicted rows; empty for a row that is another one in the dataset now.

    The dataset may have changed, or the rows may come from elsewhere: so they are predicted once more.
    """
    import pandas as pd

    from batch_serving.ml.estimators import predict

    names = [feature["name"] for feature in metadata["features"]]
    ids = [row["row_id"] for row in shown]
    try:
        frame, row_id, _ = read_rows(metadata["dataset"]["location"], metadata["row_id"], metadata["target"])
        rows = frame.drop_duplicates(row_id).set_index(row_id).reindex(ids)[names]
        predictions, probabilities = predict(model, rows)
    except UnreachableError:
        raise  # the dataset may well have the rows
    except Exception as error:  # it does not exist any more, or a model with other columns
        log.info("no pictures of rows for %s: %s", metadata["version"], type(error).__name__)
        return pd.DataFrame(index=ids, columns=names)
    shares = [""] * len(shown) if probabilities is None else probabilities.tolist()
    same = [
        _is_same(row["prediction"], prediction) and _is_same(row["probability"], share)
        for row, prediction, share in zip(shown, predictions.tolist(), shares, strict=True)
    ]
    return rows if all(same) else rows.where(pd.DataFrame(dict.fromkeys(names, same), index=rows.index))


def _is_same(written: str, value: Any) -> bool:
    """Return whether a file has this value; the last digits of a sum may depend on its order."""
    try:
        return written == str(value) or math.isclose(float(written), float(value), rel_tol=1e-6)
    except ValueError:
        return False


def _facts(metadata: dict[str, Any]) -> str:
    dataset, holdout = metadata["dataset"], metadata["holdout"]
    rows = f"{counted(dataset['rows_trained'], 'row')} for training, {holdout['rows']} held out"
    facts = {
        "estimator": metadata["estimator"],
        "parameters": ", ".join(f"{name}={value}" for name, value in metadata["parameters"].items()),
        **{name: f"{value:.4f}" for name, value in metadata["metrics"].items()},
        "data": f"{dataset['location']}: {rows}",
        "trained": f"{metadata['trained_at']}, in {metadata['duration_s']} s, by run {metadata['run_id']}",
        "libraries": ", ".join(f"{name} {value}" for name, value in metadata["libraries"].items()),
    }
    cells = "".join(
        f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in facts.items()
    )
    return f"<table>{cells}</table>"
