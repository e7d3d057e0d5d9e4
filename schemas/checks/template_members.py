"""What a template takes from a variable, and from what that gives: ``ti.task.task_id``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from schemas.catalog.lookup import load_schema
from schemas.catalog.members import members_of_task

if TYPE_CHECKING:
    import jinja2.nodes

OF_A_MAPPING = frozenset({"get", "items", "keys", "values"})
TIMES = frozenset({"date", "datetime"})


@dataclass(frozen=True)
class Use:
    """A member that a template takes and that is not there.

    ``expression`` is all of it; ``of`` is what it is taken from, of the type ``kind``, which has ``known``.
    """

    expression: str
    of: str
    kind: str
    member: str
    known: tuple[str, ...]


class Types:
    """The types of a template's variables, for one task: which members each has, and of which types."""

    def __init__(self, task: dict[str, Any], params: set[str] | None) -> None:
        """``task`` is empty, and ``params`` None, where they are not known."""
        schema = load_schema()
        self.roots: dict[str, str] = schema["x-template-roots"]
        self.known: dict[str, dict[str, str]] = {**schema["x-template-types"]}
        self._task = task
        if params is not None:
            self.known["params"] = dict.fromkeys({*params, *OF_A_MAPPING}, "")

    def member(self, kind: str, name: str) -> str | None:
        """Return the type of a member, empty if that is not known; None if there is no such member."""
        if kind == "conn":
            return "connection" if name != "get" else "()connection"
        if kind == "task" and kind not in self.known:  # its operator is imported only where that is asked for
            of_task = members_of_task(self._task)
            if of_task is None:
                return ""
            self.known["task"] = {**dict.fromkeys(of_task, ""), "params": "params", "dag": "dag"}
        return self.known[kind].get(name) if kind in self.known else ""

    def of(self, node: jinja2.nodes.Node, free: frozenset[str]) -> str:
        """Return the type of an expression; ``free`` has the variables that come from outside."""
        from jinja2 import nodes

        if isinstance(node, nodes.Name):
            return self.roots.get(node.name, "") if node.name in free else ""
        if isinstance(node, nodes.Call):
            called = self.of(node.node, free)
            return (
                called[2:] if called.startswith("()") else called if called in (*TIMES, "timedelta") else ""
            )
        if isinstance(node, nodes.Add | nodes.Sub):
            left, right = self.of(node.left, free), self.of(node.right, free)
            return left if left in TIMES and right == "timedelta" else ""
        taken = taken_by(node)
        return self.member(self.of(taken[0], free), taken[1]) or "" if taken else ""


def taken_by(node: jinja2.nodes.Node) -> tuple[jinja2.nodes.Node, str] | None:
    """Return (expression, name) of ``expression.name`` and ``expression['name']``; None for others."""
    from jinja2 import nodes

    if isinstance(node, nodes.Getattr):
        return node.node, node.attr
    if (
        isinstance(node, nodes.Getitem)
        and isinstance(node.arg, nodes.Const)
        and isinstance(node.arg.value, str)
    ):
        return node.node, node.arg.value
    return None


def members_missing(tree: jinja2.nodes.Template, free: frozenset[str], types: Types) -> Iterator[Use]:
    """Yield each member that the template takes and that its type does not have, each expression once."""
    from jinja2 import nodes

    # A name that the template sets itself somewhere may be that one.
    free -= {name.name for name in tree.find_all(nodes.Name) if name.ctx != "load"}
    seen: set[str] = set()
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        taken = taken_by(node)
        if taken is None:
            continue
        kind, name = types.of(taken[0], free), taken[1]
        expression = written(node)
        if kind and expression not in seen and types.member(kind, name) is None:
            seen.add(expression)
            yield Use(expression, written(taken[0]), kind, name, tuple(sorted(types.known[kind])))


def written(node: jinja2.nodes.Node) -> str:
    """Return an expression as a template has it, with … for arguments."""
    from jinja2 import nodes

    if isinstance(node, nodes.Name):
        return str(node.name)
    if isinstance(node, nodes.Call):
        return f"{written(node.node)}(…)" if node.args or node.kwargs else f"{written(node.node)}()"
    if isinstance(node, nodes.Getattr):
        return f"{written(node.node)}.{node.attr}"
    if isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Const):
        return f"{written(node.node)}[{node.arg.value!r}]"
    if isinstance(node, nodes.Add | nodes.Sub):
        return f"({written(node.left)} {node.operator} {written(node.right)})"
    return "…"
