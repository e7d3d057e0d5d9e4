"""The result codes of KMA."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from airflow.sdk.exceptions import AirflowFailException
from servers import Kma, kma_answer
from weather_pipeline import collect
from werkzeug import Response

from batch_serving.weather import collector
from batch_serving.weather.kma_errors import REMEDIES


@pytest.mark.parametrize("code", ["10", "11", "12", "20", "21", "22", "30", "31", "32", "33"])
def test_what_a_retry_cannot_help_fails_immediately_with_the_remedy(
    kma: Kma, output: Path, code: str
) -> None:
    kma.fault = lambda asked, request: Response(json.dumps(kma_answer([], code, "NO")))
    with pytest.raises(AirflowFailException, match=re.escape(f"KMA {code}: NO ({REMEDIES[code]})")):
        collect()
    # A wrong parameter may concern one cell only: the others are requested until enough of them fail.
    assert len(kma.requests) == (collector.UNUSABLE_AFTER if code == "10" else 1)
