"""From YAML nodes to data: positions of keys and values, keys given twice, tags, and values that are none."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import yaml

from schemas.documents.paths import NAMED, is_free
from schemas.documents.recovery import LeftOut
from schemas.documents.rules import GIVEN_TWICE, PYTHON_TAG, SYNTAX, WRONG_VALUE
from schemas.documents.yaml_loader import YamlLoader
from schemas.problems import Fix, KeyPath, Problem, Rule, Span

MAX_NODES = 100_000  # aliases expanded; a file that needs more is an attack or a mistake
TEXT_TAG = "tag:yaml.org,2002:str"
MERGE_TAG = "tag:yaml.org,2002:merge"
KNOWN_TAGS = frozenset(tag for tag in yaml.SafeLoader.yaml_constructors if tag) | {MERGE_TAG}


class TooManyValuesError(Exception):
    """A file with more values than MAX_NODES, once its aliases are followed."""

    hint = "split the file, or remove the aliases"

    def __init__(self, line: int, column: int) -> None:
        """Keep the place, from 1."""
        super().__init__(f"the file has more than {MAX_NODES:,} values once its aliases are followed")
        self.place = (line, column)


def construct(node: yaml.Node) -> dict[str, Any]:
    """Return the data of a file's nodes, which Walk has been through."""
    data: dict[str, Any] = YamlLoader("").construct_document(node)
    return data


class Places:
    """Where nodes stand in the text as the user wrote it, line by line the one that was parsed.

    Lines end with a newline alone: YAML counts others too, such as U+2028 within a text.
    """

    def __init__(self, written: str, parsed: str) -> None:
        """Keep both texts and where their lines start."""
        self.written, self.parsed = written, parsed
        self._written_starts, self._parsed_starts = _line_starts(written), _line_starts(parsed)

    def span(self, node: yaml.Node) -> Span:
        """Return where a node stands in the text that was written."""
        line, column = self._place(node.start_mark.index)
        last, end = self._place(node.end_mark.index)
        start = self._written_starts[line] + column
        return Span(line + 1, column + 1, start, max(start, self._written_starts[last] + end))

    def _place(self, index: int) -> tuple[int, int]:
        line = bisect_right(self._parsed_starts, index) - 1
        return line, index - self._parsed_starts[line]


def _line_starts(text: str) -> list[int]:
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    return starts[:-1]


