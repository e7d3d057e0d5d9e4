"""Charts as SVG in the page: drawn by pygal, without its script and its inline styles.

pygal draws for pages that run its script. Here each mark gets a native tooltip (``<title>``) instead, and
every style is a class of ``static/page.css``, so that the page's policy can forbid all other styles.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from typing import Any, Protocol, TypeVar
from xml.etree import ElementTree as ET

from markupsafe import Markup, escape

from batch_page.rendering import markup

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
WIDTH, HEIGHT = 1040, 280
DROPPED = {"script", "style", "defs"}
MOST_KEPT = 24  # charts: to draw one takes longer than all else of a page
for _prefix, _uri in (("", SVG), ("xlink", XLINK)):
    ET.register_namespace(_prefix, _uri)


@dataclass(frozen=True)
class Mark:
    """A point or a bar: its place, what its tooltip says, and where a click leads."""

    x: float
    y: float | None
    tooltip: str
    href: str = ""


@dataclass(frozen=True)
class Series:
    """Marks of one kind; ``line`` joins them and draws none, ``size`` is that of a point."""

    name: str
    marks: Sequence[Mark]
    line: bool = False
    size: float = 2.5


Label = TypeVar("Label", str, tuple[float, str], contravariant=True)


class Draw(Protocol[Label]):
    """Draws a chart: its title, the labels of its x axis, its series."""

    def __call__(self, title: str, labels: Sequence[Label], series: Sequence[Series]) -> Markup:
        """Return the chart."""


def _kept(draw: Draw[Label]) -> Draw[Label]:
    """Keep the charts that were drawn last, for the same data are drawn again with each request."""
    drawn = lru_cache(MOST_KEPT)(draw)

    @wraps(draw)
    def kept(title: str, labels: Sequence[Label], series: Sequence[Series]) -> Markup:
        return drawn(title, tuple(labels), tuple(replace(one, marks=tuple(one.marks)) for one in series))

    return kept


@_kept
def scatter(title: str, labels: Sequence[tuple[float, str]], series: Sequence[Series]) -> Markup:
    """Return a chart of points, some of them joined by lines; ``labels`` are places and their texts."""
    import pygal

    chart = pygal.XY(**_options(), stroke=False)
    chart.x_labels = [{"value": place, "label": text} for place, text in labels]
    for one in series:
        values = [_value((mark.x, mark.y), mark) for mark in one.marks if mark.y is not None]
        chart.add(one.name, values, stroke=one.line, show_dots=not one.line, dots_size=one.size)
    return _drawn(chart, title, series)


@_kept
def lines(title: str, labels: Sequence[str], series: Sequence[Series]) -> Markup:
    """Return lines over a row of labels; a mark without a value is a gap."""
    import pygal

    chart = pygal.Line(**_options(), dots_size=2.5, x_labels_major_count=12, show_minor_x_labels=False)
    chart.x_labels = list(labels)
    for one in series:
        chart.add(one.name, [None if mark.y is None else _value(mark.y, mark) for mark in one.marks])
    return _drawn(chart, title, series)


@_kept
def stacked_bars(title: str, labels: Sequence[str], series: Sequence[Series]) -> Markup:
    """Return bars over a row of labels, each made of the series' parts."""
    import pygal

    chart = pygal.StackedBar(**_options(), x_labels_major_count=12, show_minor_x_labels=False)
    chart.x_labels = list(labels)
    for one in series:
        chart.add(one.name, [None if mark.y is None else _value(mark.y, mark) for mark in one.marks])
    return _drawn(chart, title, series)


def _options() -> dict[str, Any]:
    return {
        "js": (),
        "css": (),
        "width": WIDTH,
        "height": HEIGHT,
        "title": None,
        "show_legend": False,
        "truncate_label": -1,
        "margin": 6,
        "margin_right": 48,  # half of the last label
        "no_data_text": "",
        "tooltip_border_radius": 0,
        "pretty_print": False,
        "explicit_size": False,
    }


def _value(value: object, mark: Mark) -> dict[str, Any]:
    found: dict[str, Any] = {"value": value, "label": mark.tooltip}
    if mark.href:
        found["xlink"] = {"href": mark.href}
    return found


def _drawn(chart: Any, title: str, series: Sequence[Series]) -> Markup:
    """Return the SVG of a chart with native tooltips, and with no script or style in it."""
    tree = ET.parse(io.BytesIO(chart.render()))  # noqa: S314 - pygal has just made it
    root = tree.getroot()
    _clean(root)
    root.attrib.pop("id", None)
    linked = any(mark.href for one in series for mark in one.marks)
    root.set("role", "group" if linked else "img")  # what is in a picture is read out only in a group
    root.set("aria-label", title)
    root.set("class", "chart")
    return markup(ET.tostring(root, encoding="unicode") + _legend(series))


def _legend(series: Sequence[Series]) -> str:
    """Return the names beside their colours: text of the page, which wraps and is read out."""
    box = '<svg viewBox="0 0 10 10" aria-hidden="true"><rect width="10" height="10"/></svg>'
    items = [
        f'<li class="color-{place}">{box}<span>{escape(one.name)}</span></li>'
        for place, one in enumerate(series)
        if one.marks
    ]
    return f'<ul class="series-names">{"".join(items)}</ul>'


def _clean(element: ET.Element) -> None:
    tooltip = ""
    for child in list(element):
        if not isinstance(child.tag, str):
            element.remove(child)
            continue
        name = child.tag.rpartition("}")[2]
        kind = child.get("class", "")
        if name in DROPPED or "tooltip-overlay" in kind or (name == "title" and not len(child)):
            element.remove(child)
        elif name == "desc":
            element.remove(child)
            tooltip = (child.text or "") if kind == "label" else tooltip
        else:
            child.attrib.pop("style", None)
            child.attrib.pop("id", None)
            _clean(child)
    if tooltip:
        title = ET.Element(f"{{{SVG}}}title")
        title.text = tooltip
        element.insert(0, title)
        if element.tag.endswith("}a"):
            element.set("aria-label", tooltip)
    href = element.attrib.pop(f"{{{XLINK}}}href", None)
    if href is not None and re.match(r"^[/#]", href):
        element.set("href", href)
        element.attrib.pop("target", None)
