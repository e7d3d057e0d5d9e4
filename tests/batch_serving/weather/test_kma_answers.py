"""Every shape of answer that the service is known to send."""

from __future__ import annotations

import json

import pytest
from servers import kma_answer, kma_items
from weather_pipeline import kst

from batch_serving.weather.districts import Cell
from batch_serving.weather.kma_answers import read_items
from batch_serving.weather.kma_errors import KmaError
from batch_serving.weather.values import values_at

CELL = Cell(60, 127)
GATEWAY_XML = """<OpenAPI_ServiceResponse><cmmMsgHeader><errMsg>SERVICE ERROR</errMsg>
<returnAuthMsg>SERVICE_KEY_IS_NOT_REGISTERED_ERROR</returnAuthMsg><returnReasonCode>30</returnReasonCode>
</cmmMsgHeader></OpenAPI_ServiceResponse>"""


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (200, GATEWAY_XML, "30"),
        (403, json.dumps({"OpenAPI_ServiceResponse": {"cmmMsgHeader": {"returnReasonCode": "22"}}}), "22"),
        (403, json.dumps({"response": {"cmmMsgHeader": {"returnReasonCode": 30}}}), "30"),
        (200, json.dumps({"a": [{"CMMMSGHEADER": {"RETURNREASONCODE": "31"}}]}), "31"),
        (200, json.dumps({"cmmMsgHeader": {"returnReasonCode": "0022"}}), "22"),
        (
            200,
            '<a xmlns="urn:x"><b><CmmMsgHeader><ReturnReasonCode> 32 </ReturnReasonCode></CmmMsgHeader></b></a>',
            "32",
        ),
        (200, json.dumps({"header": {"resultCode": "99", "resultMsg": "x"}}), "99"),
        (401, "Unauthorized", "30"),
        (401, json.dumps({"message": "who?"}), "30"),
        (403, "<html>no</html>", "20"),
        (429, json.dumps({"message": "slow down"}), "transport"),
        (200, "<response><header><resultCode>00</resultCode></header></response>", "malformed"),
        (
            200,
            json.dumps(
                {
                    "response": {
                        "header": {"resultCode": "00"},
                        "body": {
                            "totalCount": "²",
                            "items": {"item": [*kma_items("202601010930", 60, 127)[:3], 3]},
                        },
                    }
                }
            ),
            "malformed",
        ),
        (429, "API rate limit exceeded", "05"),
        (200, "API token quota exceeded", "22"),
        (200, "<html><body>maintenance</body></html>", "malformed"),
        (200, "<!DOCTYPE html><html>", "malformed"),
        (200, '{"response": {"header"', "malformed"),
        (200, "[]", "malformed"),
        (502, "Bad Gateway", "transport"),
        (503, "<html><body>busy</body></html>", "transport"),
        (429, "<!DOCTYPE html>", "transport"),
        (200, "Unexpected error", "99"),
        (200, "HTTP ROUTING ERROR", "04"),
        (403, "Forbidden", "20"),
        (200, "API not found", "12"),
        (200, json.dumps({"response": {"header": {"resultCode": 22, "resultMsg": 5}}}), "22"),
        (
            200,
            json.dumps({"response": {"header": {"resultCode": "00"}, "body": {"items": {"item": 3}}}}),
            "malformed",
        ),
        (
            200,
            json.dumps({"response": {"header": {"resultCode": "00"}, "body": {"items": {"item": [3]}}}}),
            "malformed",
        ),
        (200, "[" * 100_000, "malformed"),
        (200, json.dumps(kma_answer([], "00")), "03"),
        (200, json.dumps({"response": {"header": {"resultCode": "00"}, "body": {"items": ""}}}), "03"),
        (200, json.dumps(kma_answer(kma_items("202601010930", 1, 1))), "malformed"),
        (200, json.dumps(kma_answer(kma_items("202601010830", 60, 127))), "malformed"),
    ],
)
def test_an_answer_that_is_not_a_forecast_has_an_error_code(status: int, body: str, code: str) -> None:
    with pytest.raises(KmaError) as error:
        read_items(status, body, kst("2026-01-01T09:30:00"), CELL)
    assert error.value.code == code


def test_numbers_instead_of_texts_are_read() -> None:
    items = [
        {
            **item,
            "baseTime": int(item["baseTime"]),
            "baseDate": int(item["baseDate"]),
            "fcstTime": int(item["fcstTime"]),
        }
        for item in kma_items("202601010930", 60, 127)
    ]
    body = json.dumps(kma_answer(items))
    found = read_items(200, body, kst("2026-01-01T09:30:00"), CELL)
    assert values_at(found, kst("2026-01-01T11:00:00"))["temperature_c"] == "9"


@pytest.mark.parametrize("code", ["00", "0000", 0, " 00 "])
def test_success_is_zero_with_any_number_of_digits(code: object) -> None:
    answer = kma_answer(kma_items("202601010930", 60, 127))
    answer["response"]["header"]["resultCode"] = code
    found = read_items(200, json.dumps(answer), kst("2026-01-01T09:30:00"), CELL)
    assert values_at(found, kst("2026-01-01T11:00:00"))["temperature_c"] == "9"
