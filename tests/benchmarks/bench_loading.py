"""Loading YAML files into DAGs: this project's loader beside stock dag-factory and the same DAGs in Python.

Each measurement is a process of its own; the kinds take turns, and the best of all counts. The Python files are
compiled before.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
SIZES = {4: 10, 100: 3, 1000: 1}  # number of files, and how often a process loads them
TASKS = 20
ROUNDS = 3  # processes of each kind, in turn, so that a slow moment of the machine affects all alike
PARSES = 12  # of each kind, in turn, by one DAG processor
BASH = "airflow.providers.standard.operators.bash.BashOperator"

CODE = {
    "stock dag-factory": """
from dagfactory import load_yaml_dags
def run(): load_yaml_dags({}, dags_folder=FOLDER, defaults_config_path=FOLDER)
""",
    "this project": """
from pathlib import Path
from schemas.dag_factory import import_dag_factory
from schemas.loading import load_dags
import_dag_factory()
def run():
    found = {}
    load_dags(Path(FOLDER), found)
    assert len(found) == COUNT and not any("config_error" in name for name in found), found
""",
    "plain Python": """
import importlib
from airflow.sdk import DAG
from airflow.providers.standard.operators.bash import BashOperator
sys.path.insert(0, FOLDER)
import plain
def run():
    del sys.modules["plain"]
    importlib.import_module("plain")
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
print("RESULT", json.dumps(min(times)))
"""
# What the DAG processor does for each parse: import what the file names of Airflow, fork, load the file.
PARSE = """
import gc, importlib.machinery, importlib.util, json, logging, os, statistics, sys, time, warnings
warnings.simplefilter("ignore")
from airflow.dag_processing.manager import DagFileProcessorManager
from airflow.dag_processing.processor import _pre_import_airflow_modules
PATHS, PARSES, MODULES = {paths!r}, {parses}, {modules!r}
for path in PATHS.values():
    _pre_import_airflow_modules(path, logging.getLogger())
for name in MODULES:
    importlib.import_module(name)
gc.freeze()
def parse(path):
    start = time.process_time()
    loader = importlib.machinery.SourceFileLoader("parsed", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("parsed", loader))
    loader.exec_module(module)
    taken = time.process_time() - start
    found = sum(type(value).__name__ == "DAG" for value in vars(module).values())
    assert found == {count} or "plain" in path, (path, found)
    return taken
def in_a_fork(path):
    read, write = os.pipe()
    if not os.fork():
        try:
            os.write(write, str(parse(path)).encode())
        finally:
            os._exit(0)
    os.wait()
    return float(os.read(read, 100))
for path in PATHS.values():
    in_a_fork(path)
times = {{name: [] for name in PATHS}}
for _ in range(PARSES):
    for name, path in PATHS.items():
        times[name].append(in_a_fork(path))
