"""The examples in the UI: those that have run are green, in the list and in their graphs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from browser import logged_in, open_graph, screenshot
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from conftest import Gallery

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium"), pytest.mark.needs("mariadb")]


@pytest.fixture(scope="module")
def page(gallery: Gallery) -> Iterator[Page]:
    with logged_in(gallery.instance) as found:
        yield found


def dag_ids(gallery: Gallery) -> list[str]:
    return sorted(dag["dag_id"] for dag in gallery.api.get("/dags?limit=100&tags=example")["dags"])


def test_a_run_is_a_green_graph(gallery: Gallery, page: Page) -> None:
    run = gallery.run("hello_world")
    open_graph(page, gallery.instance.address, "hello_world", run["dag_run_id"])
    graph = page.locator(".react-flow__nodes")
    for task_id in ("print_hello", "print_world"):
        node = graph.locator(".react-flow__node", has=page.get_by_text(task_id, exact=True))
        expect(node.get_by_text("success")).to_be_visible()


def test_all_are_listed_under_their_tag(gallery: Gallery, page: Page) -> None:
    if os.environ.get("UPDATE_SCREENSHOT"):  # a failure that a test wanted is not in the picture
        for dag_id in dag_ids(gallery):
            runs = gallery.api.runs(dag_id)
            if runs and runs[0]["state"] == "failed":
                gallery.run(dag_id)
    page.set_viewport_size({"width": 1800, "height": 320 + 55 * len(dag_ids(gallery))})  # a line for each
    page.goto(f"{gallery.instance.address}/dags?tags=example&limit=100")
    page.get_by_role("button", name="Show table view").click()
    for dag_id in dag_ids(gallery):
        expect(page.get_by_role("link", name=dag_id, exact=True)).to_be_visible()
    page.wait_for_timeout(1500)  # the latest runs come after the list
    assert screenshot(page, "examples").stat().st_size > 10_000
