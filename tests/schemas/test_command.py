"""``python -m schemas`` as a person or a script calls it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

from schemas.diagnostics import CODES
from schemas.explanations import EXPLANATIONS, codes_page
from schemas.schema import SCHEMA_FILE, schema_text

ROOT = Path(__file__).resolve().parent.parent.parent
INVALID = "tests/configs/invalid/unknown_dag_key.yaml"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schemas", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_check_of_the_project_is_clean() -> None:
    found = run("check")
    assert (found.returncode, found.stdout) == (0, "all right: no problems found\n")


def test_errors_are_text_with_a_place_and_a_hint() -> None:
    found = run("check", INVALID)
    assert found.returncode == 1
    assert found.stdout == (
        f"{INVALID}:2:3: DAG002 error: unknown key 'schedul'\n  hint: did you mean 'schedule'?\n"
        "1 errors, 0 warnings\n"
    )


def test_json_is_a_list_of_objects_with_the_seven_fields() -> None:
    found = run("check", INVALID, "--format", "json")
    assert found.returncode == 1
    assert json.loads(found.stdout) == [
        {
            "file": INVALID,
            "line": 2,
            "column": 3,
            "code": "DAG002",
            "severity": "error",
            "message": "unknown key 'schedul'",
            "hint": "did you mean 'schedule'?",
        }
    ]


def test_on_request_it_tells_next_runs_pools_and_connections(tmp_path: Path) -> None:
    folder = tmp_path / "dag_configs" / "team"
    folder.mkdir(parents=True)
    (folder.parent / "defaults.yml").write_text("timezone: Asia/Seoul\nstart_date: 2090-03-01\n")
    (folder / "a.yaml").write_text(
        "a:\n  schedule: '30 6 * * *'\n  default_args: {pool: gpus}\n  tasks:\n    one:\n"
        "      operator: airflow.providers.slack.operators.slack_webhook.SlackWebhookOperator\n"
        "      slack_webhook_conn_id: slack_webhook\n      message: good morning\n"
    )
    quiet = run("check", str(folder))
    assert (quiet.returncode, quiet.stdout) == (0, "all right: no problems found\n")
    told = run("check", str(folder / "a.yaml"), "--information")
    assert told.returncode == 0
    assert told.stdout.splitlines() == [
        "dag_configs/team/a.yaml:2:13: DAG301 information: a runs next at 2090-03-01 06:30, 2090-03-02 06:30, "
        "2090-03-03 06:30 (Asia/Seoul)",
        "dag_configs/team/a.yaml:3:24: DAG302 information: needs pool 'gpus'",
        "  hint: make it once: airflow pools set gpus SLOTS DESCRIPTION",
        "dag_configs/team/a.yaml:7:30: DAG303 information: needs connection 'slack_webhook'",
        "  hint: AIRFLOW_CONN_SLACK_WEBHOOK in the environment, or a secrets backend",
        "all right: no problems found",
    ]
    assert run("check", str(folder), "--information", "--format", "github").stdout.startswith(
        "::notice file="
    )
    sarif = json.loads(run("check", str(folder), "--information", "--format", "sarif").stdout)
    assert {result["level"] for result in sarif["runs"][0]["results"]} == {"note"}


def test_a_file_is_checked_with_the_defaults_above_it(tmp_path: Path) -> None:
    folder = tmp_path / "dag_configs"
    (folder / "team").mkdir(parents=True)
    (folder / "defaults.yml").write_text("start_date: 2026-01-01\n")
    (folder / "team" / "a.yaml").write_text(
        "a:\n  end_date: 2025-06-01\n  tasks:\n    one:\n"
        "      operator: airflow.providers.standard.operators.empty.EmptyOperator\n"
    )
    found = run("check", str(folder / "team" / "a.yaml"))
    assert found.stdout.startswith(
        "dag_configs/team/a.yaml:2:13: DAG109 error: start_date 2026-01-01 00:00 is after end_date 2025-06-01 00:00"
    )


def test_a_path_that_is_not_there_is_exit_code_2() -> None:
    found = run("check", "nowhere.yaml")
    assert (found.returncode, found.stderr) == (2, "nowhere.yaml does not exist\n")


def test_the_same_dag_in_two_files_names_both(tmp_path: Path) -> None:
    text = (ROOT / "tests/configs/valid/mapping.yaml").read_text(encoding="utf-8")
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = run("check", str(tmp_path))
    assert found.returncode == 1
    assert f"b.yaml:1:1: DAG107 error: dag_id 'example' is in {tmp_path}/a.yaml:1 already" in found.stdout


def test_the_schema_file_is_what_the_installed_airflow_gives() -> None:
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run: python -m schemas schema"


def test_every_code_is_explained_and_on_the_page() -> None:
    assert list(EXPLANATIONS) == list(CODES)
    assert (ROOT / "schemas" / "README.md").read_text(encoding="utf-8") == codes_page(), (
        "run: python -m schemas schema"
    )
    found = run("explain", "dag103")
    assert found.stdout == (
        "DAG103: a schedule that is not one\n\nAirflow would blame the loader, and every DAG with it.\n\n"
        "bad:\n    schedule: '0 25 * * *'\n\ngood:\n    schedule: '0 5 * * *'\n"
    )
    assert run("explain", "DAG999").returncode == 2


def test_github_marks_the_line() -> None:
    found = run("check", INVALID, "--format", "github")
    place = f"file={INVALID},line=2,col=3,title=DAG002"
    assert (found.returncode, found.stdout) == (
        1,
        f"::error {place}::unknown key 'schedul' (did you mean 'schedule'?)\n",
    )


def test_sarif_has_the_place_and_the_rule() -> None:
    found = run("check", INVALID, "--format", "sarif")
    (sarif_run,) = json.loads(found.stdout)["runs"]
    (result,) = sarif_run["results"]
    assert result["ruleId"] in {rule["id"] for rule in sarif_run["tool"]["driver"]["rules"]}
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == INVALID
    assert place["region"] == {"startLine": 2, "startColumn": 3}


def test_diff_of_two_folders_tells_schedules_tasks_edges_and_values(tmp_path: Path) -> None:
    new = tmp_path / "dag_configs"
    shutil.copytree(ROOT / "dag_configs", new)
    for name, old, text in (
        ("predict.yaml", '"*/5 * * * *"', '"0 6 * * *"'),
        ("predict.yaml", "count: 5", "count: 7"),
        ("promote_model.yaml", "dependencies: [compare]", "dependencies: []"),
        ("defaults.yml", "retries: 2", "retries: 4"),
    ):
        path = new / name
        path.write_text(path.read_text(encoding="utf-8").replace(old, text), encoding="utf-8")
    (new / "train_model.yaml").unlink()
    found = run("diff", str(ROOT / "dag_configs"), str(new))
    assert found.returncode == 1
    lines = found.stdout.splitlines()
    assert "- DAG train_model" in lines
    assert "    ~ schedule: '*/5 * * * *' → '0 6 * * *'" in lines
    assert "      task draw_rows: ~ op_kwargs.count: 5 → 7" in lines
    assert "    - edge compare → choose" in lines
    assert lines.count("    ~ default_args.retries: 2 → 4") == 3
    runs = next(line for line in lines if "next runs (Asia/Seoul)" in line)
    assert len(re.findall(r"\d{4}-\d\d-\d\d 06:00", runs)) == 3


def test_diff_of_nothing_and_of_what_is_not_there() -> None:
    same = run("diff", "dag_configs", "dag_configs")
    assert (same.returncode, same.stdout) == (0, "no change\n")
    missing = run("diff", "no-such-revision")
    assert missing.returncode == 2
    assert "neither a file or folder nor a git revision" in missing.stderr


def test_graph_draws_branches_and_edges() -> None:
    found = run("graph", "dag_configs/promote_model.yaml")
    assert found.returncode == 0
    assert found.stdout.splitlines() == [
        "flowchart LR",
        '  subgraph promote_model["promote_model"]',
        '    promote_model__compare["compare"]',
        '    promote_model__choose{"choose"}',
        '    promote_model__promote["promote"]',
        '    promote_model__keep["keep"]',
        "    promote_model__compare --> promote_model__choose",
        "    promote_model__choose --> promote_model__promote",
        "    promote_model__choose --> promote_model__keep",
        "  end",
    ]


def test_graph_draws_groups_within_groups_and_gives_each_name_a_node(tmp_path: Path) -> None:
    empty = "{operator: airflow.providers.standard.operators.empty.EmptyOperator"
    (tmp_path / "g.yaml").write_text(
        "g:\n  task_groups:\n    outer: {}\n    inner: {parent_group_name: outer}\n  tasks:\n"
        f"    a-b: {empty}}}\n    a_b: {empty}, task_group_name: inner, dependencies: [a-b]}}\n"
    )
    assert run("graph", str(tmp_path / "g.yaml")).stdout.splitlines() == [
        "flowchart LR",
        '  subgraph g["g"]',
        '    subgraph g__group__outer["outer"]',
        '      subgraph g__group__inner["inner"]',
        '        g__a_b["a_b"]',
        "      end",
        "    end",
        '    g__a_b_2["a-b"]',
        "    g__a_b_2 --> g__a_b",
        "  end",
    ]


def test_graph_and_diff_of_what_is_no_dag_say_so(tmp_path: Path) -> None:
    for text in ("1: {tasks: {2: {}}}", "d: 5"):
        (tmp_path / "odd.yaml").write_text(text)
        for arguments in (("graph", "odd.yaml"), ("diff", "odd.yaml", "odd.yaml")):
            found = run(*(str(tmp_path / name) if name.endswith(".yaml") else name for name in arguments))
            assert found.returncode == 2
            assert "odd.yaml:1:" in found.stderr
            assert "Traceback" not in found.stderr


def test_diff_of_defaults_alone(tmp_path: Path) -> None:
    for name, retries in (("old", 1), ("new", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "defaults.yml").write_text(f"default_args: {{retries: {retries}}}\n")
    found = run("diff", str(tmp_path / "old" / "defaults.yml"), str(tmp_path / "new" / "defaults.yml"))
    assert "~ default_args.retries: 1 → 2" in found.stdout


def test_github_escapes_a_files_name(tmp_path: Path) -> None:
    path = tmp_path / "a,b::%\n.yaml"
    path.write_text("[")
    found = run("check", str(path), "--format", "github").stdout
    assert f"file={tmp_path}/a%2Cb%3A%3A%25%0A.yaml,line=" in found
    assert len(found.splitlines()) == 1


def test_without_building_airflow_is_not_imported() -> None:
    code = (
        "import sys; from schemas.__main__ import main; main(['check', '--no-build']);"
        "print([name for name in ('airflow', 'dagfactory', 'pandas', 'sklearn') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "all right: no problems found\n[]\n"


def test_what_was_found_once_is_found_again(tmp_path: Path) -> None:
    first = run("check", INVALID, "tests/configs/valid/mapping.yaml")
    assert run("check", INVALID, "tests/configs/valid/mapping.yaml").stdout == first.stdout
    assert "DAG002" in first.stdout
