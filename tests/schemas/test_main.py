"""``python -m schemas`` as users and scripts call it."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.catalog.generate import schema_text
from schemas.catalog.lookup import SCHEMA_FILE
from schemas.checks.registry import RULES
from schemas.reports.explain import checker_page

ROOT = Path(__file__).resolve().parent.parent.parent
INVALID = "tests/configs/invalid/unknown_dag_key.yaml"


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "schemas", *arguments]
    environment = {**os.environ, **settings}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_check_of_the_project_is_clean() -> None:
    found = run("check")
    assert (found.returncode, found.stdout) == (0, "no problems found\n")


@pytest.mark.parametrize("path", ["examples/hello_world", "examples/hello_world/hello_world.yaml"])
def test_the_defaults_of_all_examples_hold_for_one_of_them(path: str) -> None:
    found = run("check", path)
    assert (found.returncode, found.stdout, found.stderr) == (0, "no problems found\n", "")


def test_errors_are_text_with_a_place_and_a_hint() -> None:
    found = run("check", INVALID)
    assert found.returncode == 1
    assert found.stdout == (
        f"{INVALID}:2:3: DAG002 error: unknown key 'schedul'\n  hint: did you mean 'schedule'?\n"
        "1 error, 0 warnings\n"
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


def test_of_pools_and_connections_those_that_are_missing_are_told_once_each(tmp_path: Path) -> None:
    slack = "airflow.providers.slack.operators.slack_webhook.SlackWebhookOperator"
    sensor = "airflow.providers.standard.sensors.filesystem.FileSensor"
    tasks = (
        f"    one: {{operator: {slack}, slack_webhook_conn_id: SLACK_there, message: hello}}\n"
        f"    two: {{operator: {sensor}, filepath: a}}\n"
        f"    three: {{operator: {sensor}, filepath: b, pool: default_pool}}\n"
        f"    four: {{operator: {sensor}, filepath: b, fs_conn_id: mine, pool: gpus}}\n"
        "    five: {operator: airflow.providers.standard.operators.python.PythonOperator, "
        "python_callable: callables.weather.preprocess, op_kwargs: {collected: '{}', database: warehouse}}\n"
    )
    for name in ("a", "b"):
        text = f"{name}:\n  timezone: UTC\n  schedule: null\n  tasks:\n{tasks}"
        (tmp_path / f"{name}.yaml").write_text(text)
    found = run(
        "check", str(tmp_path), "--information", "--select", "DAG3", AIRFLOW_CONN_SLACK_THERE="slack://"
    )
    needed = [line.partition("needs ")[2] for line in found.stdout.splitlines() if "needs" in line]
    assert needed == [
        "connection 'fs_default', the fs_conn_id that FileSensor has by default",
        "connection 'mine'",
        "pool 'gpus'",
        "connection 'warehouse'",
    ]


def test_what_a_folder_takes_from_elsewhere_and_that_it_has_no_time_zone_is_told_on_request(
    tmp_path: Path,
) -> None:
    empty = "tasks: {first: {operator: airflow.providers.standard.operators.empty.EmptyOperator}}"
    (tmp_path / "a.yaml").write_text(f"a:\n  schedule: ['s3://bucket/key']\n  {empty}\n")
    (tmp_path / "b.yaml").write_text(
        f"b:\n  schedule: ['s3://bucket/key']\n  timezone: Asia/Seoul\n  {empty}\n"
    )
    plain = run("check", str(tmp_path))
    assert plain.stdout == "no problems found\n"
    assert plain.stderr.startswith("there is no defaults.yml and no timezone: schedules are in UTC; write ")
    assert len(plain.stderr.splitlines()) == 1
    assert run("check", str(tmp_path / "a.yaml")).stderr == ""
    shown = run("check", str(tmp_path), "--information").stdout.splitlines()
    assert shown == [
        f"{tmp_path}/a.yaml:1:1: DAG305 information: there is no defaults.yml and no timezone: schedules are in UTC",
        "  hint: write timezone: Asia/Seoul, or put it into a defaults.yml for all files of the folder",
        f"{tmp_path}/a.yaml:2:14: DAG304 information: asset 's3://bucket/key' must come from elsewhere: "
        "no file here has it",
        "  hint: check that it exists",
        f"{tmp_path}/b.yaml:2:14: DAG304 information: asset 's3://bucket/key' must come from elsewhere: "
        "no file here has it",
        "  hint: check that it exists",
        "no problems found",
    ]


def test_another_file_of_the_folder_is_known_when_one_file_is_checked(tmp_path: Path) -> None:
    empty = "operator: airflow.providers.standard.operators.empty.EmptyOperator"
    makes = f"  schedule: '@daily'\n  tasks: {{first: {{{empty}, outlets: ['s3://bucket/challenger']}}}}\n"
    (tmp_path / "a.yaml").write_text(f"a:\n{makes}")
    (tmp_path / "b.yaml").write_text(
        f"b:\n  schedule: ['s3://bucket/chalenger']\n  tasks: {{x: {{{empty}}}}}\n"
    )
    found = run("check", str(tmp_path / "b.yaml"))
    assert "DAG143 warning: no file here has asset 's3://bucket/chalenger'" in found.stdout
    assert "did you mean 's3://bucket/challenger'?" in found.stdout


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
    assert (quiet.returncode, quiet.stdout) == (0, "no problems found\n")
    shown = run("check", str(folder / "a.yaml"), "--information")
    assert shown.returncode == 0
    assert shown.stdout.splitlines() == [
        "dag_configs/team/a.yaml:2:13: DAG301 information: a runs next at 2090-03-01 06:30, 2090-03-02 06:30, "
        "2090-03-03 06:30 (Asia/Seoul)",
        "dag_configs/team/a.yaml:3:24: DAG302 information: needs pool 'gpus'",
        "  hint: create it: airflow pools set gpus SLOTS DESCRIPTION",
        "dag_configs/team/a.yaml:7:30: DAG303 information: needs connection 'slack_webhook'",
        "  hint: set AIRFLOW_CONN_SLACK_WEBHOOK in the environment, or use a secrets backend",
        "no problems found",
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
    page = (ROOT / "docs" / "checker.md").read_text(encoding="utf-8")
    assert page == checker_page(), "run: python -m schemas schema"
    assert [code for code in RULES if f"### {code}\n" not in page] == []
    found = run("explain", "dag103")
    assert found.stdout == (
        "DAG103: a schedule that is neither a preset nor a cron expression\n\nAirflow would blame the loader, and every DAG with it.\n\n"
        "bad:\n    schedule: '0 25 * * *'\n\ngood:\n    schedule: '0 5 * * *'\n"
    )
    assert run("explain", "DAG999").returncode == 2
    assert [line.split()[0] for line in run("explain").stdout.splitlines()] == list(RULES)


def test_fix_corrects_and_says_what_is_left(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    text = (ROOT / INVALID).read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    tried = run("check", str(path), "--fix", "--dry-run")
    assert path.read_text(encoding="utf-8") == text
    assert "+  schedule:" in tried.stdout
    assert tried.returncode == 1
    found = run("check", str(path), "--fix")
    assert found.returncode == 0
    assert "-  schedul:" in found.stdout
    assert found.stdout.endswith("no problems found\n")
    assert path.read_text(encoding="utf-8") == text.replace("schedul:", "schedule:")
    assert run("check", str(path), "--dry-run").returncode == 2


def test_select_and_ignore(tmp_path: Path) -> None:
    assert run("check", INVALID, "--ignore", "DAG002").stdout == "no problems found\n"
    assert run("check", INVALID, "--select", "DAG1").returncode == 0
    assert run("check", INVALID, "--select", "DAG002").returncode == 1
    refused = run("check", INVALID, "--ignore", "DAG201")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "--ignore DAG201: errors of safety (DAG2xx) cannot be ignored\n"


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
        ("predict.yaml", "sample_size: 5", "sample_size: 7"),
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
    assert "      task draw_rows: ~ op_kwargs.sample_size: 5 → 7" in lines
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
        "import sys; from schemas.__main__ import main; main(['check', 'dag_configs', '--no-build']);"
        "print([name for name in ('airflow', 'dagfactory', 'pandas', 'sklearn') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout == "no problems found\n[]\n"


def test_what_was_found_once_is_found_again(tmp_path: Path) -> None:
    first = run("check", INVALID, "tests/configs/valid/mapping.yaml")
    assert run("check", INVALID, "tests/configs/valid/mapping.yaml").stdout == first.stdout
    assert "DAG002" in first.stdout


@pytest.mark.parametrize("arguments", [["explain"], ["check", INVALID, "--no-build"]])
def test_a_closed_pipe_ends_it_without_a_stack_trace(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "schemas", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()  # as head does, once it has enough
        errors = process.stderr.read()
        assert (process.wait(60), errors) == (128 + signal.SIGPIPE, b"")


@pytest.mark.parametrize("command", ["check", "diff", "graph", "explain", "schema", "generate"])
def test_the_help_of_each_command_has_an_example(command: str) -> None:
    assert f"example: python -m schemas {command}" in run(command, "--help").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chek"], "did you mean 'check'?"),
        (["explain", "DAG1O3"], "there is no code 'DAG1O3'; did you mean 'DAG103'?"),
        (["explain", "nonsense"], "`explain` without a code lists all of them"),
        (["check", "dag_confgs"], "dag_confgs does not exist; did you mean 'dag_configs'?"),
        (["diff", "HAED"], "'HAED' is neither a file or folder nor a git revision; did you mean 'HEAD'?"),
        (["diff", "nonsense"], "name one such as HEAD~1, main or dag_configs/"),
    ],
)
def test_what_does_not_exist_gets_an_answer_that_helps(arguments: list[str], said: str) -> None:
    found = run(*arguments)
    assert found.returncode == 2
    assert said in found.stderr


def test_colours_and_progress_are_for_a_terminal_and_never_with_no_color() -> None:
    command = [sys.executable, "-m", "schemas", "check", "tests/configs/invalid", "--no-build"]

    def on_a_terminal(**settings: str) -> str:
        reading, writing = pty.openpty()
        with subprocess.Popen(
            command, cwd=ROOT, stdout=writing, stderr=writing, env={**os.environ, "TERM": "xterm", **settings}
        ) as process:
            os.close(writing)
            shown = b""
            with contextlib.suppress(OSError):  # the end, on Linux
                while part := os.read(reading, 65536):
                    shown += part
            process.wait(60)
        os.close(reading)
        return shown.decode()

    shown = on_a_terminal()
    assert "\033[31;1merror\033[0m" in shown
    assert re.search(r"checked \d+ of \d+ files", shown)
    assert "\033[31" not in on_a_terminal(NO_COLOR="1")
    assert "\033" not in run("check", "tests/configs/invalid", "--no-build").stdout


def test_a_folder_without_yaml_and_a_file_that_is_none_are_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Notes\n- [a list\n")
    folder, file = run("check", str(tmp_path)), run("check", str(tmp_path / "notes.md"))
    assert (folder.returncode, folder.stderr) == (2, f"no YAML file in {tmp_path}\n")
    assert (file.returncode, file.stderr) == (2, f"{tmp_path}/notes.md is not a YAML file (.yaml, .yml)\n")
    (tmp_path / "defaults.yml").write_text("timezone: UTC\n")
    assert run("check", str(tmp_path)).returncode == 0


@pytest.mark.parametrize("option", ["--select", "--ignore"])
@pytest.mark.parametrize("codes", ["", " , "])
def test_an_empty_selection_is_wrong_usage(option: str, codes: str) -> None:
    found = run("check", INVALID, f"{option}={codes}")
    assert (found.returncode, found.stdout) == (2, "")
    assert found.stderr == f"{option} needs codes, such as {option} DAG1,DAG203\n"


def test_a_code_that_does_not_exist_is_a_short_line() -> None:
    assert run("check", "--select", "FOO").stderr == "there is no code 'FOO'; `explain` lists the codes\n"


def test_the_beginning_of_codes_lists_them() -> None:
    found = run("explain", "dag20")
    assert found.returncode == 0
    assert [line.split()[0] for line in found.stdout.splitlines()] == [
        one for one in RULES if one.startswith("DAG20")
    ]


def test_a_graph_of_a_folder_or_of_no_file_says_what_to_name(tmp_path: Path) -> None:
    folder = run("graph", "dag_configs")
    assert folder.returncode == 2
    assert (
        folder.stderr == "dag_configs is a folder; name one file, such as dag_configs/collect_weather.yaml\n"
    )
    missing = run("graph", "dag_configs/predic.yaml")
    assert missing.returncode == 2
    assert missing.stderr == "dag_configs/predic.yaml does not exist; did you mean 'predict.yaml'?\n"
