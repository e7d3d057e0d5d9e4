"""Faults of a cluster: each part is killed while tasks work. Each run ends in a true state, and no hand is needed."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
import requests
from clusters import RunningCluster
from running_airflow import wait_until
from thorough import tries

pytestmark = [
    pytest.mark.slow,
    pytest.mark.extra("cluster"),
    pytest.mark.needs("postgres", "redis", "cc"),
    pytest.mark.timeout(900),
]

ENDED_WITHIN_S = 180
RUNS_AT_ONCE = tries(20, 200)
SILENT_S = tries(12, 30)
KILLED = ("redis", "postgres", "api-server", "scheduler", "seaweedfs")  # in this order, while one task works
EACH_ALONE = tuple((part,) for part in KILLED)
CONTROL = ("api-server", "scheduler", "dag-processor", "triggerer")
PARTS = ("postgres", "redis", "seaweedfs", *CONTROL, "w1", "w2")


def patiently(ask: Callable[[], Any]) -> Any:
    """Ask an API server that may be starting again."""

    def answer() -> Any:
        try:
            return [ask()]
        except (requests.RequestException, KeyError, RuntimeError, AssertionError):
            return None

    return wait_until(answer, "the API server", 120)[0]


def begun(cluster: RunningCluster, dag_id: str, seconds: int) -> dict[str, Any]:
    """Start a run of the slow DAG and return its task once it runs."""
    run_id = cluster.api.trigger(dag_id, {"seconds": seconds})

    def running() -> Any:
        path = f"/dags/{dag_id}/dagRuns/{run_id}/taskInstances/work"
        task = cluster.api.get(path)
        return task if task["state"] == "running" else None

    found: dict[str, Any] = wait_until(running, f"the start of {run_id}", 90)
    time.sleep(3)  # the process of the task has begun its work, and its first heartbeat is out
    return found


def task_of(cluster: RunningCluster, task: dict[str, Any]) -> dict[str, Any]:
    """Return what the API says of a task now."""
    path = f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
    found: dict[str, Any] = patiently(lambda: cluster.api.get(path))
    return found


def ended(cluster: RunningCluster, task: dict[str, Any]) -> dict[str, Any]:
    """Return the run of a task, once it has ended."""
    path = f"/dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}"

    def state() -> Any:
        run = patiently(lambda: cluster.api.get(path))
        return run if run["state"] in ("success", "failed") else None

    run: dict[str, Any] = wait_until(state, f"the end of {task['dag_run_id']}", ENDED_WITHIN_S)
    return run


def worker_of(task: dict[str, Any]) -> str:
    return {"127.0.0.11": "w1", "127.0.0.12": "w2"}[task["hostname"]]


def all_there(cluster: RunningCluster) -> None:
    """Wait until each part runs again, and the two workers take tasks."""
    wait_until(lambda: all(map(cluster.part, PARTS)), "all parts", 120)
    wait_until(lambda: not cluster.instance._missing(), "a healthy cluster", 120)


@pytest.fixture(autouse=True)
def healthy(cluster: RunningCluster) -> None:
    all_there(cluster)


def said(fault: str, started: float, run: dict[str, Any], cluster: RunningCluster) -> None:
    count = len(cluster.tries(run, "work"))
    print(f"\n  {fault}: {run['state']} after {time.monotonic() - started:.0f} s and {count} tries")


def test_all_four_pipelines_run_on_two_workers_without_a_shared_folder(cluster: RunningCluster) -> None:
    for dag_id in ("train_model", "predict", "collect_weather"):
        assert cluster.run(dag_id)["state"] == "success"
    cluster.quiet("promote_model")
    assert cluster.api.runs("promote_model")[-1]["state"] == "success"
    tasks = cluster.api.get("/dags/~/dagRuns/~/taskInstances?limit=100")["task_instances"]
    assert {task["hostname"] for task in tasks if task["hostname"]} == {"127.0.0.11", "127.0.0.12"}
    run = cluster.api.runs("train_model")[0]
    assert "saved digits" in cluster.log(run, "train_challenger")


def test_a_worker_is_killed_with_its_tasks(cluster: RunningCluster) -> None:
    task = begun(cluster, "slow", 15)
    started = time.monotonic()
    cluster.kill(worker_of(task), whole=True)
    run = ended(cluster, task)
    said("worker killed", started, run, cluster)
    assert run["state"] == "success"
    assert [one["state"] for one in cluster.tries(run, "work")][-1] == "success"
    all_there(cluster)
    first = wait_until(lambda: "BEGUN" in (log := cluster.log(run, "work", 1)) and log, "the log", 60)
    assert "ENDED" not in first  # as far as it got
    assert "ENDED" in cluster.log(run, "work", len(cluster.tries(run, "work")))


def test_the_process_of_a_task_is_killed(cluster: RunningCluster) -> None:
    task = begun(cluster, "slow", 20)
    started = time.monotonic()
    part = cluster.part(worker_of(task))
    assert part is not None
    (sleeping,) = wait_until(
        lambda: [one for one in part.children(recursive=True) if one.name() == "sleep"], "the command", 15
    )
    for process in sleeping.parents()[1:2]:  # the task, which waits for bash
        process.kill()
    run = ended(cluster, task)
    said("process of a task killed", started, run, cluster)
    assert run["state"] == "success"


def test_the_main_process_of_a_worker_is_killed(cluster: RunningCluster) -> None:
    task = begun(cluster, "slow", 10)
    started = time.monotonic()
    cluster.kill(worker_of(task))
    run = ended(cluster, task)
    said("main process of a worker killed", started, run, cluster)
    assert run["state"] == "success"
    all_there(cluster)
    host, port = task["hostname"], cluster.instance.settings["AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT"]
    wait_until(lambda: requests.get(f"http://{host}:{port}/", timeout=5).status_code, "the log server", 60)


def test_a_worker_is_asked_to_end(cluster: RunningCluster) -> None:
    task = begun(cluster, "slow", 8)
    started = time.monotonic()
    cluster.kill(worker_of(task), number=signal.SIGTERM)
    run = ended(cluster, task)
    said("SIGTERM to a worker", started, run, cluster)
    assert (run["state"], len(cluster.tries(run, "work"))) == ("success", 1)


def test_each_service_and_component_is_killed(cluster: RunningCluster) -> None:
    for parts in EACH_ALONE if tries(0, 1) else (KILLED,):
        task = begun(cluster, "slow", 4 + 10 * len(parts))
        started = time.monotonic()
        for part in parts:
            # PostgreSQL gets SIGINT, its fast shutdown; the others what a power cut does.
            cluster.kill(part, number=signal.SIGINT if part == "postgres" else signal.SIGKILL)
            wait_until(lambda part=part: cluster.part(part), f"{part} again", 60)
            time.sleep(5)
        run = ended(cluster, task)
        said(f"{', '.join(parts)} killed", started, run, cluster)
        assert run["state"] == "success"
        all_there(cluster)
    assert patiently(lambda: cluster.run("collect_weather"))["state"] == "success"  # and it goes on


def test_the_storage_is_silent_for_a_while(cluster: RunningCluster) -> None:
    storage = cluster.part("seaweedfs")
    assert storage is not None
    run_id = cluster.api.trigger("train_model", None)
    started = time.monotonic()
    storage.suspend()
    try:
        time.sleep(SILENT_S)
    finally:
        storage.resume()
    run = wait_until(
        lambda: (found := cluster.api.get(f"/dags/train_model/dagRuns/{run_id}"))["state"] in ("success", "failed")
        and found, "the run", ENDED_WITHIN_S,
    )  # fmt: skip
    print(f"\n  storage silent for {SILENT_S} s: {run['state']} after {time.monotonic() - started:.0f} s")
    assert run["state"] == "success"


def test_the_storage_fails_a_third_of_all_requests_and_is_slow(cluster: RunningCluster) -> None:
    started = time.monotonic()
    cluster.storage.failing, cluster.storage.slow = 1 / 3, 1 / 10
    try:
        states = {
            dag_id: cluster.run(dag_id)["state"] for dag_id in ("train_model", "predict", "collect_weather")
        }
    finally:
        cluster.storage.failing = cluster.storage.slow = 0.0
    print(
        f"\n  {cluster.storage.failed} requests answered with 500: {time.monotonic() - started:.0f} s, {states}"
    )
    assert set(states.values()) == {"success"}
    assert cluster.storage.failed > 10


def test_a_worker_is_killed_with_no_retry_left(cluster: RunningCluster) -> None:
    cluster.slack.messages.clear()
    task = begun(cluster, "slow_once", 60)
    started = time.monotonic()
    cluster.kill(worker_of(task), whole=True)
    run = ended(cluster, task)
    said("worker killed, no retry left", started, run, cluster)
    assert run["state"] == "failed"
    wait_until(lambda: cluster.slack.messages, "Slack", 60)
    time.sleep(15)  # another look of the watcher
    assert len([text for text in cluster.slack.messages if "slow_once" in text]) == 1


def test_a_yaml_is_broken_and_repaired_while_runs_go_on(cluster: RunningCluster) -> None:
    path = cluster.project / "dag_configs" / "slow.yaml"
    whole = path.read_text(encoding="utf-8")
    task = begun(cluster, "slow", 10)
    path.write_text(whole.replace("schedule:", "schedul:"), encoding="utf-8")
    wait_until(lambda: "dag_configs/slow.yaml" in cluster.import_errors(), "the error", 90)
    path.write_text(whole, encoding="utf-8")
    wait_until(lambda: not cluster.import_errors(), "the repair", 90)
    assert ended(cluster, task)["state"] == "success"
    assert cluster.run("slow", {"seconds": 1})["state"] == "success"


def test_the_disk_is_full_for_a_while(cluster: RunningCluster) -> None:
    """Storage, queue and logs are on it, and the workers' folders."""
    task = begun(cluster, "slow", 5)
    cluster.disk.fill()
    started = time.monotonic()
    try:
        run_id = cluster.api.trigger("train_model", None)
        time.sleep(SILENT_S)
        assert cluster.disk.free_bytes() < 1 << 20
    finally:
        cluster.disk.free()
    run = ended(cluster, task)
    said(f"disk full for {SILENT_S} s", started, run, cluster)
    assert run["state"] == "success"
    trained = ended(cluster, {"dag_id": "train_model", "dag_run_id": run_id})
    print(f"  a training then: {trained['state']} after {time.monotonic() - started:.0f} s")
    assert trained["state"] == "success"


