"""What the loader needs of Airflow beyond its public interface.

``tests/schemas/test_airflow_internals.py`` fails when Airflow changes one of these.
"""

from __future__ import annotations

import hashlib
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from airflow.exceptions import SerializationError
from airflow.sdk import DAG, BaseOperator

from schemas.documents.paths import BROKEN_PREFIX


class ConfigError(SerializationError):
    """A DAG file with errors; the text is all of its problems.

    Airflow would wrap any other kind of error in this one, and show the text twice.
    """


class BrokenConfig(DAG):
    """Stands in for a file with errors, so that Airflow shows them under that file's own path.

    Airflow files an error in turning a DAG into its stored form under the DAG's ``relative_fileloc``, and
    goes on with the module's other DAGs. An error raised at import would stop all of them.
    """

    def __init__(self, file: str, text: str) -> None:
        """Keep the text about ``file``, a path as shown to people."""
        self._file = file
        self._text = text
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(file).stem)[:100]
        digest = hashlib.sha256(file.encode()).hexdigest()[:8]
        super().__init__(dag_id=f"{BROKEN_PREFIX}{slug}-{digest}", schedule=None)

    @property
    def relative_fileloc(self) -> str:
        """The YAML's path, whatever Airflow sets."""
        return self._file

    @relative_fileloc.setter
    def relative_fileloc(self, value: str | None) -> None:
        """Ignore the path of the module that Airflow loaded."""

    def get_serialized_fields(self) -> frozenset[str]:
        """Raise the file's problems: Airflow asks for the fields when it stores a DAG."""
        raise ConfigError(f"\n{self._text}") from None


def try_to_store(dag: DAG) -> None:
    """Do what Airflow does after loading. There, an error is filed under the loader and stops all DAGs."""
    from airflow.dag_processing.dagbag import _validate_executor_fields
    from airflow.serialization.serialized_objects import DagSerialization

    dag.validate()
    dag.check_cycle()
    _validate_executor_fields(dag)
    DagSerialization.to_dict(dag)


def task_at_fault(error: BaseException) -> str | None:
    """Return the id of the task that Airflow was working on when it raised, or None if it was not on one.

    It is in a variable of the function that raised, or of the nearest caller that has one.
    """
    for frame in reversed([*frames_of(error)]):
        found: dict[str, str] = {
            name: value.task_id
            for name, value in frame.f_locals.items()
            if issubclass(type(value), _operators())
        }
        if "task" in found or len({*found.values()}) == 1:
            return found.get("task") or next(iter(found.values()))
    return None


def frames_of(error: BaseException) -> Iterator[FrameType]:
    """Yield the function calls that an error came through, from the outermost to its origin."""
    found: BaseException | None = error
    while found is not None:
        yield from (frame for frame, _ in traceback.walk_tb(found.__traceback__))
        found = found.__cause__ or found.__context__


def _operators() -> tuple[type, ...]:
    from airflow.sdk.definitions.mappedoperator import MappedOperator

    return BaseOperator, MappedOperator
