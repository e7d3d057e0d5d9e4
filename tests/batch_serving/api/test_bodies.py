"""Bodies: only JSON as the standard has it, and rows in it; everything else is the client's mistake."""

from __future__ import annotations

import json

import pytest

from batch_serving.api.bodies import parse_rows
from batch_serving.api.problems import RefusedError


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        (b"", 400, "the body is empty"),
        (b"{", 400, "not JSON: .* line 1, column 2"),
        (b"\xff\xfe{}", 400, "not UTF-8"),
        (b"[" * 100_000, 400, "nested too deeply"),
        (b'{"rows":[{"a":' + b'{"b":' * 50_000 + b"1" + b"}" * 50_002, 400, "nested too deeply|not JSON"),
        (b'{"rows":[{"a":1,"a":2}]}', 400, "the key 'a' is there twice"),
        (b'{"rows":[],"rows":[]}', 400, "the key 'rows' is there twice"),
        (b'{"rows":[{"a":' + b"9" * 5000 + b"}]}", 400, "too many digits"),
        (rb'{"rows":[{"a":"\ud800"}]}', 400, "half of a surrogate pair"),
        (rb'{"rows":[{"\udc00":1}]}', 400, "half of a surrogate pair"),
        (b"[]", 422, "the body is a list"),
        (b"null", 422, "the body is null"),
        (b"{}", 422, "`rows` is missing"),
        (b'{"row":[]}', 422, "unknown key 'row'"),
        (b'{"rows":{}}', 422, "`rows` is an object"),
        (b'{"rows":[]}', 422, "`rows` is empty"),
        (b'{"rows":[{},7]}', 422, "row 1 is a number"),
        (b'{"rows":[{}],"row_id":7}', 422, "`row_id` is a number"),
        (b'{"rows":[{},{},{},{}]}', 413, "4 rows are more than 3"),
    ],
)
def test_what_is_refused(body: bytes, status: int, error: str) -> None:
    with pytest.raises(RefusedError, match=error) as found:
        parse_rows(body, 3)
    assert found.value.status == status
    assert found.value.hint


def test_rows_are_read_with_all_their_digits_and_characters() -> None:
    rows = [{"a": 2**53 + 1, "b": "한글", "c": None, "d": True}, {"a": -0.5}]
    assert parse_rows(json.dumps({"rows": rows}).encode(), 3).rows == rows
    assert parse_rows(rb'{"rows":[{"a":"\ud83d\ude00"}],"row_id":"a"}', 3).rows == [{"a": "😀"}]
