"""How long each view of the Batch Serving page takes: months of output, and ten times as much.

``make bench`` runs it; ``--quick`` with a twentieth of both. A process of its own asks for the pages of each amount, and says by how much
the API server grows: in time with the first request, and in memory until the end.
"""

from __future__ import annotations

import importlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]
REPEATS = 7
ASK = "--ask"
SERVER = (
    "airflow.api_fastapi.app",
    "airflow.api_fastapi.core_api.security",
)  # what the API server has anyway


def main(arguments: list[str]) -> int:
    """Print a table: the first answer and the median of the next ones, in milliseconds."""
    if ASK in arguments:
        return ask(int(arguments[-1]))
    with tempfile.TemporaryDirectory(prefix="bench_page_") as folder:
        os.environ["AIRFLOW_HOME"] = folder
        os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
        return _run(Path(folder), 20 if "--quick" in arguments else 1)


def _run(folder: Path, share: int) -> int:
    from airflow.utils.db import initdb
    from months_of_output import Amounts, write_all

    importlib.import_module(SERVER[0])  # it defines tables, too
    initdb()
    print(f"{'view':<22}{'amount':>8}{'first, ms':>12}{'next, ms':>12}", flush=True)
    for factor in (1, 10):
        os.environ["BATCH_OUTPUT"] = str(folder / f"output{factor}")
        amounts = Amounts(1000 * factor // share, 90 * factor // share, 365 * factor // share)
        write_all(Path(os.environ["BATCH_OUTPUT"]), amounts, datetime.now(UTC))
        subprocess.run([sys.executable, __file__, ASK, str(factor)], check=True)
    return 0


def ask(factor: int) -> int:
    """Ask for each page several times, as the API server does, and print how long that takes."""
    for name in SERVER:
        importlib.import_module(name)
    start, before = time.perf_counter(), _memory_mb()
    from batch_page.app import application

    application()
    started = time.perf_counter() - start
    for name, view in _views().items():
        first, following = _timed(view)
        print(f"{name:<22}{factor:>7}×{first:>12.0f}{following:>12.0f}", flush=True)
    print(f"{'the start':<22}{factor:>7}×{1000 * started:>12.0f}{'':>12}")
    print(f"{'memory, MB':<22}{factor:>7}×{'':>12}{_memory_mb() - before:>12.0f}", flush=True)
    return 0


def _views() -> dict[str, Callable[[], str]]:
    from asking import asking

    from batch_page.views import configs, models, overview, predictions, weather

    return {
        "overview": lambda: overview.page(asking("/")),
        "models": lambda: models.page(asking("/models")),
        "predictions": lambda: predictions.page(asking("/predictions")),
        "predictions, a row": lambda: predictions.page(asking("/predictions", row="812")),
        "weather": lambda: weather.page(asking("/weather", district="Mapo-gu")),
        "configs": lambda: configs.page(asking("/configs")),
    }


def _timed(ask: Callable[[], str]) -> tuple[float, float]:
    times = []
    for _ in range(1 + REPEATS):
        start = time.perf_counter()
        ask()
        times.append(1000 * (time.perf_counter() - start))
    return times[0], statistics.median(times[1:])


def _memory_mb() -> float:
    """Return what this process has in memory now; Linux says it in pages."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
