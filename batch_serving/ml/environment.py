"""What results depend on beside data and settings, for a version's record: libraries and the machine."""

from __future__ import annotations

import platform
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

LIBRARIES = ("scikit-learn", "numpy", "scipy", "pandas", "joblib")
CPU_INFO = Path("/proc/cpuinfo")


def libraries() -> dict[str, str]:
    """Return the versions of Python and of the libraries that a saved model depends on."""
    return {"python": platform.python_version(), **{name: installed_version(name) for name in LIBRARIES}}


def machine() -> dict[str, str]:
    """Return what decides how numbers are rounded: the processor, and the libraries and threads of BLAS.

    numpy and scikit-learn must be imported: only libraries that are loaded are found.
    """
    from threadpoolctl import threadpool_info

    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "threads": ", ".join(sorted({_pool(one) for one in threadpool_info()})),
    }


def _processor() -> str:
    """Return the model of the processor; platform has none on Linux."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or "unknown"


def _pool(info: dict[str, Any]) -> str:
    """Return one library of threads, such as ``openblas 0.3.30 SkylakeX, 1 thread``."""
    about = (info["internal_api"], info.get("version"), info.get("architecture"))
    return f"{' '.join(str(text) for text in about if text)} with {info['num_threads']}"
