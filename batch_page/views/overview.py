"""The overview: one look answers whether everything is all right, and a sentence says what to do if not."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends

from batch_page.access import asked
from batch_page.asked import Asked
from batch_page.rendering import rendered
from batch_page.runs import next_runs
from batch_page.view import State, Tile, View, all_views


def page(asking: Annotated[Asked, Depends(asked)]) -> str:
    """Return the page."""
    tiles = tiles_of_all(asking)
    state, sentence = summary(asking, tiles)
    runs = next_runs(asking)
    values = {
        "tiles": tiles,
        "state": state,
        "sentence": sentence,
        "runs": [run for run in runs if not run.is_paused],
        "paused": [run for run in runs if run.is_paused],
    }
    return rendered("overview.html", asking, current=VIEW, **values)


def tiles_of_all(asking: Asked) -> list[Tile]:
    """Return the tiles of all views, in the order of the tabs."""
    return [tile for view in all_views() for tile in view.tiles(asking)]


def summary(asking: Asked, tiles: list[Tile]) -> tuple[State, str]:
    """Return how all of it is doing, and a sentence on it."""
    wrong = [tile for tile in tiles if tile.state is State.WRONG]
    notices = [tile for tile in tiles if tile.state is State.NOTICE]
    if wrong:
        return State.WRONG, " ".join(tile.advice for tile in wrong if tile.advice)
    if notices:
        return State.NOTICE, " ".join(tile.advice for tile in notices if tile.advice)
    empty = [tile for tile in tiles if tile.state is State.EMPTY]
    if empty:
        return State.EMPTY, " ".join(tile.advice for tile in empty if tile.advice)
    return State.FINE, asking.text("Everything is all right.")


def _add_routes(router: APIRouter) -> None:
    router.add_api_route("/", page, methods=["GET"])


VIEW = View("overview", "Overview", _add_routes, lambda _: [])
