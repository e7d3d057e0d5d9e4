"""One real Airflow for the session, which runs the four pipelines and those of ``dag_configs/`` beside this file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from running_airflow import Running, copied, started

EXTRA = Path(__file__).resolve().parent / "dag_configs"


def with_approval(text: str) -> str:
    """Return promote_model.yaml edited as its comment on approval says, as a DAG with another name."""
    before, rest = text.split("    # To approve each promotion", 1)
    said, block = rest.split("    # approve:", 1)
    assert "better_task: approve" in said
    assert "dependencies: [approve]" in said
    lines, after = block.split("\n\n", 1)
    task = "    approve:" + "\n".join(line.replace("    #   ", "      ", 1) for line in lines.split("\n"))
    before = before.replace("better_task: promote", "better_task: approve")
    after = after.replace("dependencies: [choose]", "dependencies: [approve]", 1)
    edited = f"{before}{task}\n\n{after}".replace("\npromote_model:", "\npromote_approved:", 1)
    return edited.replace('schedule: ["model://digits/challenger"]', "schedule: none")


def daily_of(text: str) -> str:
    """Return predict.yaml as a DAG with another name that runs at noon: a backfill of days has few runs."""
    assert 'schedule: "*/5 * * * *"' in text
    return text.replace("\npredict:", "\npredict_daily:").replace('"*/5 * * * *"', '"0 12 * * *"')


STARTED = ExitStack()  # the Airflow of this folder


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stop it after the last test of this folder: the tests of other folders need the processor."""
    if nextitem is None or Path(__file__).parent not in nextitem.path.parents:
        STARTED.close()


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A copy of the project, with the DAGs of ``tests/integration/dag_configs`` too, all paused, under Airflow."""
    parts = ("dags", "dag_configs", "batch_serving", "callables", "schemas", "data")
    project = copied(tmp_path_factory.mktemp("project"), *parts)
    for extra in EXTRA.glob("*.yaml"):
        shutil.copy(extra, project / "dag_configs")
    approved = with_approval((project / "dag_configs" / "promote_model.yaml").read_text(encoding="utf-8"))
    (project / "dag_configs" / "promote_approved.yaml").write_text(approved, encoding="utf-8")
    daily = daily_of((project / "dag_configs" / "predict.yaml").read_text(encoding="utf-8"))
    (project / "dag_configs" / "predict_daily.yaml").write_text(daily, encoding="utf-8")
    with STARTED as stack:
        loaded = {"train_model", "promote_model", "predict", "collect_weather"}
        yield stack.enter_context(started(project, {}, loaded))


Trained = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="session")
def trained(running: Running) -> Trained:
    """The first run of train_model by hand, and the first of promote_model, which the asset started."""
    running.api.patch("/dags/promote_model", {"is_paused": False})
    train = running.run("train_model")
    running.quiet("train_model", "promote_model")
    return train, running.api.runs("promote_model")[-1]
