"""Functions of a test as functions of a module below ``callables``, so that YAML can name them."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

import pytest


def as_module(monkeypatch: pytest.MonkeyPatch, name: str, *functions: Callable[..., Any]) -> None:
    """Make a module of this dotted name that defines the functions, until the test ends."""
    found = types.ModuleType(name)
    for function in functions:
        monkeypatch.setattr(function, "__module__", name)
        setattr(found, function.__name__, function)
    monkeypatch.setitem(sys.modules, name, found)
