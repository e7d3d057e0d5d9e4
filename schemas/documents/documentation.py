"""A DAG's documentation in the UI: its own, and its file below, as it was loaded."""

from __future__ import annotations

import re

FENCE = "```"
_FILE = re.compile(
    r"\n\n\*\*(?P<name>[^\n]*)\*\*\n\n(?P<fence>`{3,})yaml\n(?P<text>.*)\n(?P=fence)\n\Z", re.DOTALL
)


def documented(own: str, name: str, text: str) -> str:
    """Return a DAG's own documentation with the file of this name and text below, as written."""
    fence = FENCE
    while fence in text:
        fence += "`"
    return f"{own}\n\n**{name}**\n\n{fence}yaml\n{text.strip()}\n{fence}\n"


def file_in(documentation: str) -> tuple[str, str] | None:
    """Return the name and the stripped text of the file in a documentation, None if there is none."""
    found = _FILE.search(documentation)
    return None if found is None else (found["name"], found["text"])
