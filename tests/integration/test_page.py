"""The Batch Serving page inside Airflow's UI, in Debian's chromium, with what the pipelines have really written."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from api_servers import api_server, silent_server
from axe_playwright_python.sync_playwright import Axe
from browser import logged_in, screenshot, speaking
from buckets import SIGN_IN
from conftest import Trained
from months_of_output import Amounts, write_all, write_quality, write_trial_of
from playwright.sync_api import FrameLocator, Page, expect
from running_airflow import ROOT, Running, copied, wait_until
from users import Users

from batch_page.korean import KOREAN
from batch_serving.registry.store import ModelStore

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]

TITLES = {
    name: name.capitalize() for name in ("overview", "models", "predictions", "quality", "weather", "configs")
}
KOREAN_TITLES = {name: KOREAN[title] for name, title in TITLES.items()}
VIEWS = ("", "models", "predictions", "quality", "weather", "configs", "dags/predict")


@dataclass
class Seen:
    """What the browser reported while the page was open."""

    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)


@pytest.fixture(scope="module")
def filled(running: Running, trained: Trained) -> Running:
    """Each pipeline has run."""
    for dag_id in ("predict", "collect_weather"):
        assert running.run(dag_id)["state"] == "success"
    return running


@pytest.fixture(scope="module")
def page(filled: Running) -> Iterator[Page]:
    """A browser that has logged in through the form."""
    with logged_in(filled.instance) as found:
        yield found


@pytest.fixture
def seen(page: Page) -> Iterator[Seen]:
    """No error is in the console, and no request leaves this machine, whatever a test does."""
    found = Seen()

    def on_console(message) -> None:
        if message.type == "error":
            found.errors.append(message.text)

    def on_request(request) -> None:
        if request.url.startswith("http"):
            found.hosts.add(urlsplit(request.url).hostname or "")

    page.on("console", on_console)
    page.on("request", on_request)
    yield found
    page.remove_listener("console", on_console)
    page.remove_listener("request", on_request)
    assert found.hosts <= {"127.0.0.1"}
    assert found.errors == []


def opened(page: Page, running: Running) -> FrameLocator:
    """Open the page by its entry in the navigation."""
    page.goto(f"{running.instance.address}/dags")
    page.get_by_role("link", name="Batch Serving").click()
    return page.frame_locator('iframe[title="Batch Serving"]')


def champion_of(running: Running) -> dict[str, str]:
    found: dict[str, str] = json.loads(
        (running.output / "models" / "digits" / "champion.json").read_text(encoding="utf-8")
    )
    return found


def test_the_overview_has_what_the_files_have_and_leads_on(filled: Running, page: Page, seen: Seen) -> None:
    frame = opened(page, filled)
    tile = frame.get_by_role("link", name="Champion of digits")
    expect(tile).to_contain_text(champion_of(filled)["version"])
    expect(frame.locator(".tile", has_text="Weather")).to_contain_text("25 districts")
    expect(frame.get_by_role("table").get_by_role("link", name="collect_weather")).to_be_visible()
    tile.click()
    expect(frame.get_by_role("heading", name="Models: digits")).to_be_visible()


def test_a_click_on_a_version_opens_its_card(filled: Running, page: Page, seen: Seen) -> None:
    frame = opened(page, filled)
    frame.get_by_role("link", name="Models").click()
    frame.get_by_role("link", name="card", exact=True).first.click()
    expect(frame.get_by_text(champion_of(filled)["version"]).first).to_be_visible()


def test_a_dag_in_the_table_opens_in_airflow_itself(filled: Running, page: Page, seen: Seen) -> None:
    frame = opened(page, filled)
    frame.get_by_role("table").get_by_role("link", name="predict", exact=True).click()
    page.wait_for_url("**/dags/predict**")


def test_the_weather_of_a_district_in_the_other_language(filled: Running, page: Page, seen: Seen) -> None:
    frame = opened(page, filled)
    frame.get_by_role("link", name="Weather").first.click()
    expect(frame.get_by_text("MADE UP").first).to_be_visible()
    frame.get_by_role("link", name="Mapo-gu").click()
    expect(frame.get_by_role("heading", name="마포구 Mapo-gu")).to_be_visible()
    frame.get_by_role("link", name="한국어").click()
    expect(frame.get_by_role("heading", name="날씨", exact=True)).to_be_visible()
    expect(frame.get_by_role("heading", name="마포구 Mapo-gu")).to_be_visible()
    frame.get_by_role("link", name="English").click()
    expect(frame.get_by_role("heading", name="Weather", exact=True)).to_be_visible()


def test_a_roll_back_is_sent_from_the_filled_in_form(filled: Running, page: Page, seen: Seen) -> None:
    before = champion_of(filled)
    if not before.get("previous"):  # two versions, one after the other
        newest = max(path.name for path in (filled.output / "models" / "digits" / "versions").iterdir())
        if newest == before["version"]:
            filled.run("train_model")
            filled.quiet("train_model", "promote_model")
            newest = max(path.name for path in (filled.output / "models" / "digits" / "versions").iterdir())
        filled.run("promote_model", {"version": newest})
        before = champion_of(filled)
    runs = len(filled.api.runs("promote_model"))
    frame = opened(page, filled)
    frame.get_by_role("link", name="Models").click()
    by_promote_model = frame.locator(".actions", has_text="promote_model:")
    by_promote_model.get_by_role("link", name="Roll back").click()
    form = page.get_by_role("dialog")
    expect(form.get_by_role("checkbox", name="Roll back")).to_be_checked()
    page.wait_for_timeout(1000)  # the form checks what it has
    form.get_by_role("button", name="Trigger").last.click()
    expect(form).not_to_be_visible()
    wait_until(lambda: len(filled.api.runs("promote_model")) > runs, "the run")
    filled.quiet("promote_model")
    after = champion_of(filled)
    assert (after["version"], after["previous"]) == (before["previous"], before["version"])


def test_promote_this_fills_in_the_version(filled: Running, page: Page, seen: Seen) -> None:
    frame = opened(page, filled)
    frame.get_by_role("link", name="Models").click()
    link = frame.get_by_role("link", name="Promote this").first
    version = json.loads(link.get_attribute("data-trigger") or "")["version"]
    link.click()
    expect(page.get_by_role("dialog").locator(f'[value="{version}"]')).to_be_visible()


def test_a_dry_run_is_ticked_in_the_form(filled: Running, page: Page, seen: Seen) -> None:
    frame = opened(page, filled)
    frame.get_by_role("link", name="Models").click()
    frame.get_by_role("link", name="Dry run").first.click()
    expect(page.get_by_role("dialog").get_by_role("checkbox", name="Dry run")).to_be_checked()


def test_the_tab_of_a_dag_has_its_yaml(filled: Running, page: Page, seen: Seen) -> None:
    page.goto(f"{filled.instance.address}/dags/promote_model")
    page.get_by_role("link", name="Batch Serving").last.click()
    frame = page.frame_locator('iframe[title="Batch Serving"]')
    expect(frame.get_by_role("heading", name="dag_configs/promote_model.yaml")).to_be_visible()
    expect(frame.get_by_text("callables.promotion.compare")).to_be_visible()


def test_it_is_light_or_dark_as_airflow_is(filled: Running, page: Page, seen: Seen) -> None:
    frame = opened(page, filled)
    expect(frame.get_by_role("heading", name="Overview")).to_be_visible()
    root = frame.locator("html")
    for theme in ("dark", "light"):
        page.evaluate(f"localStorage.setItem('theme', '{theme}')")
        page.reload()
        expect(root).to_have_attribute("data-theme", theme)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_each_view_is_accessible_and_has_its_picture(
    filled: Running, page: Page, seen: Seen, theme: str
) -> None:
    page.goto(filled.instance.address)
    page.evaluate(f"localStorage.setItem('theme', '{theme}')")
    wide = page.viewport_size
    try:
        for name in VIEWS:
            page.goto(f"{filled.instance.address}/batch-serving/{name}")
            for width in (1400, 800):
                page.set_viewport_size({"width": width, "height": 900})
                overflow = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert overflow <= 0, f"{name or 'overview'} is wider than {width}"
            found = Axe().run(page).response["violations"]
            assert [(one["id"], one["nodes"][0]["html"][:200]) for one in found] == [], name
            if theme == "light":
                take_pictures(page, filled, name)
    finally:
        page.evaluate("localStorage.setItem('theme', 'light')")
        page.set_viewport_size(wide or {"width": 1360, "height": 720})


def test_a_broken_yaml_is_shown_at_its_line(filled: Running, page: Page, seen: Seen) -> None:
    path = filled.project / "dag_configs" / "predict.yaml"
    whole = path.read_text(encoding="utf-8")
    try:
        path.write_text(whole.replace("\n  schedule:", "\n  schedul:", 1), encoding="utf-8")
        wait_until(lambda: filled.import_errors(), "the import error")
        frame = opened(page, filled)
        expect(frame.locator(".banner.wrong")).to_contain_text("dag_configs/predict.yaml has errors")
        frame.get_by_role("link", name="Configs").first.click()
        expect(frame.get_by_role("heading", name="dag_configs/predict.yaml")).to_be_visible()
        problem = frame.locator(".problem", has_text="unknown key 'schedul'")
        expect(problem).to_contain_text("did you mean 'schedule'?")
        difference = frame.get_by_label("What is on disk, against what Airflow runs")
        expect(difference).to_contain_text("-  schedule:")
        expect(difference).to_contain_text("+  schedul:")
        frame.get_by_role("link", name="Models").first.click()  # the rest is there
        expect(frame.get_by_role("heading", name="Models: digits")).to_be_visible()
    finally:
        path.write_text(whole, encoding="utf-8")
    wait_until(lambda: not filled.import_errors(), "the end of the import error")


def test_a_corrupt_champion_is_said_and_its_repair(filled: Running, page: Page, seen: Seen) -> None:
    path = filled.output / "models" / "digits" / "champion.json"
    version, whole = champion_of(filled)["version"], path.read_bytes()
    try:
        path.write_bytes(whole[:40])
        frame = opened(page, filled)
        expect(frame.locator(".banner.wrong")).to_contain_text("The pointer of digits is missing or corrupt")
        expect(frame.get_by_role("link", name="Champion of digits")).to_contain_text(version)
        frame.get_by_role("link", name="Models").first.click()
        expect(frame.get_by_role("heading", name="Models: digits")).to_be_visible()
    finally:
        path.write_bytes(whole)


def take_pictures(page: Page, running: Running, name: str) -> None:
    """Save the picture of a view in both languages, wide and narrow."""
    for language in ("ko", "en"):
        address = f"{running.instance.address}/batch-serving"
        page.goto(f"{address}/language/{language}?here=/batch-serving/{name}")
        for width in (1400, 800):
            page.set_viewport_size({"width": width, "height": 900})
            screenshot(page, f"{name.partition('/')[0] or 'overview'}_{language}_{width}", is_published=False)


@pytest.fixture(scope="module")
def months(filled: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an API server whose output is that of weeks of work with the project's own pipelines."""
    project = copied(
        tmp_path_factory.mktemp("months"), "dag_configs", "batch_serving", "callables", "schemas", "data"
    )
    settings = {"BATCH_OUTPUT": str(project / "output")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BATCH_OUTPUT", settings["BATCH_OUTPUT"])
        now = datetime.now(UTC)
        champion = write_all(project / "output", Amounts(versions=90, days=14, weather_days=3), now)
        write_quality(project / "output", 14, champion, now)
        write_trial_of(ModelStore("digits").versions()[-1], champion, now)
    settings["PYTHONPATH"] = f"{ROOT / 'deploy' / 'settings'}{os.pathsep}{project}"
    with api_server(filled, project, settings) as address:
        yield address


@pytest.mark.parametrize(("locale", "titles"), [("en-US", TITLES), ("ko-KR", KOREAN_TITLES)])
def test_weeks_of_work_in_both_languages(
    filled: Running, months: str, page: Page, seen: Seen, locale: str, titles: dict[str, str]
) -> None:
    with speaking(page, locale, (1400, 640)) as window:
        window.goto(f"{months}/dags")
        window.get_by_role("link", name="Batch Serving").click()
        frame = window.frame_locator('iframe[title="Batch Serving"]')
        for name, title in titles.items():
            frame.get_by_role("navigation").get_by_role("link", name=title, exact=True).click()
            expect(frame.get_by_role("heading", level=1)).to_contain_text(title)
            expect(frame.locator("html")).to_have_attribute("lang", locale[:2])
            window.wait_for_timeout(300)  # the colours of the tabs change slowly
            # docs/page.md is in English
            shown = name != "quality" and (locale == "en-US" or name in ("overview", "models"))
            screenshot(window, f"page_{name}_{locale[:2]}", is_published=shown)
        window.goto(f"{months}/batch-serving/quality")  # in the other tests it has nothing to show
        expect(window.locator("svg.chart")).to_be_visible()
        expect(window.locator("meter")).to_be_visible()
        expect(window.get_by_text(re.compile("of 576 labelled rows the contender"))).to_be_visible()
        assert [one["id"] for one in Axe().run(window).response["violations"]] == []


def test_without_output_it_says_what_to_do_first(
    filled: Running, page: Page, seen: Seen, tmp_path: Path
) -> None:
    with api_server(filled, tmp_path, {"BATCH_OUTPUT": str(tmp_path / "output")}) as address:
        page.goto(f"{address}/batch-serving/")
        expect(page.locator(".banner.empty")).to_contain_text("There is no model yet: trigger train_model.")
        for name in ("models", "predictions", "weather"):
            page.goto(f"{address}/batch-serving/{name}")
            expect(page.locator(".banner.empty")).to_be_visible()
        assert [one["id"] for one in Axe().run(page).response["violations"]] == []


def test_a_storage_that_is_silent_is_said_within_two_seconds(
    filled: Running, page: Page, seen: Seen, tmp_path: Path
) -> None:
    with silent_server() as url:
        sign_in = {**SIGN_IN, "AWS_ENDPOINT_URL": url, "BATCH_OUTPUT": "s3://bucket/output"}
        with api_server(filled, tmp_path, sign_in) as address:
            page.goto(f"{address}/batch-serving/configs")  # the page itself is loaded with the first request
            expect(page.get_by_text("callables.").first).to_be_visible()
            taken = []
            for _ in range(3):  # the quickest: another test may have the processor
                start = time.monotonic()
                page.goto(f"{address}/batch-serving/")
                expect(page.locator(".banner.wrong")).to_contain_text("the storage has not answered")
                taken.append(time.monotonic() - start)
            assert min(taken) < 2.5  # with the browser's part of it
            expect(page.locator(".tile", has_text="Configs")).to_contain_text("with problems")
            expect(page.get_by_role("table").get_by_role("link", name="collect_weather")).to_be_visible()


def test_without_a_login_each_address_is_refused(filled: Running) -> None:
    version = champion_of(filled)["version"]
    for name in (*VIEWS, f"models/digits/{version}/card", "language/ko"):
        answer = requests.get(f"{filled.instance.address}/batch-serving/{name}", timeout=30)
        assert (name, answer.status_code) == (name, 401)
        assert version not in answer.text


def test_a_viewer_sees_all_and_can_change_nothing(filled: Running) -> None:
    address = filled.instance.address
    password = Users(filled.instance.home, filled.instance.settings).add("looks", "viewer")
    login = {"username": "looks", "password": password}
    token = requests.post(f"{address}/auth/token", json=login, timeout=30).json()["access_token"]
    cookies = {"_token": token}
    for name in VIEWS:
        answer = requests.get(f"{address}/batch-serving/{name}", cookies=cookies, timeout=30)
        assert (name, answer.status_code) == (name, 200)
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        for method in ("post", "put", "delete"):
            sent = requests.request(method, f"{address}/batch-serving/{name}", cookies=cookies, timeout=30)
            assert sent.status_code == 405
    run = requests.post(
        f"{address}/api/v2/dags/promote_model/dagRuns",
        json={"logical_date": None, "conf": {"roll_back": True}},
        headers={"Authorization": f"Bearer {token}"},
        timeout=30,
    )
    assert run.status_code == 403
