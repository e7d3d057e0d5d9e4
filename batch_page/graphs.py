"""Where the tasks of a DAG stand in its picture: from left to right, each after those that it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

WIDTH, HEIGHT = 168, 34  # of a task
GAP_X, GAP_Y, MARGIN = 46, 14, 8
MOST_LETTERS = 21
MOST_TASKS = 120


@dataclass(frozen=True)
class Box:
    """A task: its upper left corner, and its name as far as there is room."""

    task_id: str
    x: int
    y: int

    @property
    def shown(self) -> str:
        """The name, shortened if it is long."""
        cut = f"{self.task_id[: MOST_LETTERS - 1]}…"
        return self.task_id if len(self.task_id) <= MOST_LETTERS else cut

    @property
    def middle(self) -> tuple[int, int]:
        """The middle of the box."""
        return self.x + WIDTH // 2, self.y + HEIGHT // 2


@dataclass(frozen=True)
class Drawing:
    """A picture of boxes and of the arrows between them; the template ``parts.html`` draws it."""

    width: int
    height: int
    boxes: list[Box]
    arrows: list[tuple[Box, Box]]
    box_width: int = WIDTH
    box_height: int = HEIGHT


def drawing_of(upstream: Mapping[str, set[str]]) -> Drawing | None:
    """Return the picture of tasks and what each waits for; None if there are none, or too many."""
    if not upstream or len(upstream) > MOST_TASKS:
        return None
    levels = _levels(upstream)
    columns: dict[int, list[str]] = {}
    for task in sorted(upstream, key=lambda name: (levels[name], name)):
        columns.setdefault(levels[task], []).append(task)
    rows = max(map(len, columns.values()))
    boxes = {
        task: Box(
            task,
            MARGIN + level * (WIDTH + GAP_X),
            MARGIN + int((HEIGHT + GAP_Y) * (number + (rows - len(tasks)) / 2)),
        )
        for level, tasks in columns.items()
        for number, task in enumerate(tasks)
    }
    arrows = [
        (boxes[before], boxes[task])
        for task in upstream
        for before in sorted(upstream[task])
        if before in boxes
    ]
    width = 2 * MARGIN + len(columns) * (WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + rows * (HEIGHT + GAP_Y) - GAP_Y
    return Drawing(width, height, list(boxes.values()), arrows)


def _levels(upstream: Mapping[str, set[str]]) -> dict[str, int]:
    """Return how many tasks are before each, on the longest way; a circle ends where it began."""
    levels: dict[str, int] = {}

    def level(task: str, above: frozenset[str]) -> int:
        if task in levels:
            return levels[task]
        before = [one for one in upstream.get(task, ()) if one in upstream and one not in above]
        found = 1 + max((level(one, above | {task}) for one in before), default=-1)
        levels[task] = found
        return found

    for task in upstream:
        level(task, frozenset())
    return levels
