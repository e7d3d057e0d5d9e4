"""The configs: each YAML with its problems at their lines, its graph, its next runs and its changes."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from asking import asking, forbidden_in, text_of
from fastapi import HTTPException
from running_airflow import ROOT, copied, wait_until

from batch_page import checking, pipelines
from batch_page.view import State
from batch_page.views import configs

HTML = "<script>alert(1)</script>"


@pytest.fixture
def loaded() -> dict[str, str]:
    """The text of the file of each DAG that Airflow runs: none, until a test adds one."""
    return {}


@pytest.fixture
def project(tmp_path: Path, loaded: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project, whose files the page shows."""
    found = copied(tmp_path / "project", "dag_configs", "callables", "batch_serving", "schemas", "data")
    for module in (pipelines, checking, configs):
        monkeypatch.setattr(module, "PROJECT_ROOT", found)
    monkeypatch.setenv("PYTHONPATH", str(found))
    monkeypatch.setattr(configs, "import_errors", dict)  # no Airflow runs here
    monkeypatch.setattr(configs, "loaded_text", loaded.get)
    monkeypatch.setattr(configs, "next_runs", lambda *_: [])
    monkeypatch.setattr(configs, "_known_dags", lambda: {one.dag_id for one in pipelines.pipelines()})
    return found


def checked_page(**query: str) -> str:
    wait_until(lambda: (found := checking.CHECKING.result()) and not found.is_old, "the check", 60)
    return configs.page(asking("/configs", **query))


def test_a_mistake_stands_at_its_line_with_its_hint(project: Path) -> None:
    file = project / "dag_configs" / "train_model.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("schedule:", "schedul:"), encoding="utf-8")
    line = 1 + file.read_text(encoding="utf-8").split("schedul:")[0].count("\n")
    page = checked_page(file="dag_configs/train_model.yaml")
    after = page.partition(f'<tr id="L{line}" class="marked">')[2].partition("<tr id=")[0]
    assert "DAG002" in after
    assert "did you mean" in text_of(after)
    assert page.count('class="marked"') == 1
    (tile,) = configs.tiles(asking())
    assert (tile.state, "dag_configs/train_model.yaml has errors" in tile.advice) == (State.WRONG, True)


def test_every_line_is_there_with_its_number(project: Path) -> None:
    page = checked_page(file="dag_configs/predict.yaml")
    text = (project / "dag_configs" / "predict.yaml").read_text(encoding="utf-8")
    assert page.count('<tr id="L') == len(text.splitlines())
    shown = [html.unescape(re.sub("<[^>]+>", "", line)) for line in re.findall("<code>(.*)</code>", page)]
    assert shown == text.splitlines()
    assert forbidden_in(page) == []


def test_the_tasks_are_drawn_each_after_what_it_waits_for(project: Path) -> None:
    page = checked_page(file="dag_configs/promote_model.yaml")
    for task in ("compare", "choose", "promote", "keep"):
        assert f"<title>{task}</title>" in page
    assert page.count('class="arrow"') == 3


def test_the_next_five_runs_are_those_of_the_file_on_disk(project: Path) -> None:
    page = checked_page(file="dag_configs/predict.yaml")
    part = text_of(page).partition("Next runs:")[2].partition("Changes")[0]
    assert len(part.split(",")) == 5
    assert "No clock starts it." in text_of(checked_page(file="dag_configs/promote_model.yaml"))


def test_changes_since_gits_head_are_shown(project: Path) -> None:
    assert "git does not have this file." in text_of(checked_page(file="dag_configs/predict.yaml"))
    for command in (["init", "-q"], ["add", "dag_configs"], ["commit", "-qm", "x"]):
        who = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
        subprocess.run(["git", *who, *command], cwd=project, check=True)
    assert "There are none." in text_of(checked_page(file="dag_configs/predict.yaml"))
    file = project / "dag_configs" / "predict.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("*/5 * * * *", "*/7 * * * *"), encoding="utf-8")
    page = checked_page(file="dag_configs/predict.yaml")
    assert '<span class="removed">-' in page
    assert '<span class="added">+' in page


def test_how_the_file_differs_from_what_airflow_runs(project: Path, loaded: dict[str, str]) -> None:
    file = project / "dag_configs" / "predict.yaml"
    assert "Airflow has not loaded this file." in text_of(checked_page(file="dag_configs/predict.yaml"))
    loaded["predict"] = text = file.read_text(encoding="utf-8").strip()
    page = checked_page(file="dag_configs/predict.yaml")
    assert "Airflow runs what is on disk." in text_of(page)
    assert "against what Airflow runs" not in text_of(page)
    loaded["predict"] = text.replace("*/5 * * * *", "*/7 * * * *")
    page = checked_page(file="dag_configs/predict.yaml")
    assert "Airflow has not loaded this file since it changed." in text_of(page)
    shown = text_of(page).partition("What is on disk, against what Airflow runs")[2]
    assert '- schedule: "*/7 * * * *"' in shown.replace("-  ", "- ")
    assert '+ schedule: "*/5 * * * *"' in shown.replace("+  ", "+ ")


def test_what_a_yaml_has_is_text(project: Path) -> None:
    file = project / "dag_configs" / f"{HTML.replace('/', '_')}.yaml"
    task = "{operator: airflow.providers.standard.operators.empty.EmptyOperator}"
    file.write_text(f'"{HTML}":\n  description: "{HTML}"\n  tasks:\n    "{HTML}": {task}\n', encoding="utf-8")
    page = checked_page(file=f"dag_configs/{file.name}")
    assert "<script>alert" not in page
    assert HTML in text_of(page)
    assert forbidden_in(page) == []


def test_a_file_that_is_no_yaml_is_shown_as_it_is(project: Path) -> None:
    (project / "dag_configs" / "broken.yaml").write_bytes(b"a: [1,\n\xff\xfe: }\n")
    page = checked_page(file="dag_configs/broken.yaml")
    assert '<tr id="L2"' in page
    assert "error" in text_of(page)


def test_a_file_is_shown_to_those_who_may_read_its_dags(project: Path) -> None:
    may = asking("/configs", readable={"predict"})
    assert [file.name for file in configs.readable_files(may)] == ["predict.yaml"]
    for name in (
        "dag_configs/train_model.yaml",
        "../pyproject.toml",
        "dag_configs/defaults.yml",
        "/etc/passwd",
    ):
        with pytest.raises(HTTPException) as refused:
            configs.page(asking("/configs", readable={"predict"}, file=name))
        assert refused.value.status_code == 404


def test_the_tab_of_a_dag_leads_to_its_model_or_its_weather(project: Path) -> None:
    assert "/batch-serving/models?model=digits" in configs.page_of_dag("predict", asking())
    weather = configs.page_of_dag("collect_weather", asking())
    assert "/batch-serving/weather" in weather
    assert "model=digits" not in weather
    other = configs.page_of_dag("of_another_file", asking())
    assert "This DAG is not from a YAML file of this project." in text_of(other)


def test_a_project_without_files_has_an_empty_list(project: Path) -> None:
    shutil.rmtree(project / "dag_configs")
    (project / "dag_configs").mkdir()
    assert "Configs" in text_of(configs.page(asking("/configs")))
    (tile,) = configs.tiles(asking())
    assert tile.detail.startswith("0 files")
    assert ROOT.exists()
