"""The texts of a document, and the templates among them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from schemas.problems import KeyPath

if TYPE_CHECKING:
    import jinja2
    import jinja2.nodes


def texts(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, str]]:
    """Yield (path, text) of every text in ``value``."""
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from texts(item, (*path, index))


def mappings(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Yield (path, mapping) of every mapping in ``value``, itself included."""
    if isinstance(value, dict):
        yield path, value
        for key, item in value.items():
            yield from mappings(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from mappings(item, (*path, index))


def is_template(text: str) -> bool:
    """Return whether Jinja would find anything in ``text``."""
    return "{{" in text or "{%" in text or "{#" in text


@cache
def parse_template(text: str) -> jinja2.nodes.Template | None:
    """Return the syntax tree of a template; None if the text is not one, or does not parse."""
    import jinja2

    if not is_template(text):
        return None
    try:
        return parse_strictly(text)
    except (jinja2.TemplateSyntaxError, RecursionError):
        return None


def parse_strictly(text: str) -> jinja2.nodes.Template:
    """Return the syntax tree of a template; raises jinja2.TemplateSyntaxError or RecursionError."""
    return _environment().parse(text)


@cache
def undeclared_names(text: str) -> frozenset[str]:
    """Return the variables that a template takes from outside; the text must be one that parses.

    Jinja finds them by compiling, which changes the tree: it gets a new one.
    """
    from jinja2.meta import find_undeclared_variables

    return frozenset(find_undeclared_variables(parse_strictly(text)))


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    class Anything(dict[str, Any]):
        """Has whatever is asked for: filters and tests have a check of their own."""

        def get(self, _name: str, _default: Any = None) -> Any:
            return str

        def __contains__(self, _name: object) -> bool:
            return True

    found = jinja2.Environment(extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"])  # noqa: S701 - only parsed
    found.filters, found.tests = Anything(), Anything()
    return found
