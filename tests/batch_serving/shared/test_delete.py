"""Deleting files and folders on each kind of storage."""

from __future__ import annotations

from batch_serving.shared.files import delete
from batch_serving.shared.paths import output_path


def test_a_file_is_deleted_and_its_neighbours_stay(place: str) -> None:
    for name in ("row", "row.csv", "rows"):
        output_path("folder").mkdir(parents=True, exist_ok=True)
        output_path("folder", name).write_bytes(b"x")
    delete(output_path("folder", "row"))
    assert sorted(path.name for path in output_path("folder").iterdir()) == ["row.csv", "rows"]


def test_a_folder_is_deleted_with_everything_in_it(place: str) -> None:
    for name in ("date=1", "date=12"):
        output_path(name, "run").mkdir(parents=True, exist_ok=True)
        output_path(name, "run", "60-127.json.gz").write_bytes(b"x")
    delete(output_path("date=1"))
    assert not output_path("date=1").exists()
    assert output_path("date=12", "run", "60-127.json.gz").exists()


def test_what_does_not_exist_is_no_error(place: str) -> None:
    delete(output_path("nothing"))
    delete(output_path("folder", "nothing.csv"))
