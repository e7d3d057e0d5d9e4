"""``make graph``: prints which part imports which, as Mermaid; ``--write`` puts it into architecture.md.

A part is a package, or a room of one: a sub-package or a module directly in it. Imports inside functions
count. An arrow that other arrows imply is left out.
"""

from __future__ import annotations

import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

PAGE = Path(__file__).resolve().parent / "architecture.md"
PACKAGES = (
    "batch_cli",
    "batch_page",
    "batch_serving",
    "callables",
    "dags",
    "deploy",
    "examples",
    "plugins",
    "schemas",
)
PLANS = ("packages", "batch_serving", "schemas", "batch_page")
Arrows = dict[str, set[str]]  # part → the parts that it imports


def import_graph() -> grimp.ImportGraph:
    """Return all imports between modules of the project."""
    return grimp.build_graph(*PACKAGES)


def arrows_of(graph: grimp.ImportGraph, plan: str) -> Arrows:
    """Return the imports between packages, or between the rooms of one package."""
    arrows: Arrows = {}
    for module in sorted(graph.modules):
        if (part := _part(module, plan)) is None:
            continue
        imported = {_part(other, plan) for other in graph.find_modules_directly_imported_by(module)}
        arrows.setdefault(part, set()).update(found for found in imported if found not in (None, part))
    return arrows


def _part(module: str, plan: str) -> str | None:
    package, _, inside = module.partition(".")
    if plan == "packages":
        return package
    return inside.partition(".")[0] or None if package == plan else None


def in_order(arrows: Arrows) -> list[str]:
    """Return the parts, each after those that it imports; graphlib.CycleError for a circle."""
    return list(TopologicalSorter({part: sorted(arrows[part]) for part in sorted(arrows)}).static_order())


def reduced(arrows: Arrows) -> Arrows:
    """Leave out each arrow that a longer way implies."""
    reached: Arrows = {}
    kept: Arrows = {}
    for part in in_order(arrows):
        direct = arrows[part]
        implied = {further for near in direct for further in reached[near]}
        reached[part] = direct | implied
        kept[part] = direct - implied
    return kept


def mermaid(arrows: Arrows) -> str:
    """Return arrows as the text of a Mermaid flow chart, importers first."""
    lines = [f"  {part} --> {other}" for part in reversed(in_order(arrows)) for other in sorted(arrows[part])]
    imported = set().union(*arrows.values())
    alone = [f"  {part}" for part in sorted(arrows) if not arrows[part] and part not in imported]
    return "\n".join(["flowchart TD", *alone, *lines])


def with_plans(text: str, graph: grimp.ImportGraph) -> str:
    """Return the text of a page with the chart after each ``<!-- imports: PLAN -->`` replaced."""
    for plan in PLANS:
        start = f"<!-- imports: {plan} -->\n```mermaid\n"
        before, found, after = text.partition(start)
        if found:
            chart = mermaid(reduced(arrows_of(graph, plan)))
            text = f"{before}{start}{chart}\n{after[after.index('```') :]}"
    return text


def main(arguments: list[str]) -> int:
    """Print the charts, or write them into the page."""
    graph = import_graph()
    if arguments == ["--write"]:
        PAGE.write_text(with_plans(PAGE.read_text(encoding="utf-8"), graph), encoding="utf-8")
        print(f"wrote {PAGE.name}")
        return 0
    for plan in PLANS:
        print(f"%% {plan}\n{mermaid(reduced(arrows_of(graph, plan)))}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
