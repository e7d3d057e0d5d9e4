"""Columns that become more than a number or a category: free texts, by their words, and images in files.

``column_kinds`` in YAML names them. scikit-learn is imported by those who make a pipeline.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.suggestions import did_you_mean

KINDS = ("text", "image")
ColumnKinds = dict[str, str]


def check_kind(kind: Any) -> None:
    """Raise InvalidValueError for a kind of column that there is not."""
    if kind not in KINDS:
        hint = did_you_mean(str(kind), KINDS) or f"use one of {', '.join(KINDS)}"
        raise InvalidValueError(f"the kind of a column is {kind!r}", hint)


def check_kinds(kinds: ColumnKinds, features: Iterable[str]) -> None:
    """Raise InvalidValueError for kinds that there are not, and for columns that are not features."""
    known = [str(name) for name in features]
    for name, kind in kinds.items():
        check_kind(kind)
        if name not in known:
            hint = did_you_mean(name, known) or f"the features are {', '.join(known[:10])}"
            raise InvalidValueError(f"column_kinds: there is no feature {name!r}", hint)


def transformer_of(kind: str) -> Any:
    """Return an unfitted transformer of one column of a kind."""
    check_kind(kind)
    if kind == "image":
        from batch_serving.ml.image_pixels import ImagePixels

        return ImagePixels()
    from batch_serving.ml.text_weights import TextWeights

    return TextWeights()
