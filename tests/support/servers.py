"""Slack and KMA as real HTTP servers on 127.0.0.1, keeping their contracts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

KEY = "decoding+key/with=signs=="
KMA_PATH = "/1360000/VilageFcstInfoService_2.0/getUltraSrtFcst"
Answer = Callable[[Request], Response]


@dataclass
class Slack:
    """An incoming webhook that keeps what it was sent; ``answer`` decides what it says."""

    server: HTTPServer
    messages: list[str] = field(default_factory=list)
    answer: Answer = field(default=lambda _: Response("ok"))

    def __post_init__(self) -> None:
        self.server.expect_request("/services/T0/B0/secret-token", method="POST").respond_with_handler(
            self._receive
        )

    def _receive(self, request: Request) -> Response:
        self.messages.append(json.loads(request.data)["text"])
        return self.answer(request)

    @property
    def connection(self) -> str:
        """The value of AIRFLOW_CONN_SLACK_WEBHOOK for this server."""
        url = self.server.url_for("/services/T0/B0/secret-token")
        return json.dumps({"conn_type": "slackwebhook", "password": url})


def kma_items(base: str, nx: int, ny: int, temperature: int = 7) -> list[dict]:
    """Return what the service forecasts at ``base`` (YYYYMMDDHHMM) for a cell: ten categories, six hours."""
    start = datetime.strptime(base, "%Y%m%d%H%M").replace(tzinfo=ZoneInfo("Asia/Seoul"))
    values = {
        "T1H": str(temperature),
        "RN1": "1mm 미만",
        "SKY": "3",
        "UUU": "-1.2",
        "VVV": "0.5",
        "REH": "60",
        "PTY": "1",
        "LGT": "0",
        "VEC": "113",
        "WSD": "1.3",
    }
    items = []
    for category, value in values.items():
        for slot in range(1, 7):
            hour = datetime.fromtimestamp(start.timestamp() + slot * 3600 - 1800, ZoneInfo("Asia/Seoul"))
            items.append(
                {
                    "baseDate": base[:8],
                    "baseTime": base[8:],
                    "category": category,
                    "fcstDate": f"{hour:%Y%m%d}",
                    "fcstTime": f"{hour:%H%M}",
                    # Each hour its own temperature, so that a wrong slot is seen.
                    "fcstValue": str(temperature + slot) if category == "T1H" else value,
                    "nx": nx,
                    "ny": ny,
                }
            )
    return items


def kma_answer(items: list[dict], code: str = "00", message: str = "NORMAL_SERVICE") -> dict:
    """Return an answer as the service wraps it."""
    header = {"resultCode": code, "resultMsg": message}
    if code != "00":
        return {"response": {"header": header}}
    body = {
        "dataType": "JSON",
        "items": {"item": items},
        "pageNo": 1,
        "numOfRows": 1000,
        "totalCount": len(items),
    }
    return {"response": {"header": header, "body": body}}


@dataclass
class Kma:
    """The forecast service: checks the request as the real one does; ``fault`` may answer first."""

    server: HTTPServer
    requests: list[dict[str, str]] = field(default_factory=list)
    not_out: set[str] = field(default_factory=set)  # bases, YYYYMMDDHHMM, that are not served yet
    fault: Callable[[dict[str, str], Request], Response | None] = field(default=lambda asked, request: None)
    now: datetime | None = None  # its clock: with it a base is out from HH:45 on, and gone after a day
    keeps: timedelta = timedelta(hours=26)  # how old a base may be
    lost: set[str] = field(default_factory=set)  # bases that it never has

    def __post_init__(self) -> None:
        self.server.expect_request(KMA_PATH).respond_with_handler(self._answer)

    def _answer(self, request: Request) -> Response:
        asked = request.args.to_dict()
        self.requests.append(asked)
        if (fault := self.fault(asked, request)) is not None:
            return fault
        if asked["serviceKey"] != KEY:
            return self._json(kma_answer([], "30", "SERVICE_KEY_IS_NOT_REGISTERED_ERROR"))
        if asked["dataType"] != "JSON" or int(asked["numOfRows"]) < 60:
            return self._json(kma_answer([], "10", "INVALID_REQUEST_PARAMETER_ERROR"))
        base = asked["base_date"] + asked["base_time"]
        if base in self.not_out | self.lost or not base.endswith("30"):
            return self._json(kma_answer([], "03", "NO_DATA"))
        if self.now is not None:
            age = self.now - datetime.strptime(base, "%Y%m%d%H%M").replace(tzinfo=ZoneInfo("Asia/Seoul"))
            if age > self.keeps:
                return self._json(kma_answer([], "10", "최근 3일 간의 자료만 제공합니다."))
            if age < timedelta(minutes=15):
                return self._json(kma_answer([], "03", "NO_DATA"))
        return self._json(kma_answer(kma_items(base, int(asked["nx"]), int(asked["ny"]))))

    @staticmethod
    def _json(body: dict) -> Response:
        return Response(json.dumps(body, ensure_ascii=False), content_type="application/json;charset=UTF-8")

    @property
    def connection(self) -> str:
        """The value of AIRFLOW_CONN_KMA_API for this server."""
        fields = {"conn_type": "http", "schema": "http", "host": self.server.host, "port": self.server.port}
        return json.dumps({**fields, "password": KEY})
