"""Requests to the Batch Serving page without a server, and what an answer has."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from batch_page.app import application
from batch_page.asked import Asked
from batch_page.pipelines import pipelines

ROOT = "/batch-serving"


def asking(path: str = "/", *, readable: set[str] | None = None, language: str = "en", **query: str) -> Asked:
    """Return a request of someone who may read these DAGs, otherwise all of them."""
    application()  # registers the views
    dags = {one.dag_id for one in pipelines()} if readable is None else readable
    return Asked(frozenset(dags), language, ROOT, ROOT + path, query)


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        self.parts.append(data)


def _parsed(page: str) -> _Text:
    found = _Text()
    found.feed(page)
    return found


def text_of(page: str) -> str:
    """Return what a page shows, with single blanks."""
    return re.sub(r"\s+", " ", "".join(_parsed(page).parts))


def links_of(page: str) -> list[dict[str, str]]:
    """Return the attributes of each link."""
    return [attributes for tag, attributes in _parsed(page).tags if tag == "a"]


def forbidden_in(page: str) -> list[Any]:
    """Return what the page's policy would block: scripts and styles in it, handlers, and what is elsewhere."""
    found: list[Any] = []
    for tag, attributes in _parsed(page).tags:
        if tag == "style" or (tag == "script" and not attributes.get("src", "").startswith(ROOT)):
            found.append((tag, attributes))
        found += [(tag, name) for name in attributes if name == "style" or re.match(r"on[a-z]+$", name)]
        for name in ("src", "href", "action"):
            if re.match(r"(?i)\s*(https?:|//|javascript:)", attributes.get(name, "")):
                found.append((tag, attributes[name]))
    return found
