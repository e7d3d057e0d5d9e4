"""Where a served model comes from: something that says which version is the one, and loads it when asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from batch_serving.api.bodies import Rows


class BrokenVersionError(Exception):
    """The version that a source names cannot be used, and will not be until someone repairs it."""


class SourceAwayError(Exception):
    """A source does not answer: it is not known which version is the one."""


@dataclass(frozen=True)
class Reference:
    """A version of a model: where its file is, what the file's hash is, since when it is the one.

    ``facts`` are what else an answer may show, such as metrics.
    """

    version: str
    place: str
    sha256: str
    since: str | None = None
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a model says of rows: a mapping for each, and what is unusual in them."""

    predictions: list[dict[str, Any]]
    extra: dict[str, Any] = field(default_factory=dict)


class Servable(Protocol):
    """A loaded model."""

    def answer(self, rows: Rows) -> Answer:
        """Return what it predicts; RefusedError for rows that it cannot use."""

    def columns(self) -> Sequence[dict[str, Any]]:
        """Return what a row must have, for the description of the model."""

    def example(self) -> dict[str, Any] | None:
        """Return a row that it predicts; None if it knows none."""


class Source(Protocol):
    """Follows one model. Every method may raise SourceAwayError."""

    name: str

    def current(self) -> Reference | None:
        """Return the version to serve, None if there is none yet; BrokenVersionError if it is not known."""

    def load(self, reference: Reference) -> Servable:
        """Return a version's model, checked by its hash; BrokenVersionError if it cannot be used."""

    def instead(self) -> tuple[Reference, Servable] | None:
        """Return what to serve where nothing is served yet and the version to serve is broken."""

    def stamp(self, reference: Reference) -> Any:
        """Return a value that changes when a version's file does, without reading the file."""

    def check_file(self, reference: Reference) -> None:
        """Raise BrokenVersionError if a version's file is not what was saved any more."""

    def is_new_problem(self, serving: str | None, problem: str) -> bool:
        """Return whether no other process has reported a problem yet; note that it is now."""
