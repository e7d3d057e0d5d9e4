"""The loader: what it imports, what it isolates, and what the DAGs it builds are like."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import jinja2
import pytest
from airflow.sdk import DAG

from callables.prediction import draw_rows
from schemas import loading
from schemas.airflow_internals import BrokenConfig, ConfigError
from schemas.catalog.generate import build_schema
from schemas.catalog.lookup import load_schema
from schemas.ownership import Source
from schemas.validation import check_paths

ROOT = Path(__file__).resolve().parent.parent.parent
FOUR = ("collect_weather", "predict", "promote_model", "train_model")
PYTHON = "airflow.providers.standard.operators.python.PythonOperator"
GOOD = (ROOT / "tests/configs/valid/mapping.yaml").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    found = tmp_path / "dag_configs"
    found.mkdir()
    (found / "good.yaml").write_text(GOOD.replace("example", "good"), encoding="utf-8")
    return found


def load(folder: Path) -> dict[str, DAG]:
    namespace: dict[str, DAG] = {}
    loading.load_dags(folder, namespace)
    return namespace


def error_of(dag: DAG) -> tuple[str, str]:
    """The path and text under which Airflow shows a broken file."""
    assert isinstance(dag, BrokenConfig)
    with pytest.raises(ConfigError) as error:
        dag.get_serialized_fields()
    return str(dag.relative_fileloc), str(error.value)


def broken(dags: dict[str, DAG]) -> DAG:
    """The one stand-in for a broken file."""
    (found,) = (dag for dag in dags.values() if isinstance(dag, BrokenConfig))
    return found


def test_loading_all_four_imports_nothing_heavy() -> None:
    code = (
        "import sys, runpy; found = runpy.run_path('dags/load_all.py');"
        "from airflow.sdk import DAG;"
        "print(sorted(name for name, value in found.items() if isinstance(value, DAG)));"
        "print([name for name in ('pandas', 'sklearn', 'scipy', 'joblib', 'numpy') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    dags, heavy = found.stdout.splitlines()[-2:]
    assert set(FOUR) <= set(ast.literal_eval(dags))
    assert heavy == "[]"


def schedule(dag: DAG) -> str:
    """The cron or preset, or the assets' URIs."""
    if isinstance(dag.schedule, str):
        return dag.schedule
    return " ".join(asset.uri for asset in dag.schedule)


def test_the_four_pipelines_are_as_documented() -> None:
    dags = {name: dag for name, dag in load(ROOT / "dag_configs").items() if name in FOUR}
    summary = {name: (schedule(dag), dag.task_ids) for name, dag in dags.items()}
    assert summary == {
        "collect_weather": ("@hourly", ["collect", "preprocess"]),
        "predict": ("*/5 * * * *", ["draw_rows", "predict_rows", "maintain_predictions"]),
        "promote_model": ("model://digits/challenger", ["compare", "choose", "promote", "keep"]),
        "train_model": ("@hourly", ["check_dataset", "train_challenger", "predict_holdout"]),
    }
    for dag in dags.values():
        assert (str(dag.timezone), dag.catchup) == ("Asia/Seoul", False)
        assert dag.max_active_runs == 1
        for task in dag.tasks:
            assert task.on_failure_callback
            assert task.execution_timeout is not None
            assert task.retries == {"collect": 3, "maintain_predictions": 0}.get(task.task_id, 2)
            assert task.doc_md
    assert type(dags["promote_model"].get_task("choose")).__name__ == "BranchPythonOperator"


def test_the_doc_is_the_authors_text_and_the_yaml_as_written(folder: Path) -> None:
    text = GOOD.replace("example:", "good:\n  doc_md: For the operator on call.\n  # $HOME stays as it is", 1)
    (folder / "good.yaml").write_text(text, encoding="utf-8")
    doc = load(folder)["good"].doc_md
    assert doc is not None
    assert doc.startswith("For the operator on call.")
    assert "# $HOME stays as it is" in doc
    assert "dag_configs/good.yaml" in doc


def test_no_dag_has_the_tag_that_reports_its_runs(folder: Path) -> None:
    assert all("dagfactory" not in dag.tags for dag in load(ROOT / "dag_configs").values())


