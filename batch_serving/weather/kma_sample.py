"""Sample weather in KMA's format, to try the pipeline without a key; every row has source=sample."""

from __future__ import annotations

import json
import math
import random
from datetime import datetime, timedelta

from batch_serving.weather.districts import Cell

SLOTS = 6


def sample_answer(base: datetime, cell: Cell) -> str:
    """Return an answer as the service formats it, with made-up values."""
    items = sample_items(base, cell)
    body = {
        "dataType": "JSON",
        "items": {"item": items},
        "pageNo": 1,
        "numOfRows": 1000,
        "totalCount": len(items),
    }
    header = {"resultCode": "00", "resultMsg": "NORMAL_SERVICE"}
    return json.dumps({"response": {"header": header, "body": body}}, ensure_ascii=False)


def sample_items(base: datetime, cell: Cell) -> list[dict[str, str | int]]:
    """Return the 60 items of an answer for ``base`` and a grid cell; the same call gives the same items.

    Temperatures follow the season and the hour roughly as in Seoul; none of it is a forecast.
    """
    first = base.replace(minute=0) + timedelta(hours=1)
    items: list[dict[str, str | int]] = []
    for slot in range(SLOTS):
        hour = first + timedelta(hours=slot)
        for category, value in _values(hour, cell).items():
            items.append(
                {
                    "baseDate": f"{base:%Y%m%d}",
                    "baseTime": f"{base:%H%M}",
                    "category": category,
                    "fcstDate": f"{hour:%Y%m%d}",
                    "fcstTime": f"{hour:%H%M}",
                    "fcstValue": value,
                    "nx": cell.nx,
                    "ny": cell.ny,
                }
            )
    return items


def _values(hour: datetime, cell: Cell) -> dict[str, str]:
    draw = random.Random(f"{hour:%Y%m%d%H}/({cell.nx}, {cell.ny})")  # noqa: S311 - not a secret
    season = -math.cos((hour.timetuple().tm_yday - 20) / 365 * math.tau)
    daily = -math.cos((hour.hour - 3) / 24 * math.tau)
    rain = draw.choice(["강수없음"] * 7 + ["1mm 미만", "2.5mm", "30.0~50.0mm"])
    east, north = draw.uniform(-4, 4), draw.uniform(-4, 4)
    return {
        "T1H": str(round(12 + 14 * season + 4 * daily + draw.uniform(-1, 1))),
        "RN1": rain,
        "SKY": "4" if rain != "강수없음" else draw.choice("134"),
        "UUU": f"{east:.1f}",
        "VVV": f"{north:.1f}",
        "REH": str(draw.randint(35, 95)),
        "PTY": "1" if rain != "강수없음" else "0",
        "LGT": "0",
        # The direction that the wind comes from, clockwise from north.
        "VEC": str(round(math.degrees(math.atan2(-east, -north))) % 360),
        "WSD": f"{math.hypot(east, north):.1f}",
    }
