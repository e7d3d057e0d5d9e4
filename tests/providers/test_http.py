"""Requests to a service: the function that YAML names decides whether an answer is right."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from dag_runs import DAY, Project
from pytest_httpserver import HTTPServer

pytestmark = [pytest.mark.slow, pytest.mark.extra("http")]

ORDER = """\
    send_order:
      operator: airflow.providers.http.operators.http.HttpOperator
      dependencies: [get_prices]
      http_conn_id: price_service
      endpoint: orders
      headers: {Content-Type: application/json}
      data: {day: "{{ ds }}", amount: 3}
    get_nothing:
      operator: airflow.providers.http.operators.http.HttpOperator
      dependencies: [get_prices]
      http_conn_id: price_service
      method: GET
      endpoint: nothing
      response_check: callables.responses.has_content
"""


def test_the_sensor_waits_and_the_operator_refuses_an_empty_answer(
    httpserver: HTTPServer, project: Project, example: Callable[[str], str]
) -> None:
    password = "secret-of-the-service"
    path = f"/prices/{DAY}"
    asked = {"headers": {"Authorization": "Basic dXNlcjpzZWNyZXQtb2YtdGhlLXNlcnZpY2U="}}
    httpserver.expect_ordered_request(path, **asked).respond_with_json([])
    for _ in range(2):
        httpserver.expect_ordered_request(path, **asked).respond_with_json([{"price": 3}])
    order = {"json": {"day": DAY, "amount": 3}, "method": "POST", **asked}
    httpserver.expect_request("/orders", **order).respond_with_json({"ok": True})
    httpserver.expect_request("/nothing").respond_with_json([])
    project.add("prices.yaml", example("prices").replace("poke_interval: 60", "poke_interval: 0.1") + ORDER)
    service = {"conn_type": "http", "host": httpserver.url_for(""), "login": "user", "password": password}
    states = project.run("prices", price_service=json.dumps(service))["prices"]
    right = dict.fromkeys(("wait_for_prices", "get_prices", "send_order"), "success")
    assert states == {**right, "get_nothing": "failed"}, project.output[-6000:]
    assert "Response check returned False" in project.output
    assert password not in project.output
