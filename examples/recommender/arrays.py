"""Plain arrays as the bytes of an ``.npz`` file, and back: never a pickle, which could run code."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


class BrokenFileError(ValueError):
    """Bytes that are not an ``.npz`` file with the arrays that are needed."""


def packed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Return the file's bytes: of equal arrays, equal bytes."""
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **dict(arrays))
    return file.getvalue()


def unpacked(content: bytes, names: Iterable[str]) -> Arrays:
    """Return these arrays; BrokenFileError if the bytes are no such file, or one of the arrays is missing."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            missing = [name for name in names if name not in file.files]
            if missing:
                raise BrokenFileError(f"the file has no array {missing[0]!r}")
            return {name: file[name] for name in names}
    except BrokenFileError:
        raise
    except (OSError, ValueError, EOFError, KeyError, NotImplementedError, zipfile.BadZipFile) as error:
        raise BrokenFileError(f"the file is not an .npz file of plain arrays: {error}") from error
