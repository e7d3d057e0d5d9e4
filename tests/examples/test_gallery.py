"""What holds for each folder of ``examples/``, and the copies that ``batch new`` makes of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from running_airflow import ROOT, copied

from schemas.documents.examples import choose, chosen_examples, example_names
from schemas.validation import check_paths

EXAMPLES = ROOT / "examples"
NAMES = example_names(EXAMPLES)
NEW = "import sys; from batch_cli import main; sys.exit(main(['new', *sys.argv[1:]]))"


def dags_of(name: str) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for file in (EXAMPLES / name).glob("*.yaml"):
        found |= yaml.safe_load(file.read_text(encoding="utf-8"))
    return found


def test_they_pass_the_checker_without_a_warning() -> None:
    assert check_paths([EXAMPLES]) == []


@pytest.mark.parametrize("name", NAMES)
def test_its_dags_have_its_name_and_the_tag_by_which_they_are_found(name: str) -> None:
    for dag_id, dag in dags_of(name).items():
        if dag_id != "default":
            assert dag_id == name or dag_id.startswith(f"{name}_")
            assert "example" in dag.get("tags", ["example"])
            # None runs unless someone asks it to; one that other DAGs call may be on.
            assert dag.get("is_paused_upon_creation") is not False or dag["schedule"] == "none"


@pytest.mark.parametrize("name", NAMES)
def test_its_readme_is_short_and_says_how_to_run_it(name: str) -> None:
    text = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert len(text.splitlines()) <= 30
    assert f"make up EXAMPLES={name}" in text
    assert "make run DAG=" in text


def test_chosen_are_those_that_the_setting_or_the_kept_choice_names(tmp_path: Path) -> None:
    def names(setting: str | None) -> list[str]:
        return [folder.name for folder in chosen_examples(EXAMPLES, setting, tmp_path)]

    assert names(None) == []
    choose(tmp_path, ["hello_world"])
    assert names(None) == ["hello_world"]
    assert names("1") == names("all") == NAMES
    assert names("") == []
    assert names("nothing_of_this_name hello_world") == ["hello_world"]


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = ("batch_cli", "batch_serving", "callables", "dag_configs", "data", "examples", "schemas")
    return copied(tmp_path_factory.mktemp("user"), *parts)


def new(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    settings = {"PYTHONPATH": str(project), "AIRFLOW_HOME": str(project / "home"), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", NEW, *arguments]
    return subprocess.run(command, cwd=project, env=settings, capture_output=True, text=True, check=False)


def files_of(project: Path) -> dict[str, bytes]:
    folders = (project / "callables", project / "dag_configs")
    found = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return {str(file.relative_to(project)): file.read_bytes() for file in found if file.suffix != ".pyc"}


@pytest.fixture
def untouched(project: Path):
    """The user's files; what a test adds to them is removed after it."""
    before = files_of(project)
    yield before
    for name in files_of(project).keys() - before.keys():
        (project / name).unlink()
    for folder in (project / "callables").iterdir():
        if folder.is_dir() and not list(folder.rglob("*.py")):
            shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("name", [None, *NAMES])
def test_a_copy_is_the_users_own_and_passes_the_check(
    project: Path, untouched: dict[str, bytes], name: str | None
) -> None:
    ended = new(project, "my_own", *(["--from", name] if name else []))
    assert ended.returncode == 0, ended.stderr
    after = files_of(project)
    assert untouched.items() <= after.items()
    made = after.keys() - untouched.keys()
    assert made == set(ended.stdout.split("\nIt is checked")[0].replace(" ", "").split("\n"))
    assert all("my_own" in file for file in made)
    dags = [dag for file in made if file.endswith(".yaml") for dag in yaml.safe_load(after[file])]
    assert all(dag.startswith("my_own") or dag == "default" for dag in dags)
    for file in made:
        code = after[file].decode()
        assert "examples." not in code
        assert "[example" not in code
        if name:
            assert f"{name}_" not in code.replace("my_own", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["my_train", "--from", "hello_wrld"],
            "there is no example 'hello_wrld'; did you mean 'hello_world'?",
        ),
        (["class"], "'class' cannot name a DAG and a module; write small letters, digits and _"),
        (["my-train"], "'my-train' cannot name a DAG and a module"),
        (["../x"], "'../x' cannot name a DAG and a module"),
        (["hello_world"], "'hello_world' is the name of an example"),
        (["predict"], "there is already dag_configs/predict.yaml"),
        (["notifications"], "there is already callables/notifications.py"),
    ],
)
def test_what_cannot_be_made_is_said_and_nothing_is_written(
    project: Path, untouched: dict[str, bytes], arguments: list[str], said: str
) -> None:
    ended = new(project, *arguments)
    assert ended.returncode == 1
    assert said in ended.stderr
    assert files_of(project) == untouched


def test_a_name_that_a_dag_of_another_file_has_is_refused(project: Path, untouched: dict[str, bytes]) -> None:
    other = project / "dag_configs" / "other.yaml"
    task = {"operator": "airflow.providers.standard.operators.empty.EmptyOperator"}
    other.write_text(yaml.safe_dump({"my_taken": {"tasks": {"a": task}}}), encoding="utf-8")
    before = files_of(project)
    ended = new(project, "my_taken")
    assert ended.returncode == 1
    assert "'my_taken'" in ended.stderr
    assert files_of(project) == before
