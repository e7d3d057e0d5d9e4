"""What comes of training a version again, as data and as text."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

UNKNOWN_CAUSE = (
    "not known: data, libraries and machine are those of the record; an estimator that draws at random needs "
    "a random_state, and a custom one may have changed"
)


@dataclass(frozen=True)
class Reproduction:
    """What differs between a version and its second training, what has changed since, and what to know."""

    model: str
    version: str
    compared: list[str]
    differences: list[str]
    changes: list[str]
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        """Return the values for JSON."""
        return {"reproduced": not self.differences, **asdict(self)}

    def report(self) -> str:
        """Return the result as lines of text."""
        *most, last = self.compared
        compared = f"{', '.join(most)} and {last}"
        if not self.differences:
            lines = [f"reproduced: {self.model} {self.version}: {compared} are equal"]
            lines += [f"  although  {text}" for text in self.changes]
        else:
            lines = [f"differs: {self.model} {self.version}; compared were {compared}"]
            lines += [f"  differs   {text}" for text in self.differences]
            lines += [f"  changed   {text}" for text in self.changes] or [f"  cause     {UNKNOWN_CAUSE}"]
        return "\n".join([*lines, *(f"  note      {text}" for text in self.notes)])
