"""KMA's texts for rainfall."""

from __future__ import annotations

import pytest

from batch_serving.weather.rain import rainfall_mm


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("강수없음", "0", "0"),
        ("-", "0", "0"),
        ("0", "0", "0"),
        ("1mm 미만", "0", "1"),
        ("1.0mm 미만", "0", "1.0"),
        ("6.2mm", "6.2", "6.2"),
        ("30.0~50.0mm", "30.0", "50.0"),
        ("50.0mm 이상", "50.0", ""),
    ],
)
def test_rainfall_texts(text: str, low: str, high: str) -> None:
    assert rainfall_mm(text) == (low, high)


@pytest.mark.parametrize(
    "text", ["many", "1mm 미만 이상", "3cm", "1~2~3mm", "-5", "-99", "30mm 50mm", "50~30mm", "=1+1"]
)
def test_an_unknown_rainfall_text_has_no_amount(text: str) -> None:
    assert rainfall_mm(text) is None
