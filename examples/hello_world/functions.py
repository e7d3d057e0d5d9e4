"""The task functions of ``hello_world.yaml``."""

from __future__ import annotations


def print_world() -> None:
    """Print one word to the task's log."""
    print("World")
