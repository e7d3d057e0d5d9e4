"""Charts are SVG with tooltips, and with nothing that the page's policy forbids."""

from __future__ import annotations

from asking import forbidden_in

from batch_page.charts import Mark, Series, lines, scatter, stacked_bars

EVIL = '<script>alert("1")</script>'


def test_each_point_has_a_tooltip_and_its_link() -> None:
    marks = [Mark(place, place / 10, f"number {place}", f"/batch-serving/{place}") for place in range(5)]
    chart = scatter("a chart", [(0.0, "first")], [Series("a series", marks)])
    for place in range(5):
        assert f"<title>number {place}</title>" in chart
        assert f'href="/batch-serving/{place}"' in chart
    assert 'aria-label="a chart"' in chart
    assert "first" in chart


def test_what_is_shown_is_text_and_nothing_is_styled_or_scripted() -> None:
    marks = [Mark(0, 1.0, EVIL), Mark(1, 2.0, EVIL)]
    charts = [
        scatter(EVIL, [(0.0, EVIL)], [Series(EVIL, marks)]),
        lines(EVIL, [EVIL, "b"], [Series(EVIL, marks)]),
        stacked_bars(EVIL, [EVIL, "b"], [Series(EVIL, marks)]),
    ]
    for chart in charts:
        assert "<script" not in chart
        assert forbidden_in(chart) == []


def test_a_link_to_elsewhere_is_no_link() -> None:
    marks = [Mark(0, 1.0, "a", "javascript:alert(1)"), Mark(1, 1.0, "b", "https://example.com")]
    chart = scatter("c", [], [Series("s", marks)])
    assert "javascript" not in chart
    assert "example.com" not in chart


def test_a_missing_value_is_a_gap() -> None:
    chart = lines(
        "c", ["a", "b", "c"], [Series("s", [Mark(0, 1, "one"), Mark(1, None, ""), Mark(2, 3, "three")])]
    )
    assert chart.count("<circle") == 2
