"""Writes the graphs of all examples into examples.md: ``.venv/bin/python docs/examples_page.py``.

Each YAML file of an example has a Mermaid graph, as ``batch graph`` prints it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "examples.md"
MARK = "<!-- the graphs: docs/examples_page.py writes what follows -->\n"


def with_graphs(page: str) -> str:
    """Return the page with the graphs of the examples as they are now."""
    files = sorted((ROOT / "examples").glob("*/*.yaml"))
    sections: list[str] = []
    for name in dict.fromkeys(file.parent.name for file in files):
        about = (ROOT / "examples" / name / "README.md").read_text(encoding="utf-8").split("\n\n")[1]
        sections.append(f"## {name}\n\n{about}\n\n[More](../examples/{name}/README.md)\n")
        for file in (one for one in files if one.parent.name == name):
            sections.append(
                f"[{file.name}](../examples/{name}/{file.name}):\n\n```mermaid\n{graph(file)}```\n"
            )
    return page.partition(MARK)[0] + MARK + "\n" + "\n".join(sections)


def graph(file: Path) -> str:
    """Return a file's graph, as ``batch graph`` prints it."""
    command = [sys.executable, "-m", "schemas", "graph", str(file)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(with_graphs(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
