"""Which file a dag_id belongs to: the same one for a task, which reads few files, as for a pass over all."""

from __future__ import annotations

import random
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from schemas.documents.reading import DocumentError, decode_document, find_files
from schemas.ownership import Ownership, Source

IDS = ("predict", "pre", "a.b-c_1", "123", "1.5", "True", "2026-01-01", "nan")
# Each is a way to write a DAG's key, and what else must stand before it.
WAYS = {
    "plain": "{id}: {{}}\n",
    "single quotes": "'{id}': {{}}\n",
    "double quotes": '"{id}": {{}}\n',
    "a blank before the colon": '"{id}" : {{}}\n',
    "escaped": '"{escaped}": {{}}\n',
    "escaped, with a tag": '!!str "{escaped}" : {{}}\n',
    "flow": '{{"{id}": {{}}}}\n',
    "flow, escaped": '{{x: 1, "{escaped}":{{}}}}\n',
    "explicit": "? {id}\n: {{}}\n",
    "explicit, escaped": '? "{escaped}"\n: {{}}\n',
    "explicit, over two lines": '? "{first}\\\n   {rest}"\n: {{}}\n',
    "explicit, as a block": "? >-\n  {id}\n: {{}}\n",
    "an alias": "base: &name '{id}'\n*name : {{}}\n",
    "an escaped alias": 'base: &name "{escaped}"\n*name : {{}}\n',
    "indented": "   {id}: {{}}\n",
    "below others": "default: {{}}\nother: {{tasks: {{}}}}\n{id}: {{}}\n",
    "Windows lines": "x: 1\r\n{id}: {{}}\r\n",
    "a byte order mark": "\ufeff{id}: {{}}\n",
}
# Odd ids that YAML reads as something else when they are not quoted, in another writing.
OTHER_WRITINGS = {"123": "0x7b: {{}}\n", "1.5": "1.50: {{}}\n", "True": "yes: {{}}\n", "nan": ".NaN: {{}}\n"}
NOT_THERE = (
    "other: {{description: '{id}:'}}\n",
    "# {id}:\nother: {{}}\n",
    "other:\n  {id}: {{}}\n",
    "other:\n  doc_md: |\n    {id}: x\n",
    "{id}_2: {{}}\n",
    "x{id}: {{}}\n",
    "",
)
BROKEN = ("[", "{id}: [", "{id}: {{}}\n{id}: {{}}\n", "{id}: *nowhere\n", "\t{id}: {{}}\n")


def text_of(template: str, dag_id: str) -> str:
    escaped = "".join(f"\\x{ord(letter):02x}" if index % 2 else letter for index, letter in enumerate(dag_id))
    return template.format(id=dag_id, escaped=escaped, first=dag_id[:1], rest=dag_id[1:])


def dag_ids_in(source: Source) -> Collection[str]:
    return source.document.dags


def holds(path: Path, dag_id: str) -> bool | None:
    """Whether a file has a DAG, from all of its text; None if it cannot be parsed."""
    try:
        return dag_id in decode_document(path, path.name, path.read_bytes()).dags
    except DocumentError:
        return None


def expected(folder: Path, dag_id: str, places: dict[str, str]) -> Path | None:
    """The owner, found by reading all files."""
    files = find_files(folder)
    had_it = [path for path in files if str(path) == places.get(dag_id) and holds(path, dag_id) is not False]
    has_it = [path for path in files if holds(path, dag_id)]
    named = [path for path in has_it if path.stem == dag_id]
    return next(iter([*had_it, *named, *has_it]), None)


@pytest.mark.parametrize("dag_id", ["predict", "a.b-c_1"])
@pytest.mark.parametrize("way", WAYS)
def test_a_dag_id_is_found_however_it_is_written(tmp_path: Path, way: str, dag_id: str) -> None:
    for number, template in enumerate(NOT_THERE):
        (tmp_path / f"other_{number}.yaml").write_text(text_of(template, dag_id), encoding="utf-8")
    (tmp_path / "the_one.yaml").write_text(text_of(WAYS[way], dag_id), encoding="utf-8", newline="")
    found = Ownership([tmp_path], {}, dag_ids_in).find(dag_id)
    assert found is not None
    assert found.path == tmp_path / "the_one.yaml"


