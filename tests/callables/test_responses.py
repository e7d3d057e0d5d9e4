"""What decides whether an HTTP service's answer is right, with real answers."""

from __future__ import annotations

import pytest
import requests
from pytest_httpserver import HTTPServer

from callables.responses import has_content


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('[{"a": 1}]', True),
        ('{"a": 1}', True),
        ("[]", False),
        ("{}", False),
        ("null", False),
        ("<p>", False),
        ("", False),
    ],
)
def test_json_that_is_not_empty_has_content(httpserver: HTTPServer, body: str, expected: bool) -> None:
    httpserver.expect_request("/").respond_with_data(body)
    assert has_content(requests.get(httpserver.url_for("/"), timeout=10)) is expected
