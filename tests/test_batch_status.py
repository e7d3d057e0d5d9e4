"""``batch status`` and ``make doctor``: the ages of the outputs, and what is in order."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from contending import BAD, GOOD, Contest
from months_of_output import Amounts, write_all, write_quality

from batch_cli import status
from batch_serving.registry.store import ModelStore
from batch_serving.shared.root import PROJECT_ROOT

STALE_S = 1200  # more than the 15 minutes of predict.yaml


def age_predictions(output: Path, seconds: float) -> None:
    moment = datetime.now(UTC).timestamp() - seconds
    for file in (output / "predictions" / "digits").glob("date=*/*.csv"):
        os.utime(file, (moment, moment))


@pytest.fixture
def months(output: Path) -> str:
    """Weeks of output, as old as it may be; the champion."""
    now = datetime.now(UTC)
    champion = write_all(output, Amounts(), now)
    write_quality(output, 5, champion, now)
    return champion


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = status.main([*arguments], prog="batch status")
    return code, capsys.readouterr().out


def test_the_ages_are_shown_with_their_limits(
    months: str, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    age_predictions(output, 300)
    _, text = run(capsys)
    lines = {line.split()[0]: " ".join(line.split()) for line in text.splitlines() if line.strip()}
    assert lines["predictions/digits"] == "predictions/digits the last prediction with digits 5 min 15 min"
    assert lines["weather"].endswith("2 h 0 min")
    assert f"champion {months}, since " in text
    assert "accuracy 0.9" in text
    assert "labelled" in text
    assert f"quality: digits {months}: accuracy is in order" in text


def test_what_is_stale_is_marked_and_the_exit_code_says_so(
    months: str, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    age_predictions(output, STALE_S)
    code, text = run(capsys)
    assert code == 1
    (line,) = [line for line in text.splitlines() if line.startswith("predictions/digits")]
    assert line.endswith("STALE")
    code, text = run(capsys, "--json")
    found: dict[str, Any] = json.loads(text)
    by_output = {one["output"]: one for one in found["outputs"]}
    assert by_output["predictions/digits"]["stale"] is True
    assert by_output["predictions/digits"]["limit_s"] == 900
    assert by_output["predictions/digits"]["dag_id"] == "predict"
    assert code == 1


def test_a_trial_is_shown(output: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contest = Contest(tmp_path)
    contest.train("first", **BAD)
    contest.compare()
    contest.train("second", **GOOD)
    contest.compare()
    reason = contest.hour(40)["reason"]
    assert f"trial: {reason}" in run(capsys)[1]


def test_a_trial_that_cannot_be_read_hides_nothing_else(
    months: str, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    age_predictions(output, 300)
    (output / "models" / "digits" / "contender.json").mkdir()
    _, text = run(capsys)
    assert f"champion {months}, since " in text
    assert "contender.json cannot be read: it is a folder and not a file; move that folder away" in text


def test_without_output_nothing_is_stale(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text = run(capsys)
    assert code == 0
    assert "no version of digits" in text
    assert ModelStore.names() == []


def test_the_doctor_says_what_is_wrong_and_never_a_secret(months: str, output: Path, tmp_path: Path) -> None:
    age_predictions(output, STALE_S)
    (tmp_path / "home").mkdir()
    with contextlib.closing(sqlite3.connect(tmp_path / "home" / "airflow.db")) as database:
        database.execute("CREATE TABLE connection (conn_id TEXT)")
        database.execute("CREATE TABLE slot_pool (pool TEXT)")
        database.execute("INSERT INTO connection VALUES ('kma_api')")
        database.commit()
    secret = "https://hooks.slack.example/T0/B0/very-secret"
    environment = {
        **os.environ,
        "BATCH_OUTPUT": str(output),
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW_CONN_SLACK_WEBHOOK": json.dumps({"conn_type": "slackwebhook", "password": secret}),
    }
    found = subprocess.run(
        [sys.executable, "deploy/doctor.py"],
        cwd=PROJECT_ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 1, found.stderr
    assert "ok     YAML: no error in " in found.stdout
    assert "ok     AIRFLOW_CONN_SLACK_WEBHOOK is set" in found.stdout
    assert "ok     connection kma_api is in Airflow's database" in found.stdout
    assert "20 min old (limit 15 min): look at predict" in found.stdout
    assert "very-secret" not in found.stdout + found.stderr
