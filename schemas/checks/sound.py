"""A document as it was meant, and without what is wrong in it: what each check judges its subject by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from schemas.catalog.old_names import KEY_ADVICE
from schemas.documents.paths import NAMED
from schemas.documents.reading import Document
from schemas.problems import KeyPath, Positions, Problem, Span


@dataclass
class _Changes:
    """What is to change in the data: keys to rename, values to replace, and values to leave out, by path."""

    keys: dict[KeyPath, str] = field(default_factory=dict)
    values: dict[KeyPath, Any] = field(default_factory=dict)
    left_out: set[KeyPath] = field(default_factory=set)

    def apply(self, value: Any, path: KeyPath = ()) -> Any:
        """Return the changed copy of what is at ``path``."""
        if path in self.values:
            return self.values[path]
        if isinstance(value, dict):
            found = ((key, item, (*path, str(key))) for key, item in value.items())
            return {
                self.keys.get(at, key): self.apply(item, at)
                for key, item, at in found
                if at not in self.left_out
            }
        if isinstance(value, list):
            return [self.apply(item, (*path, index)) for index, item in enumerate(value)]
        return value


def with_meant_keys(document: Document, problems: Iterable[Problem]) -> Document:
    """Return the document with each misspelt key under the name that is meant.

    Where it is not certain which key is meant, the mapping counts as damaged: it may lack that key.
    """
    changes, damaged = _Changes(), set(document.damaged)
    for problem in problems:
        if problem.of_key and problem.fix:
            changes.keys[problem.path] = problem.fix.new
        elif problem.of_key and (problem.hint.startswith("did you mean") or problem.path[-1] in KEY_ADVICE):
            damaged.add(problem.path[:-1])
    if not changes.keys:
        return replace(document, damaged=frozenset(damaged))
    positions = Positions(
        _renamed(document.positions.keys, changes.keys), _renamed(document.positions.values, changes.keys)
    )
    new_damaged = frozenset(_new_path(path, changes.keys) for path in damaged)
    return replace(document, data=changes.apply(document.data), positions=positions, damaged=new_damaged)


def without_wrong_values(document: Document, problems: Iterable[Problem]) -> Document:
    """Return the document without the values that have a problem; what is nearly right is as meant."""
    changes, damaged = _Changes(), set(document.damaged)
    for problem in problems:
        value = _value_at(document.data, problem.path)
        if problem.of_key:
            continue
        if isinstance(value, str) and problem.fix:
            changes.values[problem.path] = problem.fix.new
        elif isinstance(value, str) and problem.path[-1:] == ("dependencies",) and value.isidentifier():
            changes.values[problem.path] = [value]
        elif _is_named(problem.path):  # a task or group, which has a name at least
            changes.values[problem.path] = {}
            damaged.add(problem.path)
        elif problem.path and isinstance(problem.path[-1], str):
            changes.left_out.add(problem.path)
    if not changes.values and not changes.left_out:
        return document
    data, left_out = changes.apply(document.data), frozenset(changes.left_out)
    return replace(document, data=data, left_out=left_out, damaged=frozenset(damaged))


def without_unknown_keys(document: Document, problems: Iterable[Problem]) -> Document:
    """Return the document without the keys that nothing is known of."""
    changes = _Changes(left_out={problem.path for problem in problems if problem.of_key and not problem.fix})
    return replace(document, data=changes.apply(document.data)) if changes.left_out else document


def _is_named(path: KeyPath) -> bool:
    return len(path) > 1 and path[-2] in NAMED and isinstance(path[-1], str)


def _value_at(value: Any, path: KeyPath) -> Any:
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _new_path(path: KeyPath, keys: Mapping[KeyPath, str]) -> KeyPath:
    return tuple(keys.get(path[: index + 1], part) for index, part in enumerate(path))


def _renamed(spans: Mapping[KeyPath, Span], keys: Mapping[KeyPath, str]) -> dict[KeyPath, Span]:
    return {**spans, **{_new_path(path, keys): span for path, span in spans.items()}}
