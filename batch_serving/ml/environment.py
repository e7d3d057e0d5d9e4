"""What results depend on beside data and settings, for a version's record: libraries and the machine."""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

LIBRARIES = ("scikit-learn", "numpy", "scipy", "pandas", "joblib")
CPU_INFO = Path("/proc/cpuinfo")


def libraries() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a saved model depends on."""
    return {"python": platform.python_version(), **{name: installed_version(name) for name in LIBRARIES}}


def machine() -> dict[str, Any]:
    """Return what decides how numbers are rounded: the processor, and the libraries and threads of BLAS.

    numpy and scikit-learn must be imported: only libraries that are loaded are found.
    """
    from threadpoolctl import threadpool_info

    pools = threadpool_info()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "blas": ", ".join(sorted({_name_of(pool) for pool in pools if pool["user_api"] == "blas"})),
        "threads": {pool["user_api"]: pool["num_threads"] for pool in pools},
    }


def with_threads_of(recorded: dict[str, Any]) -> AbstractContextManager[Any]:
    """Compute with as many threads as a version's record says: with more, sums have another order."""
    import sklearn.linear_model  # noqa: F401 - only libraries that are loaded are limited
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(recorded.get("threads"))
    return limits


def _processor() -> str:
    """Return the model of the processor; platform has none on Linux."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"


def _name_of(pool: dict[str, Any]) -> str:
    """Return the name of a library, such as ``openblas 0.3.30 Haswell``."""
    about = (pool["internal_api"], pool.get("version"), pool.get("architecture"))
    return " ".join(str(text) for text in about if text)