ratio = statistics.median(ours / plain for ours, plain in zip(times["ours"], times["plain"]))
print("RESULT", json.dumps({{"plain": min(times["plain"]), "ours": min(times["ours"]), "ratio": ratio}}))
"""


def write_configs(folder: Path, count: int, name: Callable[[int], str] = "dag_{}.yaml".format) -> None:
    """Write ``count`` YAML files of one DAG with 20 tasks in a chain, and the same in Python."""
    folder.mkdir(parents=True)
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
            f"tzinfo=datetime.timezone.utc), catchup=False) as dag_{number}:"
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
        (folder / name(number)).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "plain.py").write_text("\n".join(plain) + "\n", encoding="utf-8")


def run(script: str, home: Path, **more: str) -> object:
    """Run a script in a new process and return its result."""
    # Without bytecode, each process would compile this project and the Python files again.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {
        **inherited,
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
    return json.loads(result.partition(" ")[2])


def measure(code: str, folder: Path, count: int, home: Path, repeats: int, **more: str) -> float:
    """Run ``code`` in a new process and return the milliseconds of its best repetition."""
    script = MEASURE.format(folder=str(folder), count=count, repeats=repeats, code=code)
    seconds = run(script, home, **more)
    assert isinstance(seconds, float)
    return seconds * 1000


def main() -> None:
    """Print the tables."""
    from batch_serving.shared.command_line import end_in_order

    end_in_order()
    with tempfile.TemporaryDirectory() as temporary:
        places = {
            count: (Path(temporary) / str(count) / "dag_configs", Path(temporary) / f"home{count}")
            for count in SIZES
        }
        for count, (folder, _) in places.items():
            write_configs(folder, count)
        print_loading(places)
        print_parses(places)
        print_in_task(Path(temporary), places)


def print_loading(places: dict[int, tuple[Path, Path]]) -> None:
    """Print milliseconds a file, for all files of a folder."""
    print(
        f"Loading files of {TASKS} tasks, imports left out: milliseconds a file, and how often plain Python\n"
    )
    print(f"  {'files':>6}  " + "  ".join(f"{name:>24}" for name in CODE) + f"  {'stock / ours':>12}")
    for count, (folder, home) in places.items():
        first = measure(CODE["this project"], folder, count, home, repeats=1) / count
        rounds = [
            {name: measure(code, folder, count, home, SIZES[count]) / count for name, code in CODE.items()}
            for _ in range(ROUNDS)
        ]
        best = {name: min(found[name] for found in rounds) for name in CODE}
        plain = best["plain Python"]
        cells = "  ".join(f"{value:>14.2f} ({value / plain:>4.2f} ×)" for value in best.values())
        print(f"  {count:>6}  {cells}  {best['stock dag-factory'] / best['this project']:>10.1f} ×")
        print(f"  {'':>6}  first check of all files, nothing known: {first:.2f} ms a file")


def print_parses(places: dict[int, tuple[Path, Path]]) -> None:
    """Print the CPU time of one parse of dags/load_all.py by the DAG processor, imports included.

    The ratio is the median of those of parses one after the other: the best of either may be of another moment.
    """
    print(
        "\nOne parse by the DAG processor, imports included: milliseconds of CPU, and how often plain Python\n"
    )
    print(f"  {'files':>6}  {'plain Python':>14}  {'dags/load_all.py':>22}  {'with deploy/settings':>22}")
    for count, (folder, home) in places.items():
        dags = folder.parent / "dags"
        dags.mkdir()
        shutil.copy(ROOT / "dags" / "load_all.py", dags)
        paths = {"plain": str(folder / "plain.py"), "ours": str(dags / "load_all.py")}
        found = {}
        for modules in ((), ("dagfactory.dagbuilder",)):
            parses = PARSES if count <= 100 else 3
            script = PARSE.format(paths=paths, parses=parses, modules=modules, count=count)
            found[modules] = run(script, home)
        without, with_settings = found.values()
        cells = "  ".join(
            f"{times['ours'] * 1000:>13.0f} ({times['ratio']:>4.2f} ×)" for times in (without, with_settings)
        )
        print(f"  {count:>6}  {without['plain'] * 1000:>14.0f}  {cells}")


def print_in_task(temporary: Path, places: dict[int, tuple[Path, Path]]) -> None:
    """Print milliseconds to load the one file that a task needs, among all files of a folder."""
    code = CODE["this project"].replace("len(found) == COUNT", "len(found) == 1")
    print("\nLoading in a task, which needs one file: milliseconds\n")
    print(
        f"  {'files':>6}  {'known from a pass':>18}  {'fresh, named after it':>22}  {'fresh, another name':>20}"
    )
    for count, (folder, home) in places.items():
        other = temporary / "other" / str(count) / "dag_configs"
        write_configs(other, count, "file_{}.yaml".format)
        dag = {"_AIRFLOW_PARSING_CONTEXT_DAG_ID": f"dag_{count - 1}"}
        cases = [(folder, home), (folder, temporary / "fresh"), (other, temporary / "fresh")]
        rounds = [
            [measure(code, where, count, its_home, 10, **dag) for where, its_home in cases]
            for _ in range(ROUNDS)
        ]
        known, named, searched = (min(found) for found in zip(*rounds, strict=True))
        print(f"  {count:>6}  {known:>18.2f}  {named:>22.2f}  {searched:>20.2f}")


if __name__ == "__main__":
    main()
