"""What operators, DAGs and functions take: read from what is installed, never from a list of our own."""

from __future__ import annotations

import importlib
import re
import signal
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FrameType, ModuleType
from typing import Any

from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.shared.suggestions import suggest

IMPORT_TIMEOUT_S = 10  # of the processor's time; a module with nothing heavy at its top takes milliseconds
WAIT_TIMEOUT_S = 60  # on the clock, for a module that waits: on a loaded machine the processor comes late
# They import, run or read whatever their arguments name.
NEVER_ALLOWED = ("airflow.sdk.module_loading", "airflow.sdk.execution_time", "airflow.sdk.configuration")
# dag-factory's ways to name code by a file or as text; only dotted paths can be checked.
CODE_BY_FILE = re.compile(
    r"(?P<what>python_callable|execution_date_fn|(success|failure|response)_check|doc_md_python_callable|\w+_callback)"
    r"_(name|file|lambda)|doc_md_file_path"
)


@cache
def allowed_packages() -> tuple[str, ...]:
    """Return what YAML may name, from ``[tool.batch-serving] allowed-packages`` in pyproject.toml."""
    file = PROJECT_ROOT / "pyproject.toml"
    with file.open("rb") as stream:
        return tuple(tomllib.load(stream)["tool"]["batch-serving"]["allowed-packages"])


def is_allowed(path: str) -> bool:
    """Return whether a dotted path is in an allowed package, and in none that would open all others."""
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
    """Return whether a dotted path is in one of the project's own packages."""
    return any(path.startswith(f"{package}.") for package in own_packages())


def is_private(path: str) -> bool:
    """Return whether a dotted path has a part with a leading underscore: such a part is not for YAML."""
    return any(part.startswith("_") for part in path.split("."))


class UnresolvedError(Exception):
    """A dotted path that names nothing; ``meant`` is the path that it must be, if only one is near."""

    def __init__(self, message: str, hint: str = "", meant: str = "") -> None:
        """Keep the hint and the path that is meant beside the message."""
        super().__init__(message)
        self.hint, self.meant = hint, meant


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
        known = _failed[module_name]
        raise UnresolvedError(str(known), known.hint, f"{known.meant}.{name}" if known.meant else "")
    try:
        module = _import(module_name)
    except UnresolvedError as error:
        _failed[module_name] = error
        raise UnresolvedError(
            str(error), error.hint, f"{error.meant}.{name}" if error.meant else ""
        ) from error
    try:
        return getattr(module, name)
    except AttributeError:
        found = suggest(name, _own_names(module))
        hint = found.hint if found else ""
        meant = f"{module_name}.{found.name}" if found and found.certain else ""
        raise UnresolvedError(f"{module_name!r} has no {name!r}", hint, meant) from None


def _own_names(module: ModuleType) -> list[str]:
    """Return the public names of a module, of the project's own modules only those that are defined there."""
    public = [name for name in dir(module) if not name.startswith("_")]
    if not is_own(f"{module.__name__}."):
        return public
    return [name for name in public if getattr(getattr(module, name), "__module__", "") == module.__name__]


def _import(name: str) -> ModuleType:
    """Import a module, whatever it does meanwhile; raises UnresolvedError."""
    try:
        with _time_limit():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and not name.startswith(error.name):
            raise UnresolvedError(f"{name!r} cannot be imported: {error}") from error
        raise _no_such_module(name) from error
    except _TooSlow as error:
        message = f"{name!r} cannot be imported: it takes more than {error}"
        raise UnresolvedError(message, "move what takes so long into the functions") from error
    except BaseException as error:  # a module may raise whatever it likes; no other file is to suffer
        reason = f"{type(error).__name__}: {error}"
        raise UnresolvedError(f"{name!r} cannot be imported: {reason}") from error


class _TooSlow(BaseException):
    """Not an Exception, so that a loop that catches those does not go on."""


@contextmanager
def _time_limit() -> Iterator[None]:
    """End what runs inside when it has used, or waited for, too much time. An alarm that Airflow has set is
    kept.

    Only a main thread can be interrupted; elsewhere there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def used_up(_number: int, _frame: FrameType | None) -> None:
        raise _TooSlow(f"{IMPORT_TIMEOUT_S:g} s of the processor's time")

    def waited(_number: int, _frame: FrameType | None) -> None:
        raise _TooSlow(f"{wait:.0f} s")

    begin = time.monotonic()
    outer = signal.getitimer(signal.ITIMER_REAL)[0]
    wait = min(WAIT_TIMEOUT_S, outer * 0.8) if outer else WAIT_TIMEOUT_S
    handlers = {signal.SIGPROF: signal.signal(signal.SIGPROF, used_up)}
    handlers[signal.SIGALRM] = signal.signal(signal.SIGALRM, waited)
    signal.setitimer(signal.ITIMER_PROF, IMPORT_TIMEOUT_S)
    signal.setitimer(signal.ITIMER_REAL, wait)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if outer:  # what is left of it
            signal.setitimer(signal.ITIMER_REAL, max(outer - (time.monotonic() - begin), 0.001))


def _no_such_module(name: str) -> UnresolvedError:
    """Return the error for a module that does not exist, with the one beside it that is nearly called so."""
    import pkgutil

    message = f"module {name!r} does not exist"
    parts = name.split(".")
    for depth in range(len(parts) - 1, 0, -1):
        package_name = ".".join(parts[:depth])
        try:
            package = importlib.import_module(package_name)
        except (Exception, SystemExit):  # noqa: S112 - the parent is tried next
            continue
        siblings = [module.name for module in pkgutil.iter_modules(getattr(package, "__path__", []))]
        found = suggest(parts[depth], [one for one in siblings if not one.startswith("_")])
        if found is None:
            return UnresolvedError(message)
        meant = ".".join([package_name, found.name, *parts[depth + 1 :]]) if found.certain else ""
        return UnresolvedError(message, found.hint, meant)
    return UnresolvedError(message)
