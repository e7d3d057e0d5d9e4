"""Where data departs from its JSON Schema: of several alternatives, in the one that was meant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.problems import KeyPath

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

JOINED = "__join__"


@dataclass(frozen=True)
class Violation:
    """One departure: the keyword that is not kept, what it expects, and the value that is there.

    ``path`` is the value's within the data, ``depth`` how far it is below the value of ``outer``, of which
    it is one of the ``alternatives``.
    """

    keyword: str
    path: KeyPath
    depth: int
    expected: Any
    schema: dict[str, Any]
    value: Any
    alternatives: tuple[tuple[Violation, ...], ...] = ()
    outer: Violation | None = None

    @property
    def is_choice_of_keys(self) -> bool:
        """Whether the alternatives only say which keys there must be, one of which is enough."""
        return self.keyword == "anyOf" and all({*part} == {"required"} for part in self.expected)

    @property
    def needs(self) -> list[str]:
        """The keys of which one must be there, where that is what is wrong."""
        if self.keyword not in ("required", "anyOf") or not isinstance(self.value, dict):
            return []
        parts = [self.schema] if self.keyword == "required" else self.expected
        found = [part.get("required") for part in parts if "$ref" not in part]
        return [name for names in found for name in names or ()] if all(found) else []

    @property
    def described(self) -> dict[str, Any]:
        """The schema that says most of the value: that of an alternative, or of the whole."""
        one = self
        while not {"examples", "x-kind"} & {*one.schema} and one.outer is not None and one.depth == 0:
            one = one.outer
        return one.schema


def violations(validator: Any, data: Any) -> Iterator[Violation]:
    """Yield what is wrong with ``data``, as deep inside it as can be said."""
    for error in validator.iter_errors(data):
        yield from _innermost(_violation(error, (), None))


def _violation(error: ValidationError, above: KeyPath, outer: Violation | None) -> Violation:
    alternatives: dict[int, list[ValidationError]] = {}
    schema: Any = error.schema
    path = (*above, *error.path)
    found = Violation(
        str(error.validator), path, len(error.path), error.validator_value, schema, error.instance, (), outer
    )
    for child in error.context or ():
        alternatives.setdefault(int(child.schema_path[0]), []).append(child)
    inner = tuple(
        tuple(_violation(child, path, found) for child in children) for children in alternatives.values()
    )
    object.__setattr__(found, "alternatives", inner)  # each side knows the other
    return found


def _innermost(violation: Violation) -> Iterator[Violation]:
    """Yield the violations within the alternative that was meant, or the violation itself if none was."""
    meant = None
    if violation.keyword == "anyOf" and not violation.is_choice_of_keys:
        meant = _meant_alternative(violation)
    if meant is None:
        yield violation
        return
    for child in meant:
        yield from _innermost(child)


def _meant_alternative(violation: Violation) -> tuple[Violation, ...] | None:
    """Return what is wrong in the one alternative whose kind fits the value, None if it is not clear."""
    fitting = [found for found in violation.alternatives if not any(map(_is_of_another_kind, found))]
    fitting = [found for found in fitting if not any(map(_lacks_a_key, found))] or fitting
    if len(fitting) > 1:  # the one that came furthest
        depths = [max(child.depth for child in found) for found in fitting]
        fitting = [found for found, depth in zip(fitting, depths, strict=True) if depth == max(depths)]
    return fitting[0] if len(fitting) == 1 else None


def _is_of_another_kind(child: Violation) -> bool:
    """Return whether an alternative is ruled out by the value itself, and not by something within it."""
    if child.depth:
        return False
    if child.keyword == "required":  # what has a __join__ is another thing without it
        return JOINED in child.expected
    return child.keyword in ("type", "enum", "const", "pattern")


def _lacks_a_key(child: Violation) -> bool:
    return not child.depth and child.keyword == "required"
