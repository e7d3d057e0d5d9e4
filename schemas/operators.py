"""What operators, DAGs and functions take: read from what is installed, never from a list of our own."""

from __future__ import annotations

import difflib
import importlib
import signal
import sys
import threading
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

IMPORT_TIMEOUT_S = 10  # a module with nothing heavy at its top takes milliseconds
# They import, run or read whatever their arguments name.
NEVER_ALLOWED = ("airflow.sdk.module_loading", "airflow.sdk.execution_time", "airflow.sdk.configuration")
# dag-factory's ways to name code by a file or as text; only dotted paths can be checked.
CODE_BY_FILE = (
    "_file",
    "_file_path",
    "_lambda",
    "_callable_name",
    "_check_name",
    "_callback_name",
    "_fn_name",
)


@cache
def allowed_packages() -> tuple[str, ...]:
    """Return what YAML may name, from ``[tool.batch-serving] allowed-packages`` in pyproject.toml."""
    file = Path(__file__).resolve().parent.parent / "pyproject.toml"
    with file.open("rb") as stream:
        return tuple(tomllib.load(stream)["tool"]["batch-serving"]["allowed-packages"])


def is_allowed(path: str) -> bool:
    """Tell whether a dotted path lies in an allowed package, and in none that would open all others."""
    if path.startswith(NEVER_ALLOWED) or ".example_dags." in path:
        return False
    return any(path == allowed or path.startswith(f"{allowed}.") for allowed in allowed_packages())


@cache
def own_packages() -> tuple[str, ...]:
    """Return those of the allowed packages that are the project's own, and not Airflow's or Python's."""
    return tuple(
        package
        for package in allowed_packages()
        if package.partition(".")[0] not in ("airflow", *sys.stdlib_module_names)
    )


def is_own(path: str) -> bool:
    """Tell whether a dotted path lies in one of the project's own packages."""
    return any(path.startswith(f"{package}.") for package in own_packages())


def is_private(path: str) -> bool:
    """Tell whether a dotted path has a part with a leading underscore: such a part is not for YAML."""
    return any(part.startswith("_") for part in path.split("."))


class UnresolvedError(Exception):
    """A dotted path that names nothing; the hint is a suggestion or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the hint beside the message."""
        super().__init__(message)
        self.hint = hint


_failed: dict[str, UnresolvedError] = {}


def forget_failures() -> None:
    """Let modules that could not be imported be tried again: each pass over the files does so once."""
    _failed.clear()


@cache
def resolve(path: str) -> Any:
    """Import what an allowed dotted path names; raises UnresolvedError with a suggestion."""
    if not is_allowed(path):
        raise UnresolvedError(f"{path!r} is outside the allowed packages")
    module_name, _, name = path.rpartition(".")
    if module_name in _failed:
        raise _failed[module_name]
    try:
        module = _import(module_name)
    except UnresolvedError as error:
        _failed[module_name] = error
        raise
    try:
        return getattr(module, name)
    except AttributeError:
        public = [known for known in dir(module) if not known.startswith("_")]
        raise UnresolvedError(f"{module_name!r} has no {name!r}", did_you_mean(name, public)) from None


def _import(name: str) -> ModuleType:
    """Import a module, whatever it does meanwhile; raises UnresolvedError."""
    try:
        with _time_limit(IMPORT_TIMEOUT_S):
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and not name.startswith(error.name):
            raise UnresolvedError(f"{name!r} cannot be imported: {error}") from error
        raise UnresolvedError(f"there is no module {name!r}", _similar_module(name)) from error
    except _TooSlow as error:
        message = f"{name!r} cannot be imported: it takes more than {IMPORT_TIMEOUT_S} s"
        raise UnresolvedError(message, "move what takes so long into the functions") from error
    except BaseException as error:  # a module may raise whatever it likes; no other file is to suffer
        reason = f"{type(error).__name__}: {error}"
        raise UnresolvedError(f"{name!r} cannot be imported: {reason}") from error


class _TooSlow(BaseException):
    """Not an Exception, so that a loop that catches those does not go on."""


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """End what runs inside after ``seconds``. Airflow has an alarm of its own running, which is kept.

    Only a main thread can be interrupted; elsewhere there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise _TooSlow

    handler = signal.signal(signal.SIGALRM, ring)
    outer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *outer)
        signal.signal(signal.SIGALRM, handler)


def _similar_module(name: str) -> str:
    """Suggest a module beside the deepest package of ``name`` that exists."""
    import pkgutil

    parts = name.split(".")
    for depth in range(len(parts) - 1, 0, -1):
        try:
            package = importlib.import_module(".".join(parts[:depth]))
        except (Exception, SystemExit):  # noqa: S112 - the parent is tried next
            continue
        siblings = [module.name for module in pkgutil.iter_modules(getattr(package, "__path__", []))]
        return did_you_mean(parts[depth], [name for name in siblings if not name.startswith("_")])
    return ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the closest of ``known``, or an empty text."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    close = close or difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""
