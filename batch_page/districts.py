"""Where Seoul's districts are in the tile grid: one tile each, beside those that are its neighbours.

The places follow the districts' own coordinates (``data/seoul_districts.csv``): west to east, north to south.
"""

from __future__ import annotations

# Column and row of each tile.
TILES: dict[str, tuple[int, int]] = {
    "Dobong-gu": (5, 0),
    "Eunpyeong-gu": (2, 1),
    "Gangbuk-gu": (4, 1),
    "Nowon-gu": (6, 1),
    "Seodaemun-gu": (2, 2),
    "Jongno-gu": (3, 2),
    "Seongbuk-gu": (4, 2),
    "Dongdaemun-gu": (5, 2),
    "Jungnang-gu": (6, 2),
    "Gangseo-gu": (0, 3),
    "Mapo-gu": (1, 3),
    "Yongsan-gu": (3, 4),
    "Jung-gu": (3, 3),
    "Seongdong-gu": (4, 3),
    "Gwangjin-gu": (5, 3),
    "Gangdong-gu": (7, 4),
    "Yangcheon-gu": (0, 4),
    "Yeongdeungpo-gu": (1, 4),
    "Dongjak-gu": (2, 5),
    "Seocho-gu": (4, 5),
    "Gangnam-gu": (5, 5),
    "Songpa-gu": (6, 5),
    "Guro-gu": (0, 5),
    "Geumcheon-gu": (1, 6),
    "Gwanak-gu": (2, 6),
}


def tile_of(name: str, number: int) -> tuple[int, int]:
    """Return the tile of a district; one that is not Seoul's gets a place below, by its ``number``."""
    return TILES.get(name, (number % 8, 8 + number // 8))
