"""Under a real load, the champion changes, is corrupted and disappears: no request fails, and Slack hears once."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from buckets import new_bucket
from predicting import train_champion
from running_airflow import wait_until
from servers import Slack
from serving import POLL_S, Load, serving
from tcp_proxy import TcpProxy

from batch_serving.registry.store import ModelStore
from batch_serving.shared.files import delete, write_atomic
from batch_serving.shared.paths import output_path
from batch_serving.shared.reading import read_whole

pytestmark = pytest.mark.slow

SWAPS = 12


def copies(version: str, number: int) -> list[str]:
    """Save a version some more times, as those of other runs."""
    store, found = ModelStore("digits"), []
    model, metadata = store.load(version), store.metadata(version)
    for place in range(number):
        moment = datetime.now(UTC) + timedelta(hours=place + 1)
        found.append(store.save(model, {**metadata, "run_id": f"copy {place}"}, moment))
    return found


def promote(version: str) -> None:
    """Make a version the champion."""
    store = ModelStore("digits")
    current = store.champion()
    store.promote(
        version, expect=current and current.version, run_id=f"to {version} {time.time()}", reason=""
    )


def corrupt(version: str) -> bytes:
    """Change one byte of a model's file, and return what it was."""
    path = output_path("models", "digits", "versions", version, "model.joblib")
    data = read_whole(path)
    write_atomic(path, data[:-1] + bytes([data[-1] ^ 1]))
    return data


def point_to(version: str) -> None:
    """Move the pointer to a version that promote() would refuse."""
    path = output_path("models", "digits", "champion.json")
    champion = ModelStore("digits").champion()
    assert champion is not None
    text = read_whole(path).decode().replace(champion.version, version)
    lines = [line for line in text.splitlines() if '"checksum"' not in line]
    write_atomic(path, "\n".join(lines).encode())  # a pointer without a checksum is accepted


@pytest.fixture
def started(place: str) -> str:
    """A champion, on disk or on S3."""
    if place.startswith("memory:"):
        pytest.fail("other processes do not see this place")
    return train_champion()


disk_and_s3 = pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)


@disk_and_s3
def test_no_request_fails_while_the_champion_changes(
    started: str, tmp_path: Path, digits: list[dict[str, Any]]
) -> None:
    versions = copies(started, SWAPS)
    moves = [(time.monotonic(), started)]
    with serving(tmp_path) as api, Load(api, {"rows": digits[:1]}).running() as load:
        for version in versions:
            promote(version)
            moves.append((time.monotonic(), version))
            time.sleep(POLL_S)
        load.until(versions[-1])
        health = api.health()
    assert not load.failures
    assert load.stale(moves, POLL_S + 5) == []  # on a busy machine; bench_serving.py measures it
    assert load.versions[-1] == versions[-1]
    assert [one for one in [started, *versions] if one in load.versions] == load.versions  # never back
    assert (health["status"], len(load.answers) > 50) == ("ok", True)


@disk_and_s3
def test_a_broken_champion_leaves_the_old_one_serving_and_slack_hears_once(
    started: str, tmp_path: Path, digits: list[dict[str, Any]], slack: Slack
) -> None:
    broken, other, good = copies(started, 3)
    with serving(tmp_path) as api, Load(api, {"rows": digits[:2]}).running(2) as load:
        load.until(started)
        for version in (broken, other):
            corrupt(version)
            point_to(version)
            health = api.until(lambda found, wanted=version: wanted in str(found))
            wait_until(lambda wanted=version: any(wanted in text for text in slack.messages), "the message")
            time.sleep(4 * POLL_S)  # some more looks
        state = health["models"]["digits"]
        assert (state["version"], state["problem"]["version"]) == (started, other)
        assert "SHA-256" in state["problem"]["reason"]
        assert datetime.fromisoformat(state["problem"]["since"]) <= datetime.now(UTC)
        point_to(broken)  # the same one again
        api.until(lambda found: broken in str(found))
        time.sleep(3 * POLL_S)
        promote(good)
        load.until(good)
        assert api.health()["status"] == "ok"
    assert not load.failures
    assert load.versions == [started, good]
    assert len(slack.messages) == 2, slack.messages
    for version, message in zip((broken, other), slack.messages, strict=True):
        assert message.startswith(f":warning: *digits*: {version} cannot be used")
        assert f"`{started}` serves on" in message


