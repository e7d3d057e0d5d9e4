"""The sections of a model card: tables and pictures as HTML and SVG."""

from __future__ import annotations

import contextlib
import html
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from batch_serving.cards.html_parts import figure_of, section, svg
from batch_serving.cards.labels import EMPTY, TURNED, Labels, are_wide

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 40  # with more, a confusion matrix is not readable
MOST_FEATURES = 15


def errors(scored: pd.DataFrame, model: Any) -> str:
    """Draw which classes are confused, or how far a regression is off; ``scored`` has texts."""
    import pandas as pd

    pairs = scored[["actual", "prediction"]]
    if not hasattr(model, "classes_"):
        with contextlib.suppress(ValueError):
            return _residuals(pairs.replace({"True": "1", "False": "0"}).apply(pd.to_numeric))
    found = {*pairs["actual"], *pairs["prediction"]}
    # In the order of the model, 10 after 9; then those that only the holdout has.
    known = [text for text in map(str, getattr(model, "classes_", ())) if text in found]
    classes = [*known, *sorted(found.difference(known))]
    return _confusion(pairs, classes) + _per_class(pairs, classes)


def _confusion(predictions: pd.DataFrame, classes: list[str]) -> str:
    from sklearn.metrics import confusion_matrix

    title = f"The {len(predictions)} holdout rows"
    if len(classes) > MOST_CLASSES:
        left_out = f"No confusion matrix: there are {len(classes)} classes, and it is readable up to"
        return section(title, f"<p>{left_out} {MOST_CLASSES}.</p>")
    counts = confusion_matrix(predictions["actual"], predictions["prediction"], labels=classes)
    figure, axes = figure_of(0.42 * len(classes) + 2, 0.42 * len(classes) + 1.2)
    axes.imshow(counts, cmap="Blues")
    for row, column in ((r, c) for r in range(len(classes)) for c in range(len(classes)) if counts[r, c]):
        dark = counts[row, column] > counts.max() / 2
        axes.text(
            column, row, counts[row, column], ha="center", va="center", color="white" if dark else "black"
        )
    labels = Labels()
    labels.put(axes.xaxis, classes, **(TURNED if are_wide(classes) else {}))
    labels.put(axes.yaxis, classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    return section(title, svg(figure, labels))


def _per_class(predictions: pd.DataFrame, classes: list[str]) -> str:
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, rows = precision_recall_fscore_support(
        predictions["actual"], predictions["prediction"], labels=classes, zero_division=0
    )
    lines = "".join(
        f"<tr><td>{html.escape(str(name)) or EMPTY}</td>"
        + "".join(f'<td class="number">{value:.3f}</td>' for value in (precision[n], recall[n], f1[n]))
        + f'<td class="number">{rows[n]}</td></tr>'
        for n, name in enumerate(classes)
    )
    head = "".join(f"<th>{name}</th>" for name in ("class", "precision", "recall", "f1", "rows"))
    return section("By class", f"<table><tr>{head}</tr>{lines}</table>")


def _residuals(predictions: pd.DataFrame) -> str:
    figure, axes = figure_of(6, 3.4)
    axes.scatter(
        predictions["prediction"], predictions["actual"] - predictions["prediction"], s=9, color="#0969da"
    )
    axes.axhline(0, color="#8c959f", linewidth=1)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual − predicted")
    return section(f"Residuals of the {len(predictions)} holdout rows", svg(figure))


def importance(model: Any, columns: list[str]) -> str:
    """Draw the most important features: an estimator's own importances, or its mean |coefficient|."""
    weights, label = _weights(model.steps[-1][1] if hasattr(model, "steps") else model)
    names = _feature_names(model, columns)
    if not weights or len(names) != len(weights):
        return ""
    top = sorted(zip(weights, names, strict=True), reverse=True)[:MOST_FEATURES][::-1]
    figure, axes = figure_of(6, 0.26 * len(top) + 0.8)
    axes.barh(range(len(top)), [weight for weight, _ in top], color="#0969da")
    labels = Labels()
    labels.put(axes.yaxis, [name for _, name in top])
    axes.set_xlabel(label)
    axes.tick_params(labelsize=8)
    return section("Most important features", svg(figure, labels))


def _weights(estimator: Any) -> tuple[list[float], str]:
    """Return an estimator's weight of each input, and what it is; nothing if the estimator has none."""
    import numpy as np

    if hasattr(estimator, "feature_importances_"):
        return np.asarray(estimator.feature_importances_).tolist(), "importance"
    if hasattr(estimator, "coef_"):
        return np.abs(np.atleast_2d(estimator.coef_)).mean(axis=0).tolist(), "mean |coefficient|"
    return [], ""


def _feature_names(model: Any, columns: list[str]) -> list[str]:
    """Return the names of the estimator's inputs: a column of texts becomes several."""
    if not (hasattr(model, "steps") and hasattr(model.steps[0][1], "get_feature_names_out")):
        return columns
    try:
        return [str(name) for name in model[:-1].get_feature_names_out()]
    except ValueError:  # a column's encoded name is that of another column: t with x, and t_x
        return []


def rows_with_pictures(features: pd.DataFrame, rows: Sequence[Mapping[str, Any]]) -> str:
    """Show rows with their predictions; those whose features are a square of pixels as images."""
    side = _square_side(features)
    shown = []
    for place, row in enumerate(rows):
        pixels = features.iloc[place].to_numpy(dtype=float) if side else None
        # The features of a row that the dataset no longer has are NaN.
        picture = _image(pixels.reshape(side, side)) if pixels is not None and pixels.max() >= 0 else ""
        shown.append(f"<figure>{picture}<figcaption>{_caption(row)}</figcaption></figure>")
    return f'<div class="rows">{"".join(shown)}</div>'


def _square_side(features: pd.DataFrame) -> int:
    """Return the side of the square of pixels that a row is; 0 if it is not one."""
    names = [str(name) for name in features.columns]
    side = round(len(names) ** 0.5)
    has_numbers = all(kind.kind in "iuf" for kind in features.dtypes)
    return side if has_numbers and side**2 == len(names) and all(n.startswith("pixel_") for n in names) else 0


def _image(pixels: Any) -> str:
    figure, axes = figure_of(1.1, 1.1)
    axes.imshow(pixels, cmap="gray_r")
    axes.set_axis_off()
    return svg(figure)


def _caption(row: Mapping[str, Any]) -> str:
    caption = f"row {html.escape(str(row['row_id']))}: <b>{html.escape(_shown(row['prediction']))}</b>"
    if row["probability"] not in (None, ""):
        caption += f" ({float(row['probability']):.2f})"
    if "actual" in row:
        caption += f", actual {html.escape(_shown(row['actual']))}"
    return caption


def _shown(value: Any) -> str:
    """Return a prediction for the page; a file of predictions has numbers as texts."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.5g}" if math.isfinite(number) and number != int(number) else str(value)
