"""The YAML loader: safe, in C where that is there."""

from __future__ import annotations

from typing import Any

import yaml

MAX_TAGS = 10_000


_tags: dict[str, str] = {}


class YamlLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, in C where that is there, which remembers what a plain scalar is.

    Finding that takes half the time of reading a file, and the same keys and paths come again and again.
    """

    def resolve(self, kind: type, value: Any, implicit: Any) -> str:
        """Return the tag of a node that has no tag."""
        if kind is not yaml.ScalarNode or not implicit[0]:
            return str(super().resolve(kind, value, implicit))
        if (tag := _tags.get(value)) is None:
            tag = str(super().resolve(kind, value, implicit))
            if len(_tags) < MAX_TAGS:
                _tags[value] = tag
        return tag
