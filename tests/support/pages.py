"""The project's Markdown pages, as the tests of what they say read them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Block:
    """A fenced block: its language and its text."""

    language: str
    text: str

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Each ``$ command`` of a console block, without a comment, and the output shown below it."""
        found = re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", self.text, re.MULTILINE)
        return [(re.split(r"\s+# ", command)[0].strip(), output) for command, output in found]


@dataclass(frozen=True)
class Page:
    """One page."""

    path: Path

    @property
    def name(self) -> str:
        """Its path in the project."""
        return self.path.relative_to(ROOT).as_posix()

    @cached_property
    def text(self) -> str:
        """All of it."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        """Its fenced blocks."""
        found = re.findall(r"^```(\w*)\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        return [Block(language, text) for language, text in found]

    @cached_property
    def prose(self) -> str:
        """Everything outside fenced blocks."""
        return re.sub(r"^```\w*\n.*?^```$", "", self.text, flags=re.MULTILINE | re.DOTALL)

    @cached_property
    def code(self) -> list[str]:
        """The inline code of the prose, with line breaks as blanks."""
        return [" ".join(found.split()) for found in re.findall(r"(?<!`)`([^`]+)`(?!`)", self.prose)]

    @cached_property
    def links(self) -> list[str]:
        """The targets of its links and pictures."""
        return re.findall(r"\]\(([^)\s]+)\)", self.prose)

    @cached_property
    def anchors(self) -> set[str]:
        """The names by which links reach its headings, as GitHub makes them."""
        headings = re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)
        return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}

    def of(self, *languages: str) -> list[str]:
        """The texts of the blocks in these languages."""
        return [block.text for block in self.blocks if block.language in languages]


def page(name: str) -> Page:
    """Return the page at a path in the project."""
    return Page(ROOT / name)


PAGES = [
    *map(page, ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "data/README.md")),
    *(Page(path) for path in sorted((ROOT / "docs").rglob("*.md"))),
]
