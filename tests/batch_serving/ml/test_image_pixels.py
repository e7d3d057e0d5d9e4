"""Images whose place stands in a column: read from the output folder, whatever size and colours they have."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from batch_serving.ml.column_kinds import transformer_of
from batch_serving.ml.image_pixels import SIDE, pixels_of
from batch_serving.shared.errors import InvalidValueError

EXPECTED = np.linspace(0, 1, 256).reshape(SIDE, SIDE)


def file_of(image: Image.Image, kind: str = "PNG") -> bytes:
    content = io.BytesIO()
    image.save(content, kind)
    return content.getvalue()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BATCH_OUTPUT", str(tmp_path))
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


def transformed(*files: Any) -> np.ndarray:
    frame = pd.DataFrame({"file": list(files)}, dtype=object)
    return transformer_of("image").fit(frame).transform(frame)


def test_a_grey_image_has_its_pixels_row_by_row_from_the_top_left(folder: Path) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(SIDE, SIDE)
    (folder / "a.png").write_bytes(file_of(Image.fromarray(levels)))
    (folder / "b.png").write_bytes(file_of(Image.fromarray(255 - levels)))
    found = transformed("images/a.png", "images/b.png", "images/a.png")
    assert found[0] == pytest.approx(EXPECTED.ravel())
    assert found[1] == pytest.approx(1 - EXPECTED.ravel())
    assert (found[2] == found[0]).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "WEBP"])
@pytest.mark.parametrize(("width", "height"), [(SIDE, SIDE), (64, 32), (5, 7)])
def test_any_kind_and_size_of_file_becomes_as_many_pixels(kind: str, width: int, height: int) -> None:
    found = pixels_of(file_of(Image.new("RGB", (width, height), (255, 0, 0)), kind), "file")
    assert found.shape == (SIDE * SIDE,)
    assert found == pytest.approx(0.299, abs=0.01)  # red


def test_transparent_parts_are_white() -> None:
    assert pixels_of(file_of(Image.new("RGBA", (20, 20), (0, 0, 0, 0))), "file") == pytest.approx(1)


def test_missing_files_are_named(folder: Path) -> None:
    (folder / "a.png").write_bytes(file_of(Image.new("L", (2, 2))))
    with pytest.raises(
        InvalidValueError, match="'file': 2 files do not exist below .*: images/b.png, images/c.png"
    ):
        transformed("images/a.png", "images/b.png", "images/c.png", "images/b.png")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "images/a.png is not an image"),
        (b"text", "images/a.png is not an image"),
        (file_of(Image.new("L", (60, 60), 7))[:-30], "images/a.png is damaged"),
        (file_of(Image.new("1", (5000, 4000))), "images/a.png has 5000 x 4000 pixels"),
    ],
)
def test_what_is_not_an_image_is_named(folder: Path, content: bytes, said: str) -> None:
    (folder / "a.png").write_bytes(content)
    with pytest.raises(InvalidValueError, match=said):
        transformed("images/a.png")


@pytest.mark.parametrize("file", ["/etc/hostname", "../secret.png", "images/../../a.png", "s3://other/a.png"])
def test_no_path_leads_out_of_the_output_folder(folder: Path, file: str) -> None:
    with pytest.raises(InvalidValueError, match="give a path below the output folder"):
        transformed(file)


@pytest.mark.parametrize("value", [None, "", float("nan")])
def test_a_row_without_an_image_is_an_error(folder: Path, value: Any) -> None:
    with pytest.raises(InvalidValueError, match="'file' is empty in a row"):
        transformed(value)


def test_the_pixels_have_names() -> None:
    frame = pd.DataFrame({"file": ["a.png"]})
    names = transformer_of("image").fit(frame).get_feature_names_out()
    assert [names[0], names[1], names[-1]] == ["file: 0, 0", "file: 0, 1", "file: 15, 15"]
