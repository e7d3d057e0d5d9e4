"""The command line for the operator on call."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from training_data import SETTINGS

from batch_serving.registry.overview import versions_overview
from batch_serving.registry.store import ModelStore
from batch_serving.shared.files import seal, unseal
from batch_serving.shared.root import PROJECT_ROOT
from callables import models, training


@pytest.fixture
def versions(place: str) -> list[str]:
    """Three versions; the second is the champion, the first was the champion before."""
    store = ModelStore("digits")
    made = [
        store.save(
            hour,
            {
                "run_id": f"run{hour}",
                "inputs": "",
                "metrics": {"accuracy": 0.9 + hour / 100},
                "estimator": "sklearn.tree.DecisionTreeClassifier",
                "features": [{"name": "a"}],
            },
            datetime(2026, 1, 1, hour, tzinfo=UTC),
        )
        for hour in range(3)
    ]
    store.promote(made[0], expect=None, run_id="a", reason="the first model")
    store.promote(made[1], expect=made[0], run_id="b", reason="better")
    return made


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert models.main(list(arguments)) == 0
    return capsys.readouterr().out


def test_list_shows_each_version_with_its_role(
    versions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = run(capsys, "list", "digits").splitlines()
    assert lines[0].split() == ["version", "role", "estimator", "accuracy", "run_id"]
    assert [line.split()[0] for line in lines[1:]] == versions[::-1]
    assert lines[2].split()[1:] == ["champion", "DecisionTreeClassifier", "0.9100", "run1"]
    assert lines[3].split()[1] == "previous"
    everything = json.loads(run(capsys, "list", "--json"))
    assert [(line["model"], line["versions"], line["champion"]) for line in everything] == [
        ("digits", 3, versions[1])
    ]


def test_show_prints_the_champion_or_the_version_that_is_named(
    versions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert json.loads(run(capsys, "show", "digits", "--json"))["version"] == versions[1]
    shown = run(capsys, "show", "digits", versions[2])
    assert versions[2] in shown
    assert "1 column (listed with --json)" in shown
    assert not set('{}[]"') & set(shown)  # no JSON


def test_promote_roll_back_and_history(versions: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys, "promote", "digits", versions[2])
    assert json.loads(run(capsys, "rollback", "digits", "--json"))["version"] == versions[1]
    entries = json.loads(run(capsys, "history", "digits", "--json"))
    assert [entry["verdict"] for entry in entries] == ["rolled back", "promoted", "promoted", "promoted"]
    assert entries[0]["run_id"].startswith("command line, ")
    assert "rolled back by hand" in run(capsys, "history", "digits").splitlines()[1]


def test_prune_keeps_what_is_in_use(versions: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert json.loads(run(capsys, "prune", "digits", "--keep", "1", "--json"))["removed"] == []
    run(capsys, "promote", "digits", versions[2])
    assert json.loads(run(capsys, "prune", "digits", "--keep", "1", "--json"))["removed"] == [versions[0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["list", "digts"], "; did you mean 'digits'?"),
        (["list", "houses"], "there is no model 'houses' in "),
        (["show", "digits", "x"], "model 'digits' has no version 'x'; the newest are: 2026"),
        (["promote", "digits", "../x"], "it is not a valid version"),
        (["prune", "digits", "--keep", "0"], "keep is 0; it must be 1 or more"),
    ],
)
def test_what_cannot_be_done_is_reported_and_nothing_changes(
    versions: list[str], capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert models.main(arguments) == 1
    assert message in capsys.readouterr().err
    assert ModelStore("digits").versions() == versions


def test_a_corrupt_record_is_in_the_list_with_its_problem(output: Path, versions: list[str]) -> None:
    (ModelStore("digits").folder(versions[2]) / "metadata.json").write_bytes(b"{")
    assert "is corrupt" in versions_overview(ModelStore("digits"))[0]["problem"]


def test_it_looks_where_airflow_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads .env, as `make up` does; in a copy, as the project's .env is the user's."""
    copy = tmp_path / "project"
    for package in ("batch_serving", "callables"):
        shutil.copytree(PROJECT_ROOT / package, copy / package)
    (copy / ".env").write_text(f"BATCH_OUTPUT={tmp_path}/elsewhere  # a comment\n", encoding="utf-8")
    command = [sys.executable, "-m", "callables.models", "show", "digits"]
    monkeypatch.delenv("BATCH_OUTPUT", raising=False)
    found = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert found.stderr.endswith(
        f"there is no model 'digits' in {tmp_path}/elsewhere/models; there are: none\n"
    )
    (copy / ".env").write_text("secret", encoding="utf-8")
    found = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (1, ".env:1: not of the form NAME=value\n")


def test_without_the_pointer_show_and_roll_back_go_by_the_history(
    versions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (ModelStore("digits").root / "champion.json").unlink()
    assert json.loads(run(capsys, "show", "digits", "--json"))["version"] == versions[1]
    assert json.loads(run(capsys, "rollback", "digits", "--json"))["version"] == versions[0]
    assert ModelStore("digits").champion() is not None


def test_promoting_the_champion_again_is_reported(
    versions: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert models.main(["promote", "digits", versions[1]]) == 0
    assert f"{versions[1]} is already the champion" in capsys.readouterr().err


def test_it_runs_as_a_module(output: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "callables.models", "list"],
        cwd=PROJECT_ROOT,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout == "no models yet; run train_model\n"


def test_reproduce_ends_with_0_if_equal_1_if_not_and_2_if_it_cannot(
    output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version = training.train_challenger(**{**SETTINGS, "search_space": None})["version"]
    assert f"reproduced: digits {version}: 2 metrics" in run(capsys, "reproduce", "digits", version)
    assert json.loads(run(capsys, "reproduce", version, "--json"))["reproduced"] is True
    path = Path(str(ModelStore("digits").folder(version) / "metadata.json"))
    record = unseal(path.read_bytes())
    path.write_bytes(seal({**record, "metrics": {**record["metrics"], "accuracy": 0.5}}))
    assert models.main(["reproduce", "digits", version]) == 1
    assert "  differs   accuracy: 0.5 recorded, 0.9" in capsys.readouterr().out
    assert models.main(["reproduce", "digits", f"{version[:-1]}x"]) == 2
    assert f"did you mean '{version}'?" in capsys.readouterr().err
    assert models.main(["reproduce", "digts", version]) == 2
    assert "did you mean 'digits'?" in capsys.readouterr().err
    assert models.main(["reproduce", "digits"]) == 2
    assert "has no champion yet; name a version" in capsys.readouterr().err
