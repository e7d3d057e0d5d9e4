"""Made-up rows of each kind. What a row has depends on its id only."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from batch_serving.shared.errors import InvalidValueError

if TYPE_CHECKING:
    import sqlalchemy as sa

SEED = "predict_from_sql"
MACHINES = {"lathe": 0.0, "mill": 0.8, "press": -0.6}  # how much more likely each one fails

IMAGES, SHAPES = "predict_from_sql_images", ("circle", "cross", "square")
SENTENCES = {
    "good": (
        "Works perfectly every day.",
        "I love how quiet it is.",
        "Excellent quality for the price.",
        "My whole family is happy with it.",
        "Arrived early and well packed.",
        "정말 마음에 듭니다.",
    ),
    "bad": (
        "It broke after a week.",
        "I want my money back.",
        "Terrible quality, avoid it.",
        "The support never answered.",
        "Arrived late and damaged.",
        "정말 실망했습니다.",
    ),
}


@dataclass(frozen=True)
class Sample:
    """A kind of rows: its two tables, how many rows there are to learn from, and what a row has.

    ``features`` are the columns to learn from, ``row`` has their values and the ``answer`` for an id.
    ``prepare`` writes what the rows with these ids name, before they are inserted.
    """

    history: str
    new: str
    history_rows: int
    answer: str
    features: Callable[[], list[sa.Column[Any]]]
    row: Callable[[int], dict[str, Any]]
    prepare: Callable[[Iterable[int]], None] = lambda _: None


def reading_columns() -> list[sa.Column[Any]]:
    """Return the columns of a machine's reading."""
    import sqlalchemy as sa

    numbers = [sa.Column(name, sa.Numeric(10, 3)) for name in ("temperature_c", "vibration", "pressure")]
    return [sa.Column("machine", sa.String(50)), *numbers]


def reading(number: int) -> dict[str, Any]:
    """Return a machine's reading, and whether it fails: hot and shaking ones do more often."""
    rng = random.Random(f"{SEED}:readings:{number}")  # noqa: S311 - no secret
    machine = rng.choice(list(MACHINES))
    values = [rng.gauss(0, 1) for _ in range(3)]
    weight = 3 * values[0] + 2 * values[1] - 0.5 * values[2] + 2 * MACHINES[machine]
    return {
        "machine": machine,
        "temperature_c": round(60 + 8 * values[0], 3),
        "vibration": round(2 + 0.5 * values[1], 3),
        "pressure": round(5 + values[2], 3),
        "fails": "yes" if rng.random() < 1 / (1 + math.exp(-2 * weight)) else "no",
    }


def review_columns() -> list[sa.Column[Any]]:
    """Return the columns of a review."""
    import sqlalchemy as sa

    return [sa.Column("product", sa.String(50)), sa.Column("review", sa.Text)]


def review(number: int) -> dict[str, Any]:
    """Return a review, and its opinion: of its three sentences, most say the same."""
    rng = random.Random(f"{SEED}:texts:{number}")  # noqa: S311 - no secret
    opinion = rng.choice(list(SENTENCES))
    other = next(name for name in SENTENCES if name != opinion)
    product = rng.choice(("kettle", "lamp", "radio"))
    chosen = [*rng.sample(SENTENCES[opinion], 2), rng.choice(SENTENCES[rng.choice((opinion, other))])]
    rng.shuffle(chosen)
    return {
        "product": product,
        "review": " ".join([f"Bought this {product} {rng.randint(2, 60)} days ago.", *chosen]),
        "opinion": opinion,
    }


def image_columns() -> list[sa.Column[Any]]:
    """Return the column with the place of an image."""
    import sqlalchemy as sa

    return [sa.Column("file", sa.String(250))]


def image_row(number: int) -> dict[str, Any]:
    """Return the place of an image below the output folder, and what it shows."""
    shape = random.Random(f"{SEED}:images:{number}").choice(SHAPES)  # noqa: S311 - no secret
    return {"file": f"{IMAGES}/{number}.png", "shape": shape}


def write_images(ids: Iterable[int]) -> None:
    """Write the images of these rows into the output folder; the same ones each time."""
    from batch_serving.shared.files import write_atomic
    from batch_serving.shared.paths import output_path

    for number in ids:
        write_atomic(output_path(IMAGES, f"{number}.png"), picture(number, image_row(number)["shape"]))


def picture(number: int, shape: str) -> bytes:
    """Return a PNG of 24 x 24 pixels: the outline of a shape at some place, in some grey, with noise."""
    import io

    from PIL import Image, ImageDraw

    rng = random.Random(f"{SEED}:pictures:{number}")  # noqa: S311 - no secret
    image = Image.new("L", (24, 24))
    image.putdata([rng.randrange(60) for _ in range(24 * 24)])
    left, top, size = rng.randint(2, 5), rng.randint(2, 5), rng.randint(15, 17)
    right, bottom, grey = left + size, top + size, rng.randint(150, 255)
    draw = ImageDraw.Draw(image)
    if shape == "circle":
        draw.ellipse((left, top, right, bottom), outline=grey, width=2)
    elif shape == "square":
        draw.rectangle((left, top, right, bottom), outline=grey, width=2)
    else:
        draw.line((left, top, right, bottom), fill=grey, width=2)
        draw.line((left, bottom, right, top), fill=grey, width=2)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


KINDS = {
    "images": Sample(
        "predict_from_sql_images_history",
        "predict_from_sql_images_new",
        300,
        "shape",
        image_columns,
        image_row,
        write_images,
    ),
    "texts": Sample(
        "predict_from_sql_texts_history",
        "predict_from_sql_texts_new",
        600,
        "opinion",
        review_columns,
        review,
    ),
    "readings": Sample(
        "predict_from_sql_history", "predict_from_sql_new", 2000, "fails", reading_columns, reading
    ),
}


def sample_of(kind: str) -> Sample:
    """Return a kind of rows; InvalidValueError for an unknown one."""
    if kind not in KINDS:
        raise InvalidValueError(f"kind is {kind!r}", f"use one of {', '.join(KINDS)}")
    return KINDS[kind]