class Walk:
    """Collects the positions of keys and values, merges and aliases followed, and what is wrong with them.

    It changes nodes that cannot be made into data: a tag of Python's and a date that does not exist become
    texts, so that the rest of the file can be checked.
    """

    def __init__(self, name: str, places: Places, *, in_defaults: bool) -> None:
        """Begin with nothing found; ``name`` is the file's."""
        self.name, self.places, self.in_defaults = name, places, in_defaults
        self.keys: dict[KeyPath, Span] = {}
        self.values: dict[KeyPath, Span] = {}
        self.odd_keys: dict[KeyPath, str] = {}
        self.problems: list[Problem] = []
        self._mappings: list[tuple[KeyPath, yaml.MappingNode]] = []
        self._constructor = yaml.constructor.SafeConstructor()
        self._nodes = 0
        self._seen: set[int] = set()

    def value(self, node: yaml.Node, path: KeyPath) -> None:
        """Take in a value and all below it."""
        self._count(node)
        self.values[path] = self.places.span(node)
        if isinstance(node, yaml.MappingNode):
            self.mapping(node, path)
        elif isinstance(node, yaml.SequenceNode):
            node.value = [self._as_meant(item) for item in node.value]
            for index, item in enumerate(node.value):
                self.value(item, (*path, index))
        self._make_plain(node)

    def mapping(self, node: yaml.MappingNode, path: KeyPath) -> None:
        """Take in a mapping: first what it merges, then its own keys."""
        self._mappings.append((path, node))
        node.value = [(key, self._as_meant(value)) for key, value in node.value if self._is_plain_key(key)]
        for key, value in node.value:
            if key.tag == MERGE_TAG:
                for merged in _merged(value):
                    self._count(merged)
                    self.mapping(merged, path)
        seen: dict[str, int] = {}
        for key, value in node.value:
            if key.tag != MERGE_TAG:
                self._key(key, path, seen)
                self.value(value, (*path, key.value))

    def _key(self, key: yaml.ScalarNode, path: KeyPath, seen: dict[str, int]) -> None:
        name = key.value
        if name in seen and id(key) not in self._seen:
            message = f"key {name!r} is given again; it stands in line {seen[name]} too"
            hint = "YAML would silently take the last; remove one"
            self._report(GIVEN_TWICE, key, message, hint)
        self._seen.add(id(key))
        seen[name] = key.start_mark.line + 1
        self.keys[(*path, name)] = self.places.span(key)
        if key.tag != TEXT_TAG:
            self.odd_keys[(*path, name)] = key.tag.rpartition(":")[2]
            if not is_free(path, in_defaults=self.in_defaults):
                key.tag = TEXT_TAG  # reported by its own rule; the checks read it as text

    def _is_plain_key(self, key: yaml.Node) -> bool:
        """Return whether a key is a word; report it if it is a mapping or a list."""
        if isinstance(key, yaml.ScalarNode):
            return True
        self._report(SYNTAX, key, "a mapping stands where a key should", "write a word before the colon")
        return False

    def _as_meant(self, node: yaml.Node) -> yaml.Node:
        """Return a template without quotes, which YAML reads as a mapping, as the text that is meant."""
        text = self.places.parsed[node.start_mark.index : node.end_mark.index]
        if not isinstance(node, yaml.MappingNode) or not text.startswith("{{"):
            return node
        if all(isinstance(key, yaml.ScalarNode) for key, _ in node.value):
            return node
        message, hint = "a template without quotes is read as a mapping", f"write '{text}'"
        fix = Fix(text, f"'{text}'") if "'" not in text and "\n" not in text else None
        self._report(SYNTAX, node, message, hint, fix)
        return yaml.ScalarNode(TEXT_TAG, text, node.start_mark, node.end_mark)

    def _make_plain(self, node: yaml.Node) -> None:
        """Report a tag or a value that cannot be made into data, and make it a text."""
        if node.tag not in KNOWN_TAGS:
            shown = node.tag.replace("tag:yaml.org,2002:", "!!")
            message = f"tag {shown!r} is not plain YAML: it would make a Python object"
            self._report(PYTHON_TAG, node, message, "write plain YAML; name a function by its dotted path")
            kinds = {"MappingNode": "map", "SequenceNode": "seq"}
            node.tag = f"tag:yaml.org,2002:{kinds.get(type(node).__name__, 'str')}"
        elif isinstance(node, yaml.ScalarNode) and node.tag != TEXT_TAG:
            try:
                self._constructor.construct_object(node)
            except ValueError as error:  # a date such as 2026-02-30
                hint = "correct it, or put it in quotes if it is meant as text"
                self._report(WRONG_VALUE, node, f"{node.value!r}: {error}", hint)
                node.tag = TEXT_TAG

    def _report(self, rule: Rule, node: yaml.Node, message: str, hint: str, fix: Fix | None = None) -> None:
        span = self.places.span(node)
        problem = replace(rule.at_text(self.name, span.line, span.column, message, hint), fix=fix)
        if problem not in self.problems:
            self.problems.append(problem)

    def _count(self, node: yaml.Node) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise TooManyValuesError(node.start_mark.line + 1, node.start_mark.column + 1)

    def damaged_by(self, left_out: Mapping[int, LeftOut]) -> frozenset[KeyPath]:
        """Return the paths of the mappings that lines which were left out may have belonged to.

        ``left_out`` has the lines by number, from 0. Tasks are mappings: no other line is one of them.
        """
        found = [
            (self._innermost(number, indent), line.holds_a_mapping)
            for number, line in left_out.items()
            for indent in line.indents
        ]
        return frozenset(path for path, holds in found if holds or not path or path[-1] not in NAMED)

    def _innermost(self, line: int, indent: int) -> KeyPath:
        around = [
            (node.start_mark.column, path)
            for path, node in self._mappings
            if node.start_mark.line - 1 <= line <= node.end_mark.line and node.start_mark.column <= indent
        ]
        return max(around, key=lambda one: one[0], default=(0, ()))[1]


def _merged(node: yaml.Node) -> Iterator[yaml.MappingNode]:
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    return (item for item in nodes if isinstance(item, yaml.MappingNode))
