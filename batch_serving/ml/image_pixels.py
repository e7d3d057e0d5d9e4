"""Images whose place stands in a column, as the brightness of their pixels; imports scikit-learn.

The column has the path of a file below the output folder (``BATCH_OUTPUT``), on disk or in object storage.
"""

from __future__ import annotations

import io
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from sklearn.base import BaseEstimator, TransformerMixin

from batch_serving.ml.values import is_missing, text_of
from batch_serving.shared.errors import InvalidValueError
from batch_serving.shared.paths import output_path
from batch_serving.shared.reading import read_whole
from batch_serving.shared.wording import counted, shortened

if TYPE_CHECKING:
    from upath import UPath

SIDE = 16  # pixels: an image of any size is scaled to this width and height
MOST_PIXELS = 16_000_000  # of a file: a larger one is refused before it is unpacked
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")


class ImagePixels(TransformerMixin, BaseEstimator):
    """Turns one column of files into the brightness of SIDE × SIDE pixels each, from 0 (black) to 1 (white).

    Colours become grey (ITU-R 601-2: 0.299 R + 0.587 G + 0.114 B), transparent parts white, and images of
    another size are scaled. Memory is 2 kB a row. InvalidValueError names the files that are missing, and
    those that are no images.
    """

    def fit(self, frame: Any, _target: Any = None) -> ImagePixels:
        """Keep the name of the column; nothing is learnt of the images."""
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        return self

    def transform(self, frame: Any) -> np.ndarray:
        """Return the pixels, by row; each file is read once."""
        name = str(frame.columns[0])
        values = frame.iloc[:, 0].astype(object).tolist()
        files = [_file_of(value, name) for value in values]
        known, missing = dict[str, np.ndarray](), list[str]()
        for file in dict.fromkeys(files):
            try:
                known[file] = pixels_of(read_whole(place_of(file, name)), f"column {name!r}: {file}")
            except FileNotFoundError:
                missing.append(file)
        if missing:
            files_are = "does not exist" if len(missing) == 1 else "do not exist"
            raise InvalidValueError(
                f"column {name!r}: {counted(len(missing), 'file')} {files_are} below {output_path()}: "
                f"{shortened(missing)}",
                "put the images there, or correct the rows, and clear the task",
            )
        return np.stack([known[file] for file in files]) if files else np.empty((0, SIDE * SIDE))

    def get_feature_names_out(self, _names: Any = None) -> Any:
        """Return a name for each pixel, row by row from the top left."""
        name = self.feature_names_in_[0]
        return np.asarray([f"{name}: {y}, {x}" for y in range(SIDE) for x in range(SIDE)], dtype=object)


def _file_of(value: Any, name: str) -> str:
    if is_missing(value):
        raise InvalidValueError(
            f"column {name!r} is empty in a row, which has no image", "leave such rows out of the query"
        )
    return text_of(value)


def place_of(file: str, name: str) -> UPath:
    """Return where a file is; InvalidValueError for a path that leads out of the output folder."""
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or "://" in file or "\\" in file or "\0" in file:
        raise InvalidValueError(
            f"column {name!r} has {file[:100]!r}", "give a path below the output folder, such as images/1.png"
        )
    return output_path(*path.parts)


def pixels_of(data: bytes, what: str) -> np.ndarray:
    """Return the pixels of an image file; InvalidValueError, which begins with ``what``, if it is none."""
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise InvalidValueError(
                    f"{what} has {width} x {height} pixels",
                    f"at most {MOST_PIXELS:,} are read; scale it down",
                )
            coloured = image.convert("RGBA")
    except UnidentifiedImageError:
        raise InvalidValueError(f"{what} is not an image", f"use one of {', '.join(FORMATS)}") from None
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise InvalidValueError(f"{what} is damaged: {error}", "write the file again") from None
    white = Image.new("RGBA", coloured.size, "white")
    grey = Image.alpha_composite(white, coloured).convert("L")
    if grey.size != (SIDE, SIDE):
        grey = grey.resize((SIDE, SIDE), Image.Resampling.BOX)
    return np.asarray(grey, dtype=float).ravel() / 255