@pytest.mark.parametrize("dag_id", OTHER_WRITINGS)
def test_a_key_that_yaml_does_not_read_as_text_is_not_a_dag_of_the_same_reading(
    tmp_path: Path, dag_id: str
) -> None:
    # The checker refuses such a key: the file loads no DAG, and must not take one from another file.
    (tmp_path / "a.yaml").write_text(text_of(OTHER_WRITINGS[dag_id], dag_id), encoding="utf-8")
    (tmp_path / "b.yaml").write_text(f'"{dag_id}": {{}}\n', encoding="utf-8")
    found = Ownership([tmp_path], {}, dag_ids_in).find(dag_id)
    assert found is not None
    assert found.path == tmp_path / "b.yaml"


def write_folder(folder: Path, chance: random.Random) -> dict[str, str]:
    """Write some files with some dag_ids in some of the ways, and return some places."""
    files = []
    for _ in range(chance.randint(1, 7)):
        dag_id = chance.choice(IDS)
        name = chance.choice([dag_id, chance.choice(IDS), "a", "z", f"copy of {dag_id}"])
        file = (
            folder
            / chance.choice(["", "team", "team/inner", "Team"])
            / f"{name}{chance.choice(['.yaml', '.yml'])}"
        )
        file.parent.mkdir(parents=True, exist_ok=True)
        kinds = [list(WAYS.values())] * 4 + [[OTHER_WRITINGS.get(dag_id, "")], list(NOT_THERE), list(BROKEN)]
        templates = [chance.choice(chance.choice(kinds)) for _ in range(chance.choice([1, 1, 2]))]
        text = "".join(text_of(template, chance.choice([dag_id, dag_id, *IDS])) for template in templates)
        file.write_text(text, encoding="utf-8", newline="")
        files.append(str(file))
    places = [*files, *files, str(folder / "gone.yaml"), "/elsewhere/x.yaml"]
    return {dag_id: chance.choice(places) for dag_id in IDS if chance.random() < 0.3}


@pytest.mark.parametrize("seed", range(300))
def test_a_task_finds_the_file_that_a_pass_over_all_files_takes(tmp_path: Path, seed: int) -> None:
    places = write_folder(tmp_path, random.Random(seed))
    everything = Ownership([tmp_path], places, dag_ids_in)
    for path in find_files(tmp_path):
        for dag_id in IDS:
            if holds(path, dag_id):
                everything.owner(dag_id, path)
    for dag_id in IDS:
        owner = expected(tmp_path, dag_id, places)
        found = Ownership([tmp_path], places, dag_ids_in).find(dag_id)
        assert (found.path if found else None) == owner
        if any(holds(path, dag_id) for path in find_files(tmp_path)):
            assert everything.owners[dag_id] == owner


opened: list[str] = []
sys.addaudithook(lambda event, arguments: opened.append(str(arguments[0])) if event == "open" else None)


def test_a_file_named_after_its_dag_is_the_only_one_that_is_read(tmp_path: Path) -> None:
    for number in range(50):
        (tmp_path / f"dag_{number}.yaml").write_text(
            f"dag_{number}: {{}}\nmentions: dag_33\n", encoding="utf-8"
        )
    opened.clear()
    found = Ownership([tmp_path], {}, dag_ids_in).find("dag_33")
    assert found is not None
    assert [name for name in opened if name.endswith(".yaml")] == [str(tmp_path / "dag_33.yaml")]


def test_the_file_that_had_the_dag_is_read_without_listing_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file.yaml").write_text("predict: {}\n", encoding="utf-8")
    ownership = Ownership([tmp_path], {"predict": str(tmp_path / "file.yaml")}, dag_ids_in)
    assert ownership.find("predict") is not None
    assert "files" not in vars(ownership)  # a cached property
