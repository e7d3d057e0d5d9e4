"""How defaults and a DAG's own lines become one."""

from __future__ import annotations

from typing import Any


def merge(config: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Return ``config`` with what only ``default`` has added, mappings within it too.

    A callback is one thing: its arguments do not mix with those of another.
    """
    merged = {**default, **config}
    for key in config.keys() & default.keys():
        mappings = isinstance(config[key], dict) and isinstance(default[key], dict)
        if mappings and not str(key).endswith("_callback"):
            merged[key] = merge(config[key], default[key])
    return merged
