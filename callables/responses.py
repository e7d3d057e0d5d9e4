"""Answers of HTTP services: what ``response_check`` of HttpOperator and HttpSensor names."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import requests


def has_content(response: requests.Response) -> bool:
    """Return whether an answer is JSON that is not empty: a list with items, or a mapping with keys."""
    try:
        return bool(response.json())
    except ValueError:
        return False
