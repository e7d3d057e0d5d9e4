"""What a view is: a page with its routes, and the tiles by which the overview shows how its part is doing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from batch_page.queries import Queries, Remembered

if TYPE_CHECKING:
    from fastapi import APIRouter

    from batch_page.asked import Asked

QUERIES = Queries()
REMEMBERED = Remembered()


class State(Enum):
    """How something is doing, from good to bad."""

    FINE = "fine"
    EMPTY = "empty"  # nothing there yet
    NOTICE = "notice"
    WRONG = "wrong"


@dataclass(frozen=True)
class Tile:
    """One look at one thing: what it is, how it is, where more of it is, and what to do if it is not fine."""

    title: str
    value: str
    detail: str
    href: str
    state: State = State.FINE
    advice: str = ""


@dataclass(frozen=True)
class View:
    """A part of the page. A new one is a module of ``views/``, a template, and a line in ``app.py``."""

    name: str  # in the address
    title: str
    add_routes: Callable[[APIRouter], None]
    tiles: Callable[[Asked], list[Tile]]

    @property
    def path(self) -> str:
        """Its address below that of the page."""
        return "" if self.name == "overview" else self.name


_VIEWS: list[View] = []


def register(views: tuple[View, ...]) -> None:
    """Make these the views of the page, in this order."""
    _VIEWS[:] = views


def all_views() -> tuple[View, ...]:
    """Return the views of the page, in the order of the tabs."""
    return tuple(_VIEWS)
