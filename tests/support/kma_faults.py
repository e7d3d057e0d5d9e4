"""The faults that the weather service is known to have, as responses; and a plan that mixes them in."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from servers import kma_answer, kma_items
from werkzeug import Request, Response

Asked = dict[str, str]
Fault = Callable[[Asked, Request], Response]
SLOW_S = 1.0  # longer than the read timeout of the tests


def _good(asked: Asked) -> dict[str, Any]:
    base = asked["base_date"] + asked["base_time"]
    return kma_answer(kma_items(base, int(asked["nx"]), int(asked["ny"])))


def _json(body: object, status: int = 200) -> Response:
    return Response(
        json.dumps(body, ensure_ascii=False), status, content_type="application/json;charset=UTF-8"
    )


def _error(code: str, message: str) -> Fault:
    return lambda _asked, _request: _json(kma_answer([], code, message))


def _text(text: str, status: int = 200) -> Fault:
    return lambda _asked, _request: Response(text, status)


def _gateway_xml(asked: Asked, _request: Request) -> Response:
    return Response(
        "<OpenAPI_ServiceResponse><cmmMsgHeader><errMsg>SERVICE ERROR</errMsg><returnAuthMsg>UNKNOWN_ERROR"
        "</returnAuthMsg><returnReasonCode>99</returnReasonCode></cmmMsgHeader></OpenAPI_ServiceResponse>",
        content_type="text/xml",
    )


def _reset(_asked: Asked, request: Request) -> Response:
    connection = request.environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    return Response("")


def _slow(asked: Asked, _request: Request) -> Response:
    time.sleep(SLOW_S)
    return _json(_good(asked))


def _trickle(asked: Asked, _request: Request) -> Response:
    def body() -> Iterator[bytes]:
        for byte in json.dumps(_good(asked)).encode()[:60]:
            yield bytes([byte])
            time.sleep(0.05)

    return Response(body(), content_type="application/json")


def _truncated(asked: Asked, _request: Request) -> Response:
    return Response(json.dumps(_good(asked))[:700], content_type="application/json")


def _cut_off(asked: Asked, _request: Request) -> Response:
    """Announce a longer body than is sent."""
    body = json.dumps(_good(asked)).encode()
    return Response(
        iter([body[:700]]), headers={"Content-Length": str(len(body))}, content_type="application/json"
    )


def _wrong_cell(asked: Asked, _request: Request) -> Response:
    return _json(_good({**asked, "nx": "1", "ny": "1"}))


def _wrong_base(asked: Asked, _request: Request) -> Response:
    return _json(_good({**asked, "base_time": "0030"}))


def _without_the_hour(asked: Asked, _request: Request) -> Response:
    answer = _good(asked)
    body = answer["response"]["body"]
    items = body["items"]["item"]
    kept = [item for item in items if item["fcstTime"] == items[-1]["fcstTime"]]
    body["items"]["item"], body["totalCount"] = kept, len(kept)
    return _json(answer)


def _ten_rows(asked: Asked, _request: Request) -> Response:
    answer = _good(asked)
    items = answer["response"]["body"]["items"]
    items["item"] = items["item"][:10]
    return _json(answer)


def _key_in_a_page(asked: Asked, request: Request) -> Response:
    return Response(f"<html><body>no such page: {request.url}, {asked['serviceKey']}</body></html>", 500)


# None of these may lose what arrived, let a run succeed without its data, or show the key.
FAULTS: dict[str, Fault] = {
    "code 01": _error("01", "APPLICATION_ERROR"),
    "code 02": _error("02", "DB_ERROR"),
    "code 04": _error("04", "HTTP_ERROR"),
    "code 05": _error("05", "SERVICETIME_OUT"),
    "code 99": _error("99", "UNKNOWN_ERROR"),
    "gateway XML": _gateway_xml,
    "no wrapper": lambda _asked, _request: _json({"header": {"resultCode": "99", "resultMsg": "UNKNOWN"}}),
    "plain text": _text("Unexpected error"),
    "routing error": _text("HTTP ROUTING ERROR"),
    "429": lambda _asked, _request: Response("API rate limit exceeded", 429, headers={"Retry-After": "0"}),
    "500": _text("Internal Server Error", 500),
    "502 page": _text("<!DOCTYPE html><html><body>Bad Gateway</body></html>", 502),
    "page with 200": _text("<html><body>maintenance</body></html>"),
    "empty body": _text(""),
    "empty items": lambda _asked, _request: _json(
        {
            "response": {
                "header": {"resultCode": "00", "resultMsg": "OK"},
                "body": {"items": "", "totalCount": 0},
            }
        }
    ),
    "truncated": _truncated,
    "cut off": _cut_off,
    "reset": _reset,
    "slow": _slow,
    "trickle": _trickle,
    "wrong cell": _wrong_cell,
    "wrong base": _wrong_base,
    "without the hour": _without_the_hour,
    "ten rows": _ten_rows,
    "garbage": _text("\x00\xff" * 5_000_000),
    "key in a page": _key_in_a_page,
}
SLOW = ("slow", "trickle", "garbage")


@dataclass
class FaultPlan:
    """Answers a share of all calls with a fault, the same ones for the same seed."""

    share: float
    seed: int
    without: tuple[str, ...] = ()
    used: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._names = sorted(set(FAULTS) - set(self.without))
        self._lock = threading.Lock()

    def __call__(self, asked: Asked, request: Request) -> Response | None:
        with self._lock:
            if self._random.random() >= self.share:
                return None
            name = self._random.choice(self._names)
            self.used[name] = self.used.get(name, 0) + 1
        return FAULTS[name](asked, request)
