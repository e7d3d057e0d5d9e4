"""What is wrong with a request: data, with the row and the column that it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

MOST_SHOWN = 100  # of the problems, and of the warnings, in one answer
LONGEST = 30  # characters of a value in a message


@dataclass(frozen=True)
class RowProblem:
    """What is wrong in a row (from 0; None: in all of them) and column, and what to do about it."""

    row: int | None
    column: str | None
    problem: str
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as an answer has it."""
        return asdict(self)


class RefusedError(Exception):
    """A request that cannot be answered; ``problems`` say where it is wrong, if it is about rows."""

    def __init__(
        self, status: int, error: str, hint: str = "", problems: Sequence[RowProblem] = (), retry_s: int = 0
    ) -> None:
        """Keep what the answer has; ``retry_s`` says after how many seconds a repetition makes sense."""
        super().__init__(error)
        self.status, self.error, self.hint = status, error, hint
        self.problems, self.retry_s = list(problems), retry_s

    def to_json(self) -> dict[str, Any]:
        """Return the answer's content: at most MOST_SHOWN problems, and how many there are."""
        answer: dict[str, Any] = {"error": self.error, "hint": self.hint}
        if self.problems:
            answer["problems"] = [one.to_json() for one in self.problems[:MOST_SHOWN]]
            answer["problem_count"] = len(self.problems)
        return answer


def quoted(value: object) -> str:
    """Return a value for a message, shortened if it is long."""
    text = repr(value) if isinstance(value, str) else str(value)
    if isinstance(value, bool):
        text = text.lower()  # as JSON has it
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
