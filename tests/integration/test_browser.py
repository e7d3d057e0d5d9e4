"""The UI in Debian's chromium: log in, see the four DAGs, a green graph, a broken file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import pytest
from browser import logged_in, open_graph, screenshot
from conftest import Trained
from playwright.sync_api import Page, expect
from running_airflow import Running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]

DAGS = ("collect_weather", "predict", "promote_model", "train_model")


@pytest.fixture(scope="module")
def page(running: Running) -> Iterator[Page]:
    """A browser that has logged in through the form."""
    with logged_in(running.instance) as found:
        yield found


def test_the_four_dags_are_listed(running: Running, page: Page) -> None:
    page.goto(f"{running.instance.address}/dags")
    for dag_id in DAGS:
        expect(page.get_by_role("link", name=dag_id, exact=True)).to_be_visible()


def test_promote_model_is_a_green_graph_that_the_asset_links_to_train_model(
    running: Running, trained: Trained, page: Page
) -> None:
    _, promoted = trained
    open_graph(page, running.instance.address, "promote_model", promoted["dag_run_id"])
    page.get_by_role("button", name="Options").click()
    page.get_by_role("combobox").filter(has_text="Only tasks").click()
    page.get_by_role("option", name="All Dag Dependencies").click()
    page.keyboard.press("Escape")
    graph = page.locator(".react-flow__nodes")
    for linked in ("model://digits/challenger", "train_model"):
        expect(graph.get_by_text(linked, exact=True)).to_be_visible()
    for task_id in ("compare", "choose", "promote"):
        node = graph.locator(".react-flow__node", has=page.get_by_text(task_id, exact=True))
        expect(node.get_by_text("success")).to_be_visible()
    page.get_by_label("Collapse Details Panel").click()
    page.mouse.move(300, 700)
    page.wait_for_timeout(1500)  # the graph glides into its place
    assert screenshot(page, "promote_model").stat().st_size > 10_000


def test_the_trigger_form_can_be_sent_unchanged(running: Running, trained: Trained, page: Page) -> None:
    """A required field would prevent a roll back and a dry run."""
    page.goto(f"{running.instance.address}/dags/promote_model")
    before = len(running.api.runs("promote_model"))
    page.get_by_role("button", name="Trigger").first.click()
    form = page.get_by_role("dialog")
    shown = form.get_by_text("Promote the champion before this one.")
    toggle = form.get_by_role("button", name="Run Parameters")

    def unfolded() -> bool:  # a form that loads its parameters late folds up again
        if toggle.get_attribute("aria-expanded") != "true":
            toggle.click()
        return shown.is_visible()

    wait_until(unfolded, "the parameters", 60)
    send = form.get_by_role("button", name="Trigger").last
    expect(send).to_be_enabled()
    send.click()
    wait_until(lambda: len(running.api.runs("promote_model")) > before, "the run")
    running.quiet("promote_model")


def test_the_doc_for_the_operator_on_call_is_one_click_away(running: Running, page: Page) -> None:
    page.goto(f"{running.instance.address}/dags/train_model")
    page.get_by_role("button", name="Dag Docs").click()
    expect(page.get_by_text("When it fails", exact=True)).to_be_visible()
    expect(page.get_by_text("dag_configs/train_model.yaml")).to_be_visible()


def test_a_broken_file_is_in_the_banner_with_its_line_and_the_hint(running: Running, page: Page) -> None:
    path = running.project / "dag_configs" / "collect_loopback.yaml"
    good = path.read_text(encoding="utf-8")
    path.write_text(good.replace("python_callable", "python_calable", 1), encoding="utf-8")
    try:
        wait_until(running.import_errors, "the error", 60)
        page.goto(running.instance.address)
        page.get_by_role("button", name=re.compile("Dag Import Error")).click()
        page.get_by_text("dag_configs/collect_loopback.yaml").first.click()
        expect(page.get_by_text("unknown key 'python_calable'")).to_be_visible()
        expect(page.get_by_text("did you mean 'python_callable'?")).to_be_visible()
    finally:
        page.wait_for_timeout(800)  # the entry unfolds
        if os.environ.get("UPDATE_SCREENSHOT") is None:
            screenshot(page, "import_error")
        path.write_text(good, encoding="utf-8")
    wait_until(lambda: not running.import_errors(), "the error to go away", 60)