@disk_and_s3
def test_the_store_disappears_and_comes_back(
    started: str, place: str, tmp_path: Path, digits: list[dict[str, Any]], slack: Slack
) -> None:
    files = {}
    with serving(tmp_path) as api, Load(api, {"rows": digits[:1]}).running(2) as load:
        load.until(started)
        root = output_path("models", "digits")
        paths = [root / "champion.json", root / "history.jsonl"]
        paths += [root / "versions" / started / name for name in ("model.joblib", "metadata.json")]
        for path in paths:
            files[path] = read_whole(path)
        delete(output_path("models"))
        state = api.until(lambda found: "gone" in str(found))["models"]["digits"]
        assert state["version"] == started
        assert state["problem"]["since"]
        for path in reversed(paths):
            write_atomic(path, files[path])
        api.until(lambda found: found["status"] == "ok")
        load.until(started)
    assert not load.failures
    assert load.versions == [started]
    assert slack.messages == []  # an outage is none of a version


def test_the_file_of_the_serving_champion_is_corrupted_and_repaired(
    champion: str, tmp_path: Path, digits: list[dict[str, Any]], slack: Slack
) -> None:
    with serving(tmp_path) as api, Load(api, {"rows": digits[:1]}).running(2) as load:
        data = corrupt(champion)
        health = api.until(lambda found: found["status"] == "degraded")
        assert "SHA-256" in health["models"]["digits"]["problem"]["reason"]
        wait_until(lambda: len(slack.messages) == 1, "the message")
        write_atomic(output_path("models", "digits", "versions", champion, "model.joblib"), data)
        api.until(lambda found: found["status"] == "ok")
    assert not load.failures
    assert len(slack.messages) == 1


def test_with_a_broken_champion_at_the_start_the_one_before_serves(
    champion: str, tmp_path: Path, digits: list[dict[str, Any]], slack: Slack
) -> None:
    (second,) = copies(champion, 1)
    promote(second)
    corrupt(second)
    for _ in range(2):  # the second process finds the note of the first one
        with serving(tmp_path) as api:
            state = api.until(lambda found: found["status"] == "degraded")["models"]["digits"]
            assert (state["version"], state["problem"]["version"]) == (champion, second)
            assert api.post("digits", {"rows": digits[:1]}).json()["version"] == champion
            wait_until(lambda: len(slack.messages) == 1, "the message")
            time.sleep(4 * POLL_S)  # some more looks
    assert len(slack.messages) == 1


def test_a_corrupt_pointer_leaves_the_champion_serving(
    champion: str, tmp_path: Path, digits: list[dict[str, Any]], slack: Slack
) -> None:
    path = output_path("models", "digits", "champion.json")
    with serving(tmp_path) as api, Load(api, {"rows": digits[:1]}).running(1) as load:
        good = read_whole(path)
        write_atomic(path, good[:20])
        health = api.until(lambda found: found["status"] == "degraded")
        assert "champion.json is corrupt" in health["models"]["digits"]["problem"]["reason"]
        wait_until(lambda: len(slack.messages) == 1, "the message")
        delete(path)
        api.until(lambda found: "champion.json is missing" in str(found))
        wait_until(lambda: len(slack.messages) == 2, "the other message")
        write_atomic(path, good)
        api.until(lambda found: found["status"] == "ok")
    assert not load.failures
    assert len(slack.messages) == 2  # corrupt, and missing


def test_a_version_that_cannot_predict_is_not_served(
    champion: str, tmp_path: Path, digits: list[dict[str, Any]], slack: Slack
) -> None:
    store = ModelStore("digits")
    metadata = {**store.metadata(champion), "run_id": "not a model"}
    wrong = store.save({"a": "dictionary"}, metadata, datetime.now(UTC) + timedelta(hours=1))
    with serving(tmp_path) as api:
        promote(wrong)
        health = api.until(lambda found: found["status"] == "degraded")
        assert "cannot be used" in health["models"]["digits"]["problem"]["reason"]
        assert api.post("digits", {"rows": digits[:1]}).json()["version"] == champion
        wait_until(lambda: len(slack.messages) == 1, "the message")
    assert len(slack.messages) == 1


def test_while_s3_is_down_the_champion_serves_on(
    s3_settings: dict[str, str], tmp_path: Path, digits: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**s3_settings, "BATCH_OUTPUT": new_bucket(s3_settings)}.items():
        monkeypatch.setenv(name, value)
    version = train_champion()
    with (
        TcpProxy(s3_settings["AWS_ENDPOINT_URL"]) as proxy,
        serving(tmp_path, AWS_ENDPOINT_URL=proxy.url) as api,
        Load(api, {"rows": digits[:1]}).running(1) as load,
    ):
        load.until(version)
        proxy.is_down = True
        state = api.until(lambda found: "problem" in found["models"]["digits"])["models"]["digits"]
        assert (state["version"], bool(state["problem"]["since"])) == (version, True)
        api.until(lambda found: "cannot be read" in str(found), 120)
        load.until(version)
        proxy.is_down = False
        api.until(lambda found: found["status"] == "ok", 120)
    assert not load.failures
