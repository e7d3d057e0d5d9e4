"""Loading YAML files into DAGs: this project's loader beside stock dag-factory and the same DAGs in Python.

Each measurement is a process of its own, imports left out; the kinds take turns, and the best of all counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = {4: 10, 100: 3, 1000: 1}  # number of files, and how often a process loads them
TASKS = 20
ROUNDS = 3  # processes of each kind, in turn, so that a slow moment of the machine hits all alike
BASH = "airflow.providers.standard.operators.bash.BashOperator"

CODE = {
    "stock dag-factory": """
from dagfactory import load_yaml_dags
def run(): load_yaml_dags({}, dags_folder=FOLDER, defaults_config_path=FOLDER)
""",
    "this project": """
from pathlib import Path
from schemas.loading import load_dags
from dagfactory.dagbuilder import DagBuilder
from dagfactory.utils import cast_with_type
def run():
    found = {}
    load_dags(Path(FOLDER), found)
    assert len(found) == COUNT and not any("config_error" in name for name in found), found
""",
    "plain Python": """
import runpy
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
def run(): runpy.run_path(FOLDER + "/plain.py")
""",
}
MEASURE = """
import sys, time, json, logging, warnings
warnings.simplefilter("ignore")
FOLDER, COUNT, REPEATS = {folder!r}, {count}, {repeats}
{code}
times = []
for _ in range(REPEATS):
    start = time.perf_counter()
    run()
    times.append(time.perf_counter() - start)
print("RESULT", json.dumps(times))
"""


def write_configs(folder: Path, count: int) -> None:
    """Write ``count`` YAML files of one DAG with 20 tasks in a chain, and the same in Python."""
    plain = [
        "import datetime",
        "from airflow.sdk import DAG",
        f"from {BASH.rpartition('.')[0]} import BashOperator",
    ]
    for number in range(count):
        lines = [
            f"dag_{number}:",
            '  schedule: "@daily"',
            "  start_date: 2026-01-01",
            "  catchup: false",
            "  tasks:",
        ]
        plain.append(
            f"with DAG('dag_{number}', schedule='@daily', start_date=datetime.datetime(2026, 1, 1, "
            "tzinfo=datetime.timezone.utc), catchup=False):"
        )
        for task in range(TASKS):
            lines += [
                f"    task_{task}:",
                f"      operator: {BASH}",
                f'      bash_command: "echo {task} {{{{ ds }}}}"',
            ]
            plain.append(
                f"    t{task} = BashOperator(task_id='task_{task}', bash_command='echo {task} {{{{ ds }}}}')"
            )
            if task:
                lines.append(f"      dependencies: [task_{task - 1}]")
                plain.append(f"    t{task - 1} >> t{task}")
        (folder / f"dag_{number}.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "plain.py").write_text("\n".join(plain) + "\n", encoding="utf-8")


def measure(code: str, folder: Path, count: int, home: Path, repeats: int, **more: str) -> float:
    """Run ``code`` in a new process and return the milliseconds of its best repetition."""
    script = MEASURE.format(folder=str(folder), count=count, repeats=repeats, code=code)
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        **more,
    }
    found = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False
    )
    result = next((line for line in found.stdout.splitlines() if line.startswith("RESULT")), None)
    if result is None:
        sys.exit(found.stdout[-2000:] + found.stderr[-2000:])
    return min(json.loads(result.partition(" ")[2])) * 1000


def main() -> None:
    """Print the tables."""
    with tempfile.TemporaryDirectory() as temporary:
        places = {count: (Path(temporary) / str(count), Path(temporary) / f"home{count}") for count in SIZES}
        for count, (folder, _) in places.items():
            folder.mkdir()
            write_configs(folder, count)
        print_loading(places)
        print_in_task(places)


def print_loading(places: dict[int, tuple[Path, Path]]) -> None:
    """Print milliseconds a file, for all files of a folder."""
    print(f"Loading files of {TASKS} tasks: milliseconds a file, and how often plain Python\n")
    print(f"  {'files':>6}  " + "  ".join(f"{name:>24}" for name in CODE) + f"  {'stock / ours':>12}")
    for count, (folder, home) in places.items():
        first = measure(CODE["this project"], folder, count, home, repeats=1) / count
        rounds = [
            {name: measure(code, folder, count, home, SIZES[count]) / count for name, code in CODE.items()}
            for _ in range(ROUNDS)
        ]
        best = {name: min(found[name] for found in rounds) for name in CODE}
        plain = best["plain Python"]
        cells = "  ".join(f"{value:>15.2f} ({value / plain:>4.1f} ×)" for value in best.values())
        print(f"  {count:>6}  {cells}  {best['stock dag-factory'] / best['this project']:>10.1f} ×")
        print(f"  {'':>6}  first check of all files, nothing known: {first:.2f} ms a file")


def print_in_task(places: dict[int, tuple[Path, Path]]) -> None:
    """Print milliseconds to load the one file that a task needs, among all files of a folder."""
    code = CODE["this project"].replace("len(found) == COUNT", "len(found) == 1")
    dag = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": "dag_0"}
    rounds = [
        {count: measure(code, folder, count, home, 10, **dag) for count, (folder, home) in places.items()}
        for _ in range(ROUNDS)
    ]
    best = {count: min(found[count] for found in rounds) for count in places}
    print("\nLoading in a task, which needs one file:\n")
    for count, value in best.items():
        print(
            f"  {count:>6} files  {value:>8.2f} ms  ({value / best[min(best)]:.2f} × that with {min(best)})"
        )


if __name__ == "__main__":
    main()
