"""Announces each import error once, also over restarts, and that a file which had one is loaded again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch_serving.notices import claims
from batch_serving.notices.claims import Announced
from batch_serving.shared.files import delete
from batch_serving.shared.reading import exists

if TYPE_CHECKING:
    from upath import UPath

MAX_LINES = 4
Say = Callable[[str], str]


@dataclass
class ImportErrors:
    """The import errors that two looks in a row have found: while a file is being edited, it has many.

    ``warn`` and ``inform`` send a text and return what came of it.
    """

    warn: Say
    inform: Say
    _before: dict[str, str] | None = None
    _announced: dict[str, list[UPath]] = field(default_factory=dict)

    def look(self, found: dict[str, str]) -> None:
        """Compare the errors that there are now, text by file name, with those of the look before."""
        before, self._before = self._before, dict(found)
        if before is None:
            self._announced = claims.announced_import_errors()
            return
        for name, text in found.items():
            if before.get(name) == text:
                self._announce(name, text)
        for name in set(self._announced) - set(found) - set(before):
            self._announce_repair(name)

    def _announce(self, name: str, text: str) -> None:
        path = claims.of_import_error(name, text)
        earlier = self._announced.get(name, [])
        if path in earlier:
            return
        claim = claims.claim(path, name)
        if claim is not None:
            claim.close(
                self.warn(f"{name} has an error, and its DAGs are not loaded:\n{first_problem(text)}")
            )
        elif claims.state_of(path) is not Announced.YES:
            return  # another scheduler is sending it
        delete(_repair_of(path))
        for other in earlier:  # an error that the file no longer has
            delete(other)
        self._announced[name] = [path]

    def _announce_repair(self, name: str) -> None:
        for path in self._announced.pop(name):
            claim = claims.claim(_repair_of(path)) if exists(path) else None
            if claim is not None:  # and no other scheduler has announced it
                delete(path)
                claim.close(self.inform(f"{name} is loaded again"))


def _repair_of(path: UPath) -> UPath:
    return path.with_suffix(".repaired")


def first_problem(text: str) -> str:
    """Return the first problem of a YAML file, with its hint, or the last line of a traceback."""
    lines = [line for line in text.strip().splitlines() if line.strip()]
    if any(line.startswith("Traceback (most recent call last)") for line in lines):
        return lines[-1]
    first = lines[:1]
    for line in lines[1:MAX_LINES]:
        if not line.startswith(" "):
            break
        first.append(line)
    return "\n".join(first)
