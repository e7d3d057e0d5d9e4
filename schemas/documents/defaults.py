"""How defaults and a DAG's own lines become one."""

from __future__ import annotations

from typing import Any


def is_callback(key: object) -> bool:
    """Return whether a key names a callback: a function with its arguments."""
    return key == "deadline" or str(key).endswith("_callback")


def merge(config: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """Return ``config`` with what only ``default`` has added, mappings within it too.

    A callback is one thing: its arguments do not mix with those of another.
    """
    merged = {**default, **config}
    for key in config.keys() & default.keys():
        mappings = isinstance(config[key], dict) and isinstance(default[key], dict)
        if mappings and not is_callback(key):
            merged[key] = merge(config[key], default[key])
    return merged


def merge_files(lower: dict[str, Any], upper: dict[str, Any]) -> dict[str, Any]:
    """Return what two defaults files give together: the lower one wins, and the tags of both count.

    So does dag-factory. A DAG's own tags replace those of the defaults files.
    """
    merged = merge(lower, upper)
    if isinstance(lower.get("tags"), list) and isinstance(upper.get("tags"), list):
        merged["tags"] = sorted({*map(str, lower["tags"]), *map(str, upper["tags"])})
    return merged
