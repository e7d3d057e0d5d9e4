"""Debian's chromium, logged in to an Airflow, and the pictures that it takes.

``UPDATE_SCREENSHOT=1`` updates the pictures of the pages; otherwise they go to output/screenshots/.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import programs
from local import Instance
from playwright.sync_api import Page, expect, sync_playwright

from batch_page.asked import LANGUAGE_COOKIE

ROOT = Path(__file__).resolve().parent.parent.parent
TIMEOUT_MS = 90_000  # of a busy machine
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


@contextmanager
def speaking(page: Page, locale: str, viewport: tuple[int, int]) -> Iterator[Page]:
    """Another window of the same browser, logged in as that page is, whose user has this language."""
    assert page.context.browser is not None
    context = page.context.browser.new_context(
        locale=locale,
        viewport={"width": viewport[0], "height": viewport[1]},
        storage_state=page.context.storage_state(),
        timezone_id="Asia/Seoul",
    )
    context.set_default_timeout(TIMEOUT_MS)
    context.clear_cookies(name=LANGUAGE_COOKIE)  # of the other window
    yield context.new_page()
    context.close()


@contextmanager
def logged_in(instance: Instance) -> Iterator[Page]:
    """A browser that has logged in through the form."""
    browser_path = programs.find(programs.PROGRAMS["chromium"].commands[0])
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=QUIET)
        page = browser.new_page(viewport={"width": 1360, "height": 720}, timezone_id="Asia/Seoul")
        page.set_default_timeout(TIMEOUT_MS)
        expect.set_options(timeout=TIMEOUT_MS)
        page.goto(instance.address)
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", instance.password())
        page.click("button[type=submit]")
        expect(page.get_by_role("link", name="Dags")).to_be_visible()
        yield page
        browser.close()


def screenshot(page: Page, name: str, *, is_published: bool = True) -> Path:
    """Save what the browser shows and return the file; one that no page has is only for looking at."""
    updates = is_published and os.environ.get("UPDATE_SCREENSHOT")
    folder = ROOT / ("deploy/images" if updates else "output/screenshots")
    path = folder / f"{name}.png"
    page.screenshot(path=path)
    return path


def open_graph(page: Page, address: str, dag_id: str, run_id: str) -> None:
    """Open a run of a DAG and show its graph."""
    page.goto(f"{address}/dags/{dag_id}/runs/{run_id.replace('+', '%2B')}")
    page.get_by_label(re.compile("^Show Graph")).click()
