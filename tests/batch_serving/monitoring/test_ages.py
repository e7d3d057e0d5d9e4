"""How old the outputs are."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from months_of_output import Amounts, write_all
from promoting import add_version, run_promotion

from batch_serving.monitoring.ages import check_output, in_words, known_outputs, newest_of
from batch_serving.registry.store import ModelStore
from batch_serving.shared.files import write_atomic
from batch_serving.shared.paths import output_path


def age(output: str) -> timedelta:
    found = newest_of(output).age(datetime.now(UTC))
    assert found is not None
    return found


def test_each_output_has_the_age_of_what_is_newest(place: str) -> None:
    now = datetime.now(UTC)
    assert list(known_outputs()) == []
    ModelStore("digits").save({}, {"run_id": "a", "inputs": "", "metrics": {}}, now - timedelta(hours=5))
    newest = ModelStore("digits").save(
        {}, {"run_id": "b", "inputs": "", "metrics": {}}, now - timedelta(hours=2)
    )
    assert newest_of("models/digits").what == f"version {newest} of digits"
    assert timedelta(hours=2) <= age("models/digits") < timedelta(hours=2, minutes=5)
    assert list(known_outputs()) == ["models/digits", "verdicts/digits"]


def test_predictions_and_weather(output: Path) -> None:
    now = datetime.now(UTC)
    write_all(output, Amounts(), now)
    assert list(known_outputs()) == ["models/digits", "verdicts/digits", "predictions/digits", "weather"]
    assert age("weather") < timedelta(hours=2)
    files = sorted((output / "predictions" / "digits").glob("date=*/*.csv"))
    for file in files:
        os.utime(file, (now.timestamp() - 7200, now.timestamp() - 7200))
    assert timedelta(hours=2) <= age("predictions/digits") < timedelta(hours=2, minutes=5)
    os.utime(files[-1])
    assert age("predictions/digits") < timedelta(minutes=5)


@pytest.mark.parametrize("place", ["disk", "s3"], indirect=True)  # in memory, files have no times
def test_the_newest_prediction_is_not_the_last_of_the_names(place: str) -> None:
    day = output_path("predictions", "digits", f"date={datetime.now(UTC):%Y-%m-%d}")
    for number in range(30):
        write_atomic(day / f"predict.scheduled__{number:02}.csv", b"")
    time.sleep(1.1)  # the times in a listing are whole seconds
    before = newest_of("predictions/digits").moment
    write_atomic(day / "predict.manual__1.csv", b"")
    after = newest_of("predictions/digits").moment
    assert before is not None
    assert after is not None
    assert after > before


@pytest.mark.parametrize(
    "content", [b"district,collected_at\nA,yesterday\nB,\n", b"district,collected_at\n\xff\xfe,1\n", b"\0"]
)
def test_weather_that_cannot_be_read_has_no_age(output: Path, content: bytes) -> None:
    write_atomic(output_path("weather", "latest.csv"), content)
    found = newest_of("weather")
    assert (found.what, found.moment) == ("no weather that can be read in latest.csv", None)


def test_one_row_that_cannot_be_read_does_not_hide_the_others(output: Path) -> None:
    rows = "district,collected_at\nA,yesterday\nB,2026-01-01T09:00:00+09:00\nC,2026-01-01T08:00:00+09:00\n"
    write_atomic(output_path("weather", "latest.csv"), rows.encode())
    assert newest_of("weather").moment == datetime(2026, 1, 1, tzinfo=UTC)


def test_a_verdict_is_late_only_if_a_version_waits_for_it(output: Path) -> None:
    add_version(0.9)
    assert age("verdicts/digits") > timedelta(days=1)  # the versions of the tests are old
    run_promotion()
    assert newest_of("verdicts/digits").is_not_due
    assert age("verdicts/digits") < timedelta(seconds=15)
    store = ModelStore("digits")
    waiting = store.save(
        {}, {"run_id": "x", "inputs": "", "metrics": {}}, datetime.now(UTC) + timedelta(hours=1)
    )
    assert newest_of("verdicts/digits").moment == datetime.strptime(waiting[:16], "%Y%m%dT%H%M%SZ").replace(
        tzinfo=UTC
    )


def test_what_prune_has_removed_had_no_verdict(output: Path) -> None:
    store, at = ModelStore("digits"), datetime.now(UTC) - timedelta(hours=5)
    store.save({}, {"run_id": "x", "inputs": "", "metrics": {}}, at)
    write_atomic(
        store.root / "history.jsonl",
        b'{"verdict": "kept", "version": "a", "run_id": "a", "at": "not a time"}\n'
        b'{"verdict": "pruned", "version": "b", "run_id": "b", "at": "2999-01-01T00:00:00+00:00"}\n',
    )
    assert timedelta(hours=4.9) < age("verdicts/digits") < timedelta(hours=5.1)


def test_without_an_output_there_is_no_age(output: Path) -> None:
    for name, what in {
        "models/digits": "no version of digits",
        "verdicts/digits": "no version of digits",
        "predictions/digits": "no prediction with digits",
        "weather": "no weather",
    }.items():
        found = newest_of(name)
        assert (found.what, found.moment, found.age(datetime.now(UTC))) == (what, None, None)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model/digits", "output 'model/digits' is not known; did you mean 'models/digits'?"),
        ("wether", "output 'wether' is not known; did you mean 'weather'?"),
        ("weathr/Seoul", "output 'weathr/Seoul' is not known; did you mean 'weather'?"),
        ("weather/Seoul", "output 'weather/Seoul' is not known; write weather alone"),
        ("predictions", "output 'predictions' names no model; write predictions/<name>"),
        ("models/../digits", "model '../digits' is not a plain name"),
        ("quality", "output 'quality' is not known; use models/<name>, verdicts/<name>, predictions"),
    ],
)
def test_a_name_that_is_no_output_is_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=".") as error:
        check_output(name)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h 0 min"), (90_000, "1 d 1 h")],
)
def test_an_age_in_words(seconds: int, text: str) -> None:
    assert in_words(timedelta(seconds=seconds)) == text