def test_nothing_of_the_environment_gets_into_a_dag(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_WORD", "hunter2")
    (folder / "env.yaml").write_text(GOOD.replace("data/digits.csv", "$SECRET_WORD"), encoding="utf-8")
    dag = load(folder)["example"]
    assert dag.get_task("second").op_kwargs["dataset"] == "$SECRET_WORD"
    assert "hunter2" not in str(dag.doc_md)


BROKEN = {
    "misspelt callable": GOOD.replace("draw_rows", "draw_row"),
    "misspelt key": GOOD.replace("tasks:", "task:"),
    "syntax": GOOD.replace("[first]", "[first"),
    "not text": "\x00\x01",
    "one of two": GOOD + GOOD.replace("example", "other").replace("draw_rows", "draw_row"),
    "an executor that is not there": GOOD.replace(
        "      dependencies", "      executor: KubernetesExecutor\n      dependencies"
    ),
    "a timetable that is wrong": GOOD.replace(
        'schedule: "@daily"',
        'schedule: {__type__: airflow.sdk.CronTriggerTimetable, __args__: ["99 * * * *"], timezone: UTC}',
    ),
    "no such weight rule": GOOD.replace("      dependencies", "      weight_rule: foo\n      dependencies"),
    "no such time zone": GOOD.replace(
        "  tasks:", "  start_date: 2026-01-01\n  timezone: Asia/Soul\n  tasks:"
    ),
    "no such day": GOOD.replace("  tasks:", "  start_date: 2026-02-30\n  tasks:"),
    "no bash_command": GOOD.replace("empty.EmptyOperator", "bash.BashOperator"),
    "an alias of itself": GOOD.replace("{dataset", "&self {again: *self, dataset"),
    "a cron in its defaults": "default: {schedule: '0 25 * * *'}\n" + GOOD,
    "refused by Airflow": GOOD.replace(
        "      dependencies", "      retry_delay: -5\n      pool_slots: 0\n      dependencies"
    ),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_loads_nothing_and_the_others_everything(folder: Path, text: str) -> None:
    (folder / "bad.yaml").write_text(text, encoding="utf-8")
    dags = load(folder)
    stand_in = broken(dags)
    assert [name for name in dags if dags[name] is not stand_in] == ["good"]
    path, message = error_of(stand_in)
    assert path == "dag_configs/bad.yaml"
    assert "dag_configs/bad.yaml:" in message


LOOP = "while True:\n    try:\n        pass\n    except Exception:\n        pass"


@pytest.mark.parametrize(
    "code",
    [
        "raise SystemExit(3)",
        "import nowhere",
        "def broken(:",
        "1 / 0",
        "raise KeyboardInterrupt",
        "raise GeneratorExit",
        "class Odd(BaseException): pass\nraise Odd",
        LOOP,
    ],
)
def test_a_callable_that_breaks_at_import_stops_its_own_file_only(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    import callables

    monkeypatch.setattr("schemas.catalog.imports.IMPORT_TIMEOUT_S", 1)
    name = f"broken_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
    monkeypatch.setattr(callables, "__path__", [*callables.__path__, str(tmp_path)])
    text = GOOD.replace("callables.prediction.draw_rows", f"callables.{name}.run")
    text += text[text.index("    second:") :].replace("second:", "third:").replace(".run", ".another")
    (folder / "bad.yaml").write_text(text, encoding="utf-8")
    start = time.monotonic()
    dags = load(folder)
    assert (
        time.monotonic() - start < 8
    )  # a module that takes too long is waited for once, not at each mention
    assert "good" in dags
    assert error_of(broken(dags))[1].count("cannot be imported") == 2


def test_a_callable_whose_module_waits_for_the_processor_is_imported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the time that it uses counts, so that a loaded machine refuses nothing; a wait has its own limit."""
    import callables

    monkeypatch.setattr("schemas.catalog.imports.IMPORT_TIMEOUT_S", 0.3)
    monkeypatch.setattr("schemas.catalog.imports.WAIT_TIMEOUT_S", 3)
    monkeypatch.setattr(callables, "__path__", [*callables.__path__, str(tmp_path)])
    for name, seconds in (("waits_a_while", 1), ("waits_too_long", 60)):
        code = f"import time\ntime.sleep({seconds})\ndef run(*, run_id: str) -> None: ...\n"
        (tmp_path / f"{name}.py").write_text(code, encoding="utf-8")
        task = f"{{operator: {PYTHON}, python_callable: callables.{name}.run, op_kwargs: {{run_id: a}}}}"
        (folder / f"{name}.yaml").write_text(f"{name}:\n  tasks:\n    one: {task}\n", encoding="utf-8")
    dags = load(folder)
    assert "waits_a_while" in dags
    assert "it takes more than 3 s" in error_of(broken(dags))[1]


def test_a_file_name_that_is_not_utf8_stops_no_other_file(folder: Path) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/bad\xff.yaml")).write_text("[", encoding="utf-8")
    dags = load(folder)
    assert "good" in dags
    assert error_of(broken(dags))[0] == "dag_configs/bad\ufffd.yaml"


def test_a_folder_named_like_defaults_is_not_a_defaults_file(folder: Path) -> None:
    (folder / "defaults.yml").mkdir()
    assert list(load(folder)) == ["good"]


def test_a_long_line_takes_no_time(folder: Path) -> None:
    text = GOOD.replace("  tasks:", f"  doc_md: {'A' * 200_000}\n  description: {'a:/' * 20_000}\n  tasks:")
    (folder / "long.yaml").write_text(text, encoding="utf-8")
    start = time.monotonic()
    assert sorted(load(folder)) == ["example", "good"]
    assert time.monotonic() - start < 10


def test_two_broken_files_are_both_shown_whatever_their_names(folder: Path) -> None:
    for name in ("날씨.yaml", "예측.yaml", f"{'x' * 240}.yaml"):
        (folder / name).write_text("[", encoding="utf-8")
    shown = {error_of(dag)[0] for dag in load(folder).values() if isinstance(dag, BrokenConfig)}
    assert shown == {"dag_configs/날씨.yaml", "dag_configs/예측.yaml", f"dag_configs/{'x' * 240}.yaml"}


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace(
            "python_callable: callables.prediction.draw_rows",
            "python_callable_file: {evil}\n      python_callable_name: run",
        ),
        GOOD.replace("  tasks:", "  user_defined_macros: {{run: os.system}}\n  tasks:")
        .replace("{{", "{")
        .replace("}}", "}"),
        GOOD.replace(
            "  tasks:",
            "  dagrun_timeout: {__type__: airflow.sdk.module_loading.import_string, __args__: [os.system]}\n  tasks:",
        ),
        GOOD.replace("  tasks:", "  doc_md_file_path: /etc/passwd\n  tasks:"),
        GOOD.replace(
            "  tasks:",
            "  task_groups: {g: {default_args: {on_failure_callback_file: {evil}, on_failure_callback_name: run}}}\n  tasks:",
        ),
        GOOD.replace("callables.prediction.draw_rows", "callables.training.relative_to_project"),
        GOOD.replace(
            "airflow.providers.standard.operators.empty.EmptyOperator",
            "airflow.sdk.module_loading.import_string",
        ),
    ],
)
def test_yaml_can_name_only_what_is_allowed(folder: Path, tmp_path: Path, text: str) -> None:
    evil, ran = tmp_path / "evil.py", tmp_path / "ran"
    evil.write_text(f"open({str(ran)!r}, 'w')\ndef run(*a, **k): ...\n", encoding="utf-8")
    (folder / "bad.yaml").write_text(text.replace("{evil}", str(evil)), encoding="utf-8")
    message = error_of(broken(load(folder)))[1]
    assert re.search("DAG20[12578]|DAG002", message), message
    assert not ran.exists()


def test_a_dags_own_default_block_wins_over_the_shared_file(folder: Path) -> None:
    (folder / "defaults.yml").write_text("max_active_runs: 3\ncatchup: false\n", encoding="utf-8")
    (folder / "good.yaml").write_text("default: {max_active_runs: 5}\n" + GOOD, encoding="utf-8")
    dag = load(folder)["example"]
    assert (dag.max_active_runs, dag.catchup) == (5, False)


def test_a_callback_replaces_a_shared_one_as_a_whole_and_null_switches_it_off(folder: Path) -> None:
    shared = "default_args: {on_failure_callback: {callback: callables.notifications.notify_failure, connection: x}}\n"
    (folder / "defaults.yml").write_text(shared, encoding="utf-8")
    other = "{callback: airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier, text: hi}"
    text = GOOD.replace("  tasks:", f"  default_args: {{on_failure_callback: {other}}}\n  tasks:")
    (folder / "good.yaml").write_text(text, encoding="utf-8")
    (folder / "off.yaml").write_text(
        GOOD.replace("example", "quiet").replace(
            "  tasks:", "  default_args: {on_failure_callback: null}\n  tasks:"
        ),
        encoding="utf-8",
    )
    dags = load(folder)
    assert type(dags["example"].get_task("first").on_failure_callback[0]).__name__ == "SlackWebhookNotifier"
    assert not dags["quiet"].get_task("first").on_failure_callback


def test_in_a_task_a_dag_id_is_found_however_it_is_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "indented.yaml").write_text(
        "".join(f"  {line}\n" for line in GOOD.splitlines()), encoding="utf-8"
    )
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "example")
    assert "example" in load(folder)


def test_hidden_folders_are_not_read(folder: Path) -> None:
    (folder / ".ipynb_checkpoints").mkdir()
    shutil.copy(folder / "good.yaml", folder / ".ipynb_checkpoints" / "a-checkpoint.yaml")
    assert list(load(folder)) == ["good"]


def test_a_broken_defaults_file_is_reported_for_each_file_that_needs_it(folder: Path) -> None:
    (folder / "defaults.yml").write_text("default_args: {retriez: 3}\n", encoding="utf-8")
    dags = load(folder)
    assert "defaults.yml:1:16: DAG002 error: unknown key 'retriez'" in error_of(broken(dags))[1]


def test_the_second_file_with_a_dag_id_is_refused_and_names_the_first(folder: Path) -> None:
    (folder / "same.yaml").write_text(GOOD.replace("example", "good"), encoding="utf-8")
    dags = load(folder)
    assert isinstance(dags["good"], DAG)
    assert not isinstance(dags["good"], BrokenConfig)
    message = error_of(broken(dags))[1]
    assert "dag_id 'good' is in dag_configs/good.yaml:1 already" in message


def test_in_a_task_only_its_own_file_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "bad.yaml").write_text("[", encoding="utf-8")
    (folder / "another.yaml").write_text(GOOD, encoding="utf-8")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "good")
    assert list(load(folder)) == ["good"]


def test_arguments_that_dag_factory_drops_are_set(folder: Path) -> None:
    more = """example:
  allowed_run_types: [manual, scheduled]
  disable_bundle_versioning: true
  fail_fast: true
  jinja_environment_kwargs: {trim_blocks: true}
  max_consecutive_failed_dag_runs: 7
  owner_links: {airflow: 'https://example.org'}
  rerun_with_latest_version: true
  template_undefined: jinja2.ChainableUndefined
  user_defined_filters: {draw: callables.prediction.draw_rows}
"""
    (folder / "more.yaml").write_text(GOOD.replace("example:\n", more), encoding="utf-8")
    dag = load(folder)["example"]
    assert {str(kind.value) for kind in dag.allowed_run_types} == {"manual", "scheduled"}
    assert (dag.fail_fast, dag.max_consecutive_failed_dag_runs) == (True, 7)
    assert dag.owner_links == {"airflow": "https://example.org"}
    assert (dag.disable_bundle_versioning, dag.rerun_with_latest_version) == (True, True)
    environment = dag.get_template_env()
    assert environment.trim_blocks
    assert environment.undefined is jinja2.ChainableUndefined
    assert environment.filters["draw"] is draw_rows


def test_every_argument_of_airflows_dag_can_be_given_or_is_refused(folder: Path) -> None:
    """A new argument of Airflow's DAG fails here, until it is set, or refused on purpose."""
    arguments = {name for name in inspect.signature(DAG.__init__).parameters if name != "self"}
    refused = {"auto_register", "sla_miss_callback"}  # they have no effect here; reported as unknown keys
    by_its_place = {"dag_id", "task_group"}
    assert arguments - set(load_schema()["$defs"]["dag"]["properties"]) == refused | by_its_place


OPERATOR = """
from airflow.sdk import BaseOperator

class CountRows(BaseOperator):
    \"\"\"Counts the rows of a file.

    :param file: where the rows are
    \"\"\"

    template_fields = ("file",)

    def __init__(self, *, file: str, limit: int = 10, **kwargs):
        super().__init__(**kwargs)
        self.file, self.limit = file, limit

    def execute(self, context): ...
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], str]]:
    """Put a module into ``callables`` for one test, and return its dotted path."""
    import callables

    names = []

    def add(code: str) -> str:
        names.append(f"own_{uuid.uuid4().hex[:8]}")
        (tmp_path / f"{names[-1]}.py").write_text(code, encoding="utf-8")
        return f"callables.{names[-1]}"

    monkeypatch.setattr(callables, "__path__", [*callables.__path__, str(tmp_path)])
    yield add
    for name in names:
        sys.modules.pop(f"callables.{name}", None)


def test_a_custom_operator_is_checked_built_and_in_the_schema(
    folder: Path, own_module: Callable[[str], str]
) -> None:
    operator = f"{own_module(OPERATOR)}.CountRows"
    text = GOOD.replace("airflow.providers.standard.operators.empty.EmptyOperator", operator)
    good = text.replace(operator, f"{operator}\n      file: data/digits.csv\n      retries: 2", 1)
    (folder / "own.yaml").write_text(good, encoding="utf-8")
    assert load(folder)["example"].get_task("first").file == "data/digits.csv"
    for old, new, reported in (
        (
            "file: data",
            "fil: data",
            "DAG002 error: unknown key 'fil' for CountRows\n  hint: did you mean 'file'?",
        ),
        (
            "      file: data/digits.csv\n",
            "",
            "DAG003 error: CountRows needs 'file'\n  hint: add file",
        ),
        ("retries: 2", "limit: many", "DAG003 error: limit must be a whole number, got 'many'"),
    ):
        (folder / "own.yaml").write_text(good.replace(old, new), encoding="utf-8")
        assert reported in error_of(broken(load(folder)))[1]
    argument = build_schema()["$defs"]["operators"][operator]["properties"]["file"]
    assert argument["description"] == "where the rows are"


def test_an_argument_that_disappears_into_keywords_is_a_warning(
    folder: Path, own_module: Callable[[str], str]
) -> None:
    module = own_module("def run(*, dataset: str, **context: object) -> None: ...\n")
    text = GOOD.replace("callables.prediction.draw_rows", f"{module}.run").replace("run_id:", "datset:")
    (folder / "good.yaml").write_text(text, encoding="utf-8")
    (found,) = check_paths([folder])
    assert (found.severity, found.code) == ("warning", "DAG122")
    assert found.message == "'datset' goes into **context of run(): a typo would go unnoticed"
    assert found.hint == "did you mean 'dataset'?"


def test_the_nearest_defaults_win_and_a_dags_own_line_over_all(folder: Path) -> None:
    (folder / "defaults.yml").write_text(
        "max_active_runs: 3\ndefault_args: {retries: 3, owner: outer}\n", encoding="utf-8"
    )
    nested = folder / "team"
    nested.mkdir()
    (nested / "defaults.yml").write_text("default_args: {owner: inner}\n", encoding="utf-8")
    shutil.move(folder / "good.yaml", nested / "good.yaml")
    (nested / "own.yaml").write_text(GOOD.replace("example:", "own:\n  max_active_runs: 9"), encoding="utf-8")
    dags = load(folder)
    task = dags["good"].get_task("first")
    assert (task.retries, task.owner) == (3, "inner")
    assert (dags["good"].max_active_runs, dags["own"].max_active_runs) == (3, 9)


def test_one_file_is_loaded_by_one_call(folder: Path) -> None:
    """What an importer of Airflow 3.4 will do for each file."""
    (folder / "bad.yaml").write_text(GOOD.replace("tasks:", "task:"), encoding="utf-8")
    loader = loading.Loader(folder)
    good, bad = (loader.load(Source(folder / name)) for name in ("good.yaml", "bad.yaml"))
    assert ([dag.dag_id for dag in good.dags], list(good.problems)) == (["good"], [])
    assert (list(bad.dags), [problem.code for problem in bad.problems]) == ([], ["DAG002"])


def test_what_was_checked_is_not_checked_again_until_it_changes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    (folder / "bad.yaml").write_text(GOOD.replace("tasks:", "task:"), encoding="utf-8")
    first = load(folder)
    saved = tmp_path / "home" / "dag_configs_loaded.cache"
    before = saved.read_bytes()
    again = load(folder)
    assert again.keys() == first.keys()
    assert error_of(broken(again)) == error_of(broken(first))
    assert saved.read_bytes() == before
    (folder / "bad.yaml").write_text(GOOD, encoding="utf-8")
    assert sorted(load(folder)) == ["example", "good"]
    assert saved.read_bytes() != before


def test_a_dag_that_moved_to_another_file_is_found_in_a_task(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(folder)
    shutil.move(folder / "good.yaml", folder / "elsewhere.yaml")
    (folder / "good.yaml").write_text(GOOD, encoding="utf-8")
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "good")
    assert list(load(folder)) == ["good"]


def test_a_copy_does_not_take_a_running_dag_over(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    load(folder)
    shutil.copy(folder / "good.yaml", folder / "a-copy-of-good.yaml")  # sorts first
    dags = load(folder)
    assert error_of(broken(dags))[0] == "dag_configs/a-copy-of-good.yaml"
    assert "dag_configs/good.yaml" in str(dags["good"].doc_md)


@pytest.mark.parametrize("in_a_task", [False, True])
def test_without_a_cache_a_copy_does_not_take_over_the_dag_of_the_file_named_after_it(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_a_task: bool
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    (folder / "a-copy-of-good.yaml").write_bytes((folder / "good.yaml").read_bytes())  # sorts first
    if in_a_task:
        monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "good")
    dags = load(folder)
    assert "dag_configs/good.yaml" in str(dags["good"].doc_md)
    if not in_a_task:
        assert error_of(broken(dags))[0] == "dag_configs/a-copy-of-good.yaml"


def test_a_dag_that_no_file_has_loads_nothing_in_a_task(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "gone")
    assert load(folder) == {}


@pytest.mark.parametrize("mistake", ["[", GOOD.replace("example", "good").replace("tasks:", "task:")])
def test_a_copy_does_not_take_a_broken_files_dag_over(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mistake: str
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    load(folder)
    shutil.copy(folder / "good.yaml", folder / "a-copy-of-good.yaml")
    good = (folder / "good.yaml").read_text(encoding="utf-8")
    for text in (mistake, mistake, good):
        (folder / "good.yaml").write_text(text, encoding="utf-8")
        dags = load(folder)
        files = {str(dag.relative_fileloc) for dag in dags.values() if isinstance(dag, BrokenConfig)}
        assert "dag_configs/a-copy-of-good.yaml" in files
        assert ("good" in dags) == (text == good)


def test_what_failed_is_not_remembered(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import callables

    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path / "home"))
    (folder / "good.yaml").write_text(
        GOOD.replace("callables.prediction.", "callables.late."), encoding="utf-8"
    )
    assert "module 'callables.late' does not exist" in error_of(broken(load(folder)))[1]
    (tmp_path / "late.py").write_text(
        "def draw_rows(*, dataset: str, run_id: str) -> dict: ...\n", encoding="utf-8"
    )
    monkeypatch.setattr(callables, "__path__", [*callables.__path__, str(tmp_path)])
    assert list(load(folder)) == ["example"]


@pytest.mark.parametrize("name", ["env", "params", "op_kwargs", "conf"])
def test_no_name_of_a_dag_or_task_gets_around_the_checks(folder: Path, name: str) -> None:
    evil = "{default_args: {on_failure_callback: os.system}}"
    text = GOOD.replace("example:", f"{name}:").replace(
        "  tasks:", f"  task_groups: {{{name}: {evil}}}\n  tasks:"
    )
    (folder / "bad.yaml").write_text(text, encoding="utf-8")
    assert "DAG201" in error_of(broken(load(folder)))[1]
