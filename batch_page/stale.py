"""How old the outputs are, beside the limits that deadlines in YAML give them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from batch_page.pipelines import pipelines
from batch_serving.monitoring.ages import in_words, known_outputs, newest_of
from batch_serving.shared.errors import InvalidValueError


@dataclass(frozen=True)
class OutputAge:
    """An output, what is newest of it, and how old that may be."""

    output: str
    what: str
    age: timedelta | None
    limit: timedelta | None
    dag_id: str | None
    is_not_due: bool = False

    @property
    def is_stale(self) -> bool:
        """Whether it is older than it may be."""
        if self.is_not_due:
            return False
        return self.age is not None and self.limit is not None and self.age > self.limit

    def to_json(self) -> dict[str, Any]:
        """Return the values, times in seconds."""
        return {
            "output": self.output,
            "newest": self.what,
            "age_s": None if self.age is None else round(self.age.total_seconds()),
            "limit_s": None if self.limit is None else self.limit.total_seconds(),
            "dag_id": self.dag_id,
            "stale": self.is_stale,
        }

    def cells(self) -> list[str]:
        """Return the texts of a table."""
        age = "–" if self.age is None else in_words(self.age)
        limit = "–" if self.limit is None else in_words(self.limit)
        return [self.output, self.what, age, limit, "STALE" if self.is_stale else ""]


def output_ages(now: datetime) -> list[OutputAge]:
    """Return the ages of all outputs that there are, or that have a limit."""
    # Where several DAGs have a deadline for one output, the shortest is the one that is missed first.
    limits = dict(sorted(_limits(), key=lambda found: found[1][0], reverse=True))
    found = []
    for output in sorted({*known_outputs(), *limits}):
        try:
            newest = newest_of(output)
        except InvalidValueError:  # the checker reports it
            continue
        limit, dag_id = limits.get(output, (None, None))
        found.append(OutputAge(output, newest.what, newest.age(now), limit, dag_id, newest.is_not_due))
    return found


def _limits() -> Iterator[tuple[str, tuple[timedelta, str]]]:
    for pipeline in pipelines():
        for given in pipeline.deadlines:
            yield given.output, (given.interval, pipeline.dag_id)
