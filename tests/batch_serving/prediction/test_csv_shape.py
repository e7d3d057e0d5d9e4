"""Lines of a CSV that have too few fields, or too many."""

from __future__ import annotations

from pathlib import Path

import pytest
from upath import UPath

from batch_serving.prediction.csv_shape import check_shape


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\nid,x1\na,5\n", "has no header line: its first line is blank"),
        ("id,x1,x2\na,5,5,\nb,-5,-5,\n", "has 3 columns, but line 2 has 4 fields"),
        ("id,x1,x2\na,5,5\nb,-5\n", "has 3 columns, but line 3 has 2 fields"),
        ('id,x1,x2\na,"5",5\n\n"b,c",-5\n', "has 3 columns, but line 4 has 2 fields"),
        ("id,x1,x1\na,5,5\n", "has two columns named 'x1'"),
    ],
)
def test_lines_that_are_too_short_or_too_long_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        check_shape("rows.csv", UPath(path))


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
@pytest.mark.parametrize("quoted", [False, True])
def test_a_line_that_is_too_short_is_named_however_far_down_it_is(
    tmp_path: Path, end: str, quoted: bool
) -> None:
    path = tmp_path / "rows.csv"
    lines = [f"{n},{n % 7},1" for n in range(150_000)]  # in several blocks
    lines[140_000] = ""  # a blank line is skipped
    path.write_text("\n".join(["id,x1,x2", *lines, "z,5"]) + end, encoding="utf-8", newline="")
    if quoted:
        path.write_text(path.read_text(encoding="utf-8").replace("\n7,0,1", '\n"7",0,1'), encoding="utf-8")
    with pytest.raises(ValueError, match="has 3 columns, but line 150002 has 2 fields"):
        check_shape("rows.csv", UPath(path))
