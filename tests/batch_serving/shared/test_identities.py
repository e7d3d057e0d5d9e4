"""The identities of files: they change when a file is replaced, and one listing has those of many."""

from __future__ import annotations

from batch_serving.shared.files import write_atomic
from batch_serving.shared.paths import output_path
from batch_serving.shared.reading import identities_below, identity_of


def test_an_identity_changes_when_the_file_is_replaced(place: str) -> None:
    path = output_path("a", "file.csv")
    assert identity_of(path) == ""
    write_atomic(path, b"one")
    first = identity_of(path)
    assert first
    assert identity_of(path) == first
    write_atomic(path, b"two")
    assert identity_of(path) not in ("", first)


def test_one_listing_has_the_files_of_all_folders_from_the_first_to_the_last(place: str) -> None:
    root = output_path("predictions", "m")
    names = (
        "date=2026-01-01/a.csv",
        "date=2026-01-02/b.csv",
        "date=2026-01-03/c.csv",
        "drift/d.csv",
        "e.json",
    )
    for name in names:
        write_atomic(root / name, b"x")
    write_atomic(root / "date=2026-01-02" / ".hidden", b"x")
    found = identities_below(root, "date=2026-01-02", "date=2026-01-03")
    assert list(found) == ["date=2026-01-02/b.csv", "date=2026-01-03/c.csv"]
    assert found["date=2026-01-03/c.csv"] == identity_of(root / "date=2026-01-03" / "c.csv")
    assert identities_below(root / "date=2026-01-01", "a.csv", "a.csv").keys() == {"a.csv"}
    assert identities_below(root, "x", "y") == {}
