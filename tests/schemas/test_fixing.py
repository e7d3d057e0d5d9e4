"""``--fix``: what has one safe correction is corrected, and every other byte stays what it was."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

import pytest
from mutations import FOLDER, MUTATIONS, Mutation

from schemas.documents.reading import find_files
from schemas.fixing import fix_paths
from schemas.reports.selection import Selection
from schemas.validation import check_paths

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
EMPTY = "airflow.providers.standard.operators.empty.EmptyOperator"
TYPOS = [one for one in MUTATIONS if one.kind in ("typo", "letter", "path", "dependency", "xcom", "branch")]


def fix(path: Path, *, dry_run: bool = False, select: str = "") -> str:
    return "\n".join(fix_paths([path], Selection.of(select, ""), build=False, dry_run=dry_run))


def fixed(folder: Path, text: str) -> str:
    path = folder / "example.yaml"
    path.write_text(text, encoding="utf-8")
    fix(path)
    return path.read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_typo_becomes_the_original_text_again(tmp_path: Path) -> None:
    folder = tmp_path / "dag_configs"
    folder.mkdir()
    shutil.copy(FOLDER / "defaults.yml", folder)
    wrong: list[Mutation] = []
    for mutation in TYPOS:
        path = folder / Path(mutation.file).name
        path.write_text(mutation.text, encoding="utf-8")
        fix(path)
        if path.read_bytes() != Path(mutation.file).read_bytes():
            wrong.append(mutation)
        path.unlink()
    assert len(TYPOS) >= 300
    assert len(wrong) <= 0.1 * len(TYPOS), wrong


@pytest.mark.parametrize(
    "path",
    [*find_files(FOLDER), *sorted((CONFIGS / "valid").glob("*.yaml"))],
    ids=lambda path: path.stem,
)
def test_a_valid_file_is_never_changed(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    before = copy.stat().st_mtime_ns
    assert fix(copy) == ""
    assert copy.read_bytes() == path.read_bytes()
    assert copy.stat().st_mtime_ns == before


@pytest.mark.parametrize("path", sorted((CONFIGS / "invalid").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_fix_leaves_no_more_errors_than_there_were(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    shutil.copy(path, copy)
    before = check_paths([copy], build=False)
    fix(copy)
    after = check_paths([copy], build=False)
    assert len(after) <= len(before)
    assert fix(copy) == "", "a second run has nothing left to correct"


def test_what_is_corrected_is_what_the_hint_says(tmp_path: Path) -> None:
    text = (
        "example:  # the comment stays\n"
        "  schedul:    '@hourli'   # so do the blanks\n"
        "  max_active_runz: 1\n"
        "  tasks:\n"
        "    first:\n"
        f"      operator: {EMPTY}\n"
        "      trigger_rule: none_failed_or_skipped\n"
        "    second:\n"
        "      operator: airflow.operators.dummy_operator.DummyOperator\n"
        "      dependencies: [ frist ]\n"
    )
    assert fixed(tmp_path, text) == (
        "example:  # the comment stays\n"
        "  schedule:    '@hourly'   # so do the blanks\n"
        "  max_active_runs: 1\n"
        "  tasks:\n"
        "    first:\n"
        f"      operator: {EMPTY}\n"
        "      trigger_rule: none_failed_min_one_success\n"
        "    second:\n"
        f"      operator: {EMPTY}\n"
        "      dependencies: [ first ]\n"
    )


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("schedule: */5 * * * *", "schedule: '*/5 * * * *'"),
        ("schedule: @hourly", "schedule: '@hourly'"),
        ("schedule_interval: '@daily'", "schedule: '@daily'"),
        ("concurrency: 4", "max_active_tasks: 4"),
        ("timezone: KST", "timezone: Asia/Seoul"),
        ("timezone: Asia/Soul", "timezone: Asia/Seoul"),
    ],
)
def test_one_line_of_a_dag(tmp_path: Path, wrong: str, right: str) -> None:
    rest = f"  tasks:\n    first: {{operator: {EMPTY}}}\n"
    assert fixed(tmp_path, f"example:\n  {wrong}\n{rest}") == f"example:\n  {right}\n{rest}"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("{{ execution_date }}", "{{ logical_date }}"),
        ("{{ tomorrow_ds }}", "{{ macros.ds_add(ds, 1) }}"),
        ("{{ ds_nodahs }}", "{{ ds_nodash }}"),
        ("{{ macros.ds_ad(ds, 1) }}", "{{ macros.ds_add(ds, 1) }}"),
    ],
)
def test_a_name_in_a_template(tmp_path: Path, wrong: str, right: str) -> None:
    bash = "airflow.providers.standard.operators.bash.BashOperator"
    text = f"example:\n  schedule: '@daily'\n  tasks:\n    first:\n      operator: {bash}\n      bash_command: echo '{wrong}'\n"
    assert fixed(tmp_path, text) == text.replace(wrong, right)


@pytest.mark.parametrize(
    "text",
    [
        # two task ids are as near
        f"a:\n  tasks:\n    left1: {{operator: {EMPTY}}}\n    left2: {{operator: {EMPTY}}}\n"
        f"    last: {{operator: {EMPTY}, dependencies: [left3]}}\n",
        # the right key is there already
        f"a:\n  schedule: none\n  schedul: none\n  tasks: {{first: {{operator: {EMPTY}}}}}\n",
        # a provider that is not installed, and one whose package would not have the class
        "a:\n  tasks:\n    b: {operator: airflow.providers.ftp.sensors.ftp.FTPSensor, path: c}\n",
        "a:\n  tasks:\n    b: {operator: airflow.providers.smpt.sensors.smtp.MailSensor, path: c}\n",
        # nothing is near
        f"a:\n  colour: red\n  tasks: {{first: {{operator: {EMPTY}}}}}\n",
        # a value of the wrong kind could be meant in many ways
        f"a:\n  catchup: 'false'\n  tasks: {{first: {{operator: {EMPTY}}}}}\n",
    ],
)
def test_what_is_not_certain_is_left(tmp_path: Path, text: str) -> None:
    assert fixed(tmp_path, text) == text


def test_other_bytes_stay(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    text = (
        f"\ufeffexample:\r\n  schedul: '@daily'  # 매일\r\n  tasks: {{first: {{operator: {EMPTY}}}}}\r\n\r\n"
    )
    path.write_bytes(text.encode())
    fix(path)
    assert path.read_bytes() == text.replace("schedul:", "schedule:").encode()


def test_an_anchor_is_corrected_once(tmp_path: Path) -> None:
    text = (
        "a:\n  tasks:\n"
        f"    first: &task\n      operator: {EMPTY}\n      retriez: 1\n"
        "    second:\n      <<: *task\n    third: *task\n"
    )
    assert fixed(tmp_path, text) == text.replace("retriez", "retries")


def test_a_fix_that_shows_another_mistake_is_followed(tmp_path: Path) -> None:
    text = (
        "a:\n  tasks:\n    first:\n"
        "      operator: airflow.providers.standard.operators.python.PythonOperator\n"
        "      python_callable: callables.models.prun\n"
        "      op_kwargs: {modle: digits, keep: 3, run_id: '{{ run_id }}'}\n"
    )
    assert fixed(tmp_path, text) == text.replace("prun\n", "prune\n").replace("modle", "model")


def test_a_path_with_two_mistakes_is_corrected_to_one_that_resolves(tmp_path: Path) -> None:
    text = (
        "a:\n  tasks:\n    first:\n"
        "      operator: airflow.providers.standard.operators.python.PythonOperator\n"
        "      python_callable: callables.modls.prun\n"
        "      op_kwargs: {model: digits, keep: 3, run_id: '{{ run_id }}'}\n"
    )
    assert fixed(tmp_path, text) == text.replace("modls.prun\n", "models.prune\n")


def test_a_dry_run_prints_the_difference_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    text = f"example:\n  schedul: '@daily'\n  tasks: {{first: {{operator: {EMPTY}}}}}\n"
    path.write_text(text, encoding="utf-8")
    printed = fix(path, dry_run=True)
    assert path.read_text(encoding="utf-8") == text
    assert "-  schedul: '@daily'\n+  schedule: '@daily'" in printed
    assert fix(path) == printed
    assert "schedule:" in path.read_text(encoding="utf-8")


def test_only_the_selected_codes_are_corrected(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(f"a:\n  schedul: '@hourli'\n  timezone: KST\n  tasks: {{b: {{operator: {EMPTY}}}}}\n")
    fix(path, select="DAG109")
    assert (
        path.read_text()
        == f"a:\n  schedul: '@hourli'\n  timezone: Asia/Seoul\n  tasks: {{b: {{operator: {EMPTY}}}}}\n"
    )


def test_a_link_and_the_rights_of_a_file_stay(tmp_path: Path) -> None:
    target = tmp_path / "target.yaml"
    target.write_text(f"example:\n  schedul: '@daily'\n  tasks: {{first: {{operator: {EMPTY}}}}}\n")
    target.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(target)
    fix(link)
    assert link.is_symlink()
    assert "schedule:" in target.read_text()
    assert stat.S_IMODE(target.stat().st_mode) == 0o640
    assert {path.name for path in tmp_path.iterdir()} == {"link.yaml", "target.yaml"}


def test_a_file_that_cannot_be_read_is_left(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_bytes(b"example: \xff\n")
    assert fix(path) == ""
    assert path.read_bytes() == b"example: \xff\n"
