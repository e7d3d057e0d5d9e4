"""The example ``building_blocks``: all of its DAGs side by side under a real scheduler."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from running_airflow import PATIENCE, ROOT, wait_until

if TYPE_CHECKING:
    from conftest import Gallery

FOLDER = ROOT / "examples" / "building_blocks"
TIMEOUT_S = 200
CONF: dict[str, dict[str, Any]] = {"params": {"city": "Busan", "times": 3}}
# What is started by others, or is run by a test of its own.
NOT_BY_ITSELF = {"called", "asset_consumer"}

Run = dict[str, Any]


def blocks() -> set[str]:
    found = [key for file in FOLDER.glob("*.yaml") for key in yaml.safe_load(file.read_text())]
    return {key.removeprefix("building_blocks_") for key in found}


def block(name: str) -> str:
    return f"building_blocks_{name}"


def test_every_building_block_has_a_dag() -> None:
    wanted = "empty http sql branch short_circuit file_sensor sql_sensor python_sensor external_task_sensor "
    wanted += (
        "deferrable_sensor variables connections xcom jinja custom_operator task_groups dynamic_mapping "
    )
    wanted += "setup_teardown trigger_rules catchup trigger_dag_run params deadline approval "
    wanted += "asset_producer asset_consumer called"
    assert blocks() == set(wanted.split())


def test_http_is_alone_in_its_file_as_its_operator_needs_an_extra() -> None:
    assert set(yaml.safe_load((FOLDER / "http.yaml").read_text())) == {block("http")}
    others = [file for file in FOLDER.glob("*.yaml") if file.name != "http.yaml"]
    assert not [file for file in others if "providers.http" in file.read_text()]


@pytest.fixture(scope="module")
def runs(gallery: Gallery) -> dict[str, Run]:
    """One run of each block, started side by side, once all have ended."""
    started = {}
    for name in sorted(blocks() - NOT_BY_ITSELF):
        body = {"logical_date": None, "conf": CONF.get(name, {})}
        started[name] = gallery.api.post(f"/dags/{block(name)}/dagRuns", body)["dag_run_id"]
    # Not one after the other: with SQLite, an API server that is asked for runs while tasks run stands still.
    gallery.api.patch(f"/dags?dag_id_pattern={block('%25')}&limit=100", {"is_paused": False})

    def all_ended() -> bool:
        """Ask with one request every two seconds: the same server answers the tasks."""
        time.sleep(2)
        found = gallery.api.get("/dags/~/dagRuns?state=running&state=queued&limit=100")["dag_runs"]
        going_on = {name for name, run_id in started.items() for run in found if run["dag_run_id"] == run_id}
        return going_on <= {"approval"}

    wait_until(all_ended, "the end of all blocks", TIMEOUT_S)
    # Not as soon as it is asked for: Airflow fails a task that goes on before its first part is accounted for.
    approve(gallery, block("approval"), started["approval"])
    return {name: gallery.ended(block(name), run_id) for name, run_id in started.items()}


def approve(gallery: Gallery, dag_id: str, run_id: str) -> None:
    """Answer as someone does in the UI."""
    task = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/approve"

    def waits() -> bool:
        return bool(gallery.api.get(task)["state"] == "awaiting_input")

    wait_until(waits, "the question", TIMEOUT_S)
    gallery.api.patch(f"{task}/-1/hitlDetails", {"chosen_options": ["Approve"], "params_input": {}})


slow = [pytest.mark.slow, pytest.mark.needs("mariadb"), pytest.mark.timeout(PATIENCE * TIMEOUT_S + 300)]


class TestRuns:
    pytestmark = slow

    def test_all_are_green(self, runs: dict[str, Run]) -> None:
        assert {name for name, run in runs.items() if run["state"] != "success"} == set()
        assert runs.keys() == blocks() - NOT_BY_ITSELF

    @pytest.mark.parametrize(
        ("name", "states"),
        [
            (
                "branch",
                {"choose_by_size": "success", "small": "success", "large": "skipped", "join": "success"},
            ),
            ("short_circuit", {"is_wanted": "success", "only_if_wanted": "skipped", "after_it": "skipped"}),
            (
                "trigger_rules",
                {
                    "succeeds": "success",
                    "skips": "skipped",
                    "all_success": "skipped",
                    "none_failed": "success",
                    "one_success": "success",
                    "one_failed": "skipped",
                    "all_done": "success",
                },
            ),
            ("approval", {"approve": "success", "go_on": "success"}),
        ],
    )
    def test_which_tasks_run(
        self, gallery: Gallery, runs: dict[str, Run], name: str, states: dict[str, str]
    ) -> None:
        assert gallery.tasks(runs[name]) == states

    @pytest.mark.parametrize(
        ("name", "task", "shown"),
        [
            ("empty", "bash", "Hello, bash"),
            ("empty", "python", "Hello, python"),
            ("http", "get_version", "3.3."),
            ("variables", "show_variables", "the last run: manual__"),
            ("variables", "show_variables", "no greeting yet"),
            ("connections", "show_address", "127.0.0.1:"),
            ("xcom", "report", "5 rows of day and amount"),
            ("jinja", "show", "building_blocks_jinja / show, try 1"),
            ("params", "greet", "3: Hello, Busan"),
            ("dynamic_mapping", "join", "Hello, Seoul; Hello, Busan; Hello, Jeju"),
            ("setup_teardown", "work", "result.txt"),
            ("file_sensor", "wait_for_file", "Poking for file /tmp/building_blocks/manual__"),
        ],
    )
    def test_what_the_log_shows(
        self, gallery: Gallery, runs: dict[str, Run], name: str, task: str, shown: str
    ) -> None:
        assert shown in gallery.log(runs[name], task)

    def test_sql_leaves_the_rows_of_one_run(self, gallery: Gallery, runs: dict[str, Run]) -> None:
        again = gallery.run(block("sql"))
        assert (runs["sql"]["state"], again["state"]) == ("success", "success")
        rows = gallery.rows("SELECT amount FROM building_blocks_sales ORDER BY sold_on")
        assert rows == [(10,), (0,), (7,)]

    def test_a_custom_operator_renders_its_template(self, gallery: Gallery, runs: dict[str, Run]) -> None:
        assert gallery.xcom(runs["custom_operator"], "count_words") == {"to": 2, "be": 2}

    def test_groups_wait_for_each_other(self, gallery: Gallery, runs: dict[str, Run]) -> None:
        assert gallery.tasks(runs["task_groups"]).keys() == {
            "prepare.extract",
            "prepare.clean",
            "evaluate.score",
            "evaluate.plot",
        }
        tasks = gallery.api.get(f"/dags/{block('task_groups')}/tasks")["tasks"]
        after = {task["task_id"]: set(task["downstream_task_ids"]) for task in tasks}
        assert after["prepare.clean"] == {"evaluate.score", "evaluate.plot"}

    def test_teardown_runs_even_after_work_that_failed(self, gallery: Gallery, runs: dict[str, Run]) -> None:
        failed = gallery.run(block("setup_teardown"), {"fail": True})
        assert failed["state"] == "failed"
        assert gallery.tasks(failed) == {
            "make_folder": "success",
            "work": "failed",
            "remove_folder": "success",
        }
        for run in (failed, runs["setup_teardown"]):
            folder = Path(gallery.xcom(run, "make_folder"))
            assert folder.parent.name == "building_blocks"
            assert not folder.exists()

    def test_past_days_follow_when_catchup_is_on(self, gallery: Gallery, runs: dict[str, Run]) -> None:
        def days() -> set[str]:
            found = gallery.api.runs(block("catchup"))
            return {
                run["logical_date"][:10] for run in found if run["state"] == "success" and run["logical_date"]
            }

        assert runs["catchup"]["state"] == "success"
        wait_until(lambda: len(days()) == 3, "the past days")

    def test_called_dags_know_who_asks(self, gallery: Gallery, runs: dict[str, Run]) -> None:
        called = gallery.api.runs(block("called"))
        assert {run["conf"]["asked_by"] for run in called if run["state"] == "success"} == {
            block("trigger_dag_run"),
            block("external_task_sensor"),
        }

    def test_an_asset_starts_its_consumer(self, gallery: Gallery, runs: dict[str, Run]) -> None:
        consumed = wait_until(lambda: gallery.api.runs(block("asset_consumer")), "a run by the asset")
        run = gallery.ended(block("asset_consumer"), consumed[0]["dag_run_id"])
        assert run["state"] == "success"
        assert gallery.xcom(run, "print_cause") == 1
        log = gallery.log(run, "print_cause")
        assert "example://building_blocks/table was changed by write" in log

    def test_a_missed_deadline_is_noted(self, gallery: Gallery, runs: dict[str, Run]) -> None:
        run_id = runs["deadline"]["dag_run_id"]

        def noted() -> list[str]:
            return [text for text in gallery.texts("building_blocks/missed_deadlines") if run_id in text]

        assert wait_until(noted, "the note") == [f"{run_id} had not ended 5 s after it was queued\n"]

    def test_the_form_has_its_values_and_limits(self, gallery: Gallery, runs: dict[str, Run]) -> None:
        params = gallery.api.get(f"/dags/{block('params')}/details")["params"]
        assert params["city"]["schema"]["enum"] == ["Seoul", "Busan", "Jeju"]
        assert params["times"]["schema"]["maximum"] == 10

    def test_the_answer_to_http_is_this_airflow(self, gallery: Gallery, runs: dict[str, Run]) -> None:
        answer = gallery.xcom(runs["http"], "get_version")
        assert answer["version"] == gallery.api.get("/version")["version"]