def test_the_clock_jumps_an_hour_back_and_forward_again(cluster: RunningCluster) -> None:
    """Runs that were due before the jump back wait until they are due again; new ones do not."""
    with cluster.alone("slow"):
        early = begun(cluster, "slow", 10)
    started = time.monotonic()
    cluster.jump(-3600)
    new = patiently(lambda: cluster.run("slow", {"seconds": 1}))
    print(
        f"\n  a new run after a jump of the clock back: {new['state']} after {time.monotonic() - started:.0f} s"
    )
    assert new["state"] == "success"
    assert task_of(cluster, early)["state"] in ("up_for_retry", "success")
    all_there(cluster)
    late = begun(cluster, "slow", 10)
    started = time.monotonic()
    cluster.jump(0)
    for fault, task in (("back", early), ("forward", late)):
        run = ended(cluster, task)
        said(f"clock an hour {fault}", started, run, cluster)
        assert run["state"] == "success"
    assert patiently(lambda: cluster.run("predict"))["state"] == "success"  # and it goes on


def test_many_runs_at_the_same_time(cluster: RunningCluster) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        runs = list(pool.map(lambda _: cluster.api.trigger("slow", {"seconds": 0}), range(RUNS_AT_ONCE)))
    path = "/dags/slow/dagRuns/{}"
    states = [
        wait_until(
            lambda run_id=run_id: (found := cluster.api.get(path.format(run_id)))["state"]
            in ("success", "failed") and found["state"], run_id, 1800,
        ) for run_id in runs
    ]  # fmt: skip
    print(f"\n  {len(runs)} runs at the same time: {time.monotonic() - started:.0f} s")
    assert states == ["success"] * RUNS_AT_ONCE


def test_a_run_has_made_one_version_in_all_of_this(cluster: RunningCluster) -> None:
    client = cluster.instance.parts.services.s3_client()
    pages = client.get_paginator("list_objects_v2").paginate(Bucket="batch", Prefix="output/models/")
    keys = [one["Key"] for page in pages for one in page.get("Contents", ())]
    versions = [key for key in keys if key.endswith("/metadata.json")]
    done = [run for run in cluster.api.runs("train_model") if run["state"] == "success"]
    assert len(versions) == len(done)
    assert not [key for key in keys if key.endswith(".tmp")]
    assert psutil.pid_exists(cluster.leader().pid)
