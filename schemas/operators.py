"""What operators, DAGs and functions take: read from what is installed, never from a list of our own."""

from __future__ import annotations

import difflib
import importlib
import inspect
import signal
import threading
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
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


class UnresolvedError(Exception):
    """A dotted path that names nothing; the hint is a suggestion or empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        """Keep the hint beside the message."""
        super().__init__(message)
        self.hint = hint


@cache
def resolve(path: str) -> Any:
    """Import what an allowed dotted path names; raises UnresolvedError with a suggestion."""
    if not is_allowed(path):
        raise UnresolvedError(f"{path!r} is outside the allowed packages")
    module_name, _, name = path.rpartition(".")
    try:
        with _time_limit(IMPORT_TIMEOUT_S):
            module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and not module_name.startswith(error.name):
            raise UnresolvedError(f"{module_name!r} cannot be imported: {error}") from error
        raise UnresolvedError(f"there is no module {module_name!r}", _similar_module(module_name)) from error
    except _TooSlow as error:
        message = f"{module_name!r} cannot be imported: it takes more than {IMPORT_TIMEOUT_S} s"
        raise UnresolvedError(message, "move what takes so long into the functions") from error
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UnresolvedError(f"{module_name!r} cannot be imported: {reason}") from error
    try:
        return getattr(module, name)
    except AttributeError:
        public = [known for known in dir(module) if not known.startswith("_")]
        raise UnresolvedError(f"{module_name!r} has no {name!r}", did_you_mean(name, public)) from None


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


@cache
def arguments_of(operator: type) -> frozenset[str] | None:
    """Return the names that an operator's constructor takes, its base classes' included.

    None where a ``**kwargs`` never ends in a known base class, so that any name may be meant.
    """
    names: set[str] = set()
    for cls in operator.__mro__:
        init = cls.__dict__.get("__init__")
        if init is None:
            continue
        parameters = inspect.signature(init).parameters.values()
        names.update(
            one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)
        )
        if all(one.kind is not one.VAR_KEYWORD for one in parameters) or cls.__name__ == "BaseOperator":
            return frozenset(names - {"self"})
    return None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return ``did you mean 'x'?`` for the closest of ``known``, or an empty text."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}?" if close else ""
