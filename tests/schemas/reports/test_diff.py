"""``diff``: what a changed value looks like on its one line."""

from __future__ import annotations

from datetime import UTC, datetime

from schemas.reports.diff import compare

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def lines(old: str, new: str) -> list[str]:
    before, after = ({"a": {"schedule": None, "doc_md": text, "tasks": {}}} for text in (old, new))
    return [line.strip() for line in compare(before, after, NOW) if "doc_md" in line]


def test_a_short_value_is_shown_whole() -> None:
    assert lines("Reads rows", "Reads files") == ["~ doc_md: 'Reads rows' → 'Reads files'"]


def test_of_a_long_text_the_line_shows_where_it_changes() -> None:
    page = "Each line says something. " * 40
    (line,) = lines(f"{page}It reads rows. {page}", f"{page}It reads files. {page}")
    assert "reads rows" in line
    assert "reads files" in line
    assert len(line) < 250
