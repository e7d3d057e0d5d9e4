"""The parts of a model card: tables and pictures as HTML and SVG that stand by themselves."""

from __future__ import annotations

import contextlib
import html
import io
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MOST_CLASSES = 30  # with more, a confusion matrix is no picture
MOST_FEATURES = 15


def section(title: str, body: str) -> str:
    """Return a part of the page with its title."""
    return f"<h2>{html.escape(title)}</h2>\n{body}"


def svg(figure: Any) -> str:
    """Return a figure as SVG to stand within HTML; the same figure gives the same text."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # The browser has the font: the text stands in the picture as text.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def axes_of(width: float, height: float) -> tuple[Any, Any]:
    """Return a figure of this size, in inches, and its axes; without pyplot, which keeps every figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _shown(value: Any) -> str:
    """Return a prediction as people read it: a text is one, too, as a file of predictions has it."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.5g}" if math.isfinite(number) and number != int(number) else str(value)


def errors(scored: pd.DataFrame, fitted: Any) -> str:
    """Draw where a classifier errs, or how far a regression is off; ``scored`` has texts."""
    import pandas as pd

    pairs = scored[["actual", "prediction"]]
    if not hasattr(fitted, "classes_"):
        with contextlib.suppress(ValueError):
            return _residuals(pairs.replace({"True": "1", "False": "0"}).apply(pd.to_numeric))
    found = {*pairs["actual"], *pairs["prediction"]}
    # As the model has them, 10 after 9; then those that only the holdout has.
    known = [text for text in map(str, getattr(fitted, "classes_", ())) if text in found]
    classes = [*known, *sorted(found.difference(known))]
    return _confusion(pairs, classes) + _per_class(pairs, classes)


def _confusion(predictions: pd.DataFrame, classes: list[Any]) -> str:
    from sklearn.metrics import confusion_matrix

    if len(classes) > MOST_CLASSES:
        return ""
    counts = confusion_matrix(predictions["actual"], predictions["prediction"], labels=classes)
    figure, axes = axes_of(0.42 * len(classes) + 2, 0.42 * len(classes) + 1.2)
    axes.imshow(counts, cmap="Blues")
    for row, column in ((r, c) for r in range(len(classes)) for c in range(len(classes)) if counts[r, c]):
        dark = counts[row, column] > counts.max() / 2
        axes.text(
            column, row, counts[row, column], ha="center", va="center", color="white" if dark else "black"
        )
    axes.set_xticks(range(len(classes)), classes)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual")
    return section(f"The {len(predictions)} rows held out", svg(figure))


def _per_class(predictions: pd.DataFrame, classes: list[Any]) -> str:
    from sklearn.metrics import precision_recall_fscore_support

    precision, recall, f1, rows = precision_recall_fscore_support(
        predictions["actual"], predictions["prediction"], labels=classes, zero_division=0
    )
    lines = "".join(
        f"<tr><td>{html.escape(str(name))}</td>"
        + "".join(f'<td class="number">{value:.3f}</td>' for value in (precision[n], recall[n], f1[n]))
        + f'<td class="number">{rows[n]}</td></tr>'
        for n, name in enumerate(classes)
    )
    head = "".join(f"<th>{name}</th>" for name in ("class", "precision", "recall", "f1", "rows"))
    return section("By class", f"<table><tr>{head}</tr>{lines}</table>")


def _residuals(predictions: pd.DataFrame) -> str:
    figure, axes = axes_of(6, 3.4)
    axes.scatter(
        predictions["prediction"], predictions["actual"] - predictions["prediction"], s=9, color="#0969da"
    )
    axes.axhline(0, color="#8c959f", linewidth=1)
    axes.set_xlabel("predicted")
    axes.set_ylabel("actual − predicted")
    return section(f"Residuals of the {len(predictions)} rows held out", svg(figure))


def importance(fitted: Any, columns: list[str]) -> str:
    """Return the features that weigh most: an estimator's own importances, or its mean |coefficient|."""
    import numpy as np

    final = fitted.steps[-1][1] if hasattr(fitted, "steps") else fitted
    if hasattr(final, "feature_importances_"):
        weights, what = np.asarray(final.feature_importances_), "importance"
    elif hasattr(final, "coef_"):
        weights, what = np.abs(np.atleast_2d(final.coef_)).mean(axis=0), "mean |coefficient|"
    else:
        return ""
    names = columns
    if hasattr(fitted, "steps") and hasattr(fitted.steps[0][1], "get_feature_names_out"):
        try:
            names = [str(name) for name in fitted[:-1].get_feature_names_out()]
        except ValueError:  # a text's column and another of the same name: t with x, and t_x
            return ""
    if len(names) != len(weights):
        return ""
    top = sorted(zip(weights.tolist(), names, strict=True), reverse=True)[:MOST_FEATURES][::-1]
    figure, axes = axes_of(6, 0.26 * len(top) + 0.8)
    axes.barh([name for _, name in top], [weight for weight, _ in top], color="#0969da")
    axes.set_xlabel(what)
    axes.tick_params(labelsize=8)
    return section("Features that weigh most", svg(figure))


def rows_with_pictures(features: pd.DataFrame, rows: Sequence[Mapping[Any, Any]]) -> str:
    """Show rows with what was predicted; those whose features are a square of pixels as images."""
    side = round(len(features.columns) ** 0.5)
    numbers = all(kind.kind in "iuf" for kind in features.dtypes)
    square = numbers and side**2 == len(features.columns) and all(n.startswith("pixel_") for n in features)
    shown = []
    for place, row in enumerate(rows):
        caption = f"row {html.escape(str(row['row_id']))}: <b>{html.escape(_shown(row['prediction']))}</b>"
        if row["probability"] not in (None, ""):
            caption += f" ({float(row['probability']):.2f})"
        if "actual" in row:
            caption += f", actual {html.escape(_shown(row['actual']))}"
        pixels = features.iloc[place].to_numpy(dtype=float) if square else None
        picture = ""
        if pixels is not None and pixels.max() >= 0:  # a row that is no more has none
            figure, axes = axes_of(1.1, 1.1)
            axes.imshow(pixels.reshape(side, side), cmap="gray_r")
            axes.set_axis_off()
            picture = svg(figure)
        shown.append(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>")
    return f'<div class="rows">{"".join(shown)}</div>'
