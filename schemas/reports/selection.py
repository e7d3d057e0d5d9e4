"""Which codes are reported: ``--select`` and ``--ignore``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from batch_serving.shared.suggestions import did_you_mean
from schemas.checks.registry import RULES
from schemas.problems import ERROR, Problem

SAFETY = "DAG2"


@dataclass(frozen=True)
class Selection:
    """The codes that are reported: all if ``select`` is empty, but for those of ``ignore``."""

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    @classmethod
    def of(cls, select: str, ignore: str) -> Selection:
        """Return what two lists of codes or prefixes mean.

        Raises ValueError for a code that does not exist, and for one of safety that is to be ignored.
        """
        found = cls(_codes(select), _codes(ignore))
        for code in found.ignore:
            safety = [rule for name, rule in RULES.items() if name.startswith(code) and _is_safety(name)]
            if safety and (code.startswith(SAFETY) or len(code) < len(SAFETY)):
                raise ValueError(f"--ignore {code}: errors of safety (DAG2xx) cannot be ignored")
        return found

    def filter(self, problems: Iterable[Problem]) -> list[Problem]:
        """Return the problems that are to be reported."""
        return [problem for problem in problems if self.has(problem.code)]

    def has(self, code: str) -> bool:
        """Return whether a code is to be reported."""
        if self.ignore and code.startswith(self.ignore):
            return False
        return not self.select or code.startswith(self.select)


def _is_safety(code: str) -> bool:
    return code.startswith(SAFETY) and RULES[code].severity == ERROR


def _codes(text: str) -> tuple[str, ...]:
    codes = tuple(part.strip().upper() for part in text.split(",") if part.strip())
    for code in codes:
        if not any(name.startswith(code) for name in RULES):
            hint = did_you_mean(code, RULES) or "`explain` lists the codes"
            raise ValueError(f"there is no code {code!r}; {hint}")
    return codes
