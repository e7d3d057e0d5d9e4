"""Which keys are names that the user chooses, and which are dag-factory's or Airflow's."""

from __future__ import annotations

from schemas.problems import KeyPath

# Below these keys a name is the user's own, and names no code.
FREE = frozenset({"op_kwargs", "params", "env", "conf"})
BROKEN_PREFIX = "config_error."  # of the DAGs that stand in for broken files
NAMED = ("tasks", "task_groups")  # the key after these is a name that the user chose


def is_free(path: KeyPath, *, in_defaults: bool) -> bool:
    """Return whether ``path`` is below a FREE key; a DAG or task of that name does not count.

    ``in_defaults``: the path is one of a defaults file, which has no dag_id at its top.
    """
    index = 0 if in_defaults else 1
    while index < len(path) - 1:
        if path[index] in FREE:
            return True
        index += 2 if path[index] in NAMED else 1
    return False


def is_name(path: KeyPath) -> bool:
    """Return whether the last key of ``path`` is a name that the user chose for a DAG, a task or a group."""
    return len(path) == 1 or (len(path) == 3 and path[1] in NAMED)
