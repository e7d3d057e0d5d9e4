"""Parts of a card that all of its sections use: titles, and figures as SVG in the page."""

from __future__ import annotations

import html
import io
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batch_serving.cards.labels import Labels


def section(title: str, body: str) -> str:
    """Return a part of the page with its title."""
    return f"<h2>{html.escape(title)}</h2>\n{body}"


def svg(figure: Any, labels: Labels | None = None) -> str:
    """Return a figure as SVG that can stand in HTML, with its labels; the same figure gives the same text."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # Texts stay texts in the picture, and the browser has the font.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(buffer, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    picture = text[text.index("<svg") :]
    return picture if labels is None else labels.in_svg(picture)


def figure_of(width: float, height: float) -> tuple[Any, Any]:
    """Return a figure of this size, in inches, and its axes; without pyplot, which keeps every figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes
