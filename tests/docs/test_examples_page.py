"""``docs/examples.md`` shows the examples as they are."""

from __future__ import annotations

import examples_page


def test_the_graphs_are_those_of_the_yaml() -> None:
    page = examples_page.PAGE.read_text(encoding="utf-8")
    current = "run: .venv/bin/python docs/examples_page.py"
    assert examples_page.with_graphs(page) == page, current
    for folder in sorted(path.parent for path in (examples_page.ROOT / "examples").glob("*/README.md")):
        assert f"\n## {folder.name}\n" in page
