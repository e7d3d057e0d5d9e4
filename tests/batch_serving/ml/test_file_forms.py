"""Files that are no CSV in UTF-8 with commas and a header line: what they are, and what to do."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from training_data import SETTINGS

from batch_serving.ml.datasets import read_dataset
from batch_serving.prediction.row_source import RowSource, Wanted
from batch_serving.shared.paths import project_path
from callables import prediction, training

HEADER = "id,city,a,y\n"
ROWS = "".join(f"r{i},{'busan' if i % 2 else 'seoul'},{i * 7 % 11},{i * i % 11 % 3}\n" for i in range(40))
TABLE = HEADER + ROWS
KOREAN = TABLE.replace("city", "도시").replace("seoul", "서울")
AS_UTF8 = "save it as CSV UTF-8"

OTHERS: dict[str, tuple[bytes, str]] = {
    "cp949": (KOREAN.encode("cp949"), "is not in UTF-8; it seems to be CP949 (Korean: Excel's CSV, EUC-KR), from line 1 on; save it as CSV UTF-8"),
    "cp949 below": (TABLE.encode() + "z,서울,1,2\n".encode("cp949"), "from line 42 on; save it as CSV UTF-8"),
    "utf-16": (KOREAN.encode("utf-16"), "it seems to be UTF-16; save it as CSV UTF-8"),
    "utf-16-le": (KOREAN.encode("utf-16-le"), "it seems to be UTF-16 without a byte order mark; save"),
    "latin-1": (TABLE.replace("seoul", "Genève").encode("latin-1"), "it seems to be CP1252 (Western European: Latin-1), from line 2 on"),
    "two marks": (b"\xef\xbb\xbf" * 2 + TABLE.encode(), "begins with two byte order marks"),
    "nul": (TABLE.replace("busan", "bu\0san", 1).encode(), "has a NUL byte in line 3"),
    "gzip": (gzip.compress(TABLE.encode()), "is a gzip file; unpack it"),
    "xlsx": (b"PK\x03\x04....[Content_Types].xml", "is an Excel workbook (.xlsx); open it in Excel"),
    "parquet": (b"PAR1\x15\x04", "is a Parquet file; write it with pandas"),
    "json": (json.dumps([{"a": 1}]).encode(), "is JSON"),
    "json lines": (b'{"a": 1}\n{"a": 2}\n', "is JSON"),
    "html": (b"<!DOCTYPE html><html><body>log in</body></html>", "is an HTML page"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "run `git lfs pull`"),
    "mojibake": (KOREAN.encode().decode("latin-1").encode(), "was '도시'"),
    "lost names": (TABLE.replace("city", "\ufffd\ufffd").encode(), "read in a wrong encoding before they were written: '\ufffd\ufffd'"),
    "semicolons": (TABLE.replace(",", ";").encode(), "is separated by ';'; save it with commas"),
    "decimal commas": (TABLE.replace(",", ";").replace("seoul", "1,5").encode(), "is separated by ';'; save it with commas"),
    "tabs": (TABLE.replace(",", "\t").encode(), "is separated by tabs; save it with commas"),
    "pipes": (TABLE.replace(",", "|").encode(), "is separated by '|'"),
    "colons": (TABLE.replace(",", ":").encode(), "is separated by ':'"),
    "tildes": (TABLE.replace(",", "~").encode(), "is separated by '~'"),
    "spaces": (TABLE.replace(",", " ").encode(), "is separated by spaces"),
    "Excel's hint": (b"sep=;\n" + TABLE.replace(",", ";").encode(), "begins with Excel's line 'sep=;'; delete it"),
    "a title": (b"Sales report 2024\n" + TABLE.encode(), "begins with a title: 'Sales report 2024'; delete it"),
    "a padded title": (b"Sales report 2024,,,\n" + TABLE.encode(), "begins with a title: 'Sales report 2024'"),
    "a title with a comma": (b"Sales, 2024\n" + TABLE.encode(), "is line 1 a title, or is a name missing there?"),
    "a comment": (b"# made on 2024-01-01, by x\n" + TABLE.encode(), "begins with a comment: '# made on"),
    "no header": ("".join(f"{i},{i * 3},{i % 3}\n" for i in range(1, 30)).encode(), "has no header line: line 1 has numbers, 1, 3, 1"),
    "two headers": ((TABLE + TABLE).encode(), "repeats its header in line 42; delete it there"),
    "two names": (TABLE.replace("city", "a").encode(), "has two columns named 'a'; rename or delete one"),
    "a field too many": (TABLE.replace("r7,busan", "r7,Busan, Korea").encode(), "line 9 has 5 fields; put a value with a comma in quotes"),
    "a field too few": (TABLE.replace("r7,busan", "r7").encode(), "line 9 has 3 fields; complete"),
    "totals": ((TABLE + "Total,,190,40\n").encode(), "the last line, 42, has totals: 'Total' in 'id'; delete it"),
    "Korean totals": ((TABLE + "r99,합계,190,40\n").encode(), "the last line, 42, has totals: '합계' in 'city'; delete it"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_in_another_form_is_named_with_the_remedy(tmp_path: Path, name: str) -> None:
    data, message = OTHERS[name]
    (tmp_path / "rows.csv").write_bytes(data)
    with pytest.raises(ValueError, match="rows.csv") as error:
        read_dataset(str(tmp_path / "rows.csv"), "y", "id")
    assert message in str(error.value)


def test_sums_in_the_last_line_are_found_without_a_word(tmp_path: Path) -> None:
    rows = [(i, i * 7 % 11, i * 3 % 13, i % 2) for i in range(1, 40)]
    rows.append((40, sum(row[1] for row in rows), sum(row[2] for row in rows), 1))
    text = "id,a,b,y\n" + "".join(f"{','.join(map(str, row))}\n" for row in rows)
    (tmp_path / "rows.csv").write_text(text)
    with pytest.raises(ValueError, match="the last line, 41, has the sums of the lines above it; delete it"):
        read_dataset(str(tmp_path / "rows.csv"), "y", "id")


@pytest.mark.parametrize(
    "data",
    [
        TABLE.encode("utf-8-sig"),
        KOREAN.encode(),
        TABLE.replace("\n", "\r").encode(),
        TABLE.replace("\n", "\r\n").encode(),
        TABLE.replace("seoul", "se\u2028oul").encode(),
        TABLE.replace("seoul", "12:30").encode(),
        TABLE.replace("seoul", '"Seoul, Korea"').encode(),
        TABLE.replace("seoul", "a;b;c;d").encode(),
        TABLE.replace("seoul", "[1]").encode(),
    ],
    ids=["mark", "korean", "old Mac", "windows", "u2028", "times", "quoted", "semicolons within", "brackets"],
)
def test_a_csv_is_read_whatever_its_line_ends_and_values(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "rows.csv").write_bytes(data)
    frame = read_dataset(str(tmp_path / "rows.csv"), "y", "id").frame
    assert (len(frame), list(frame.columns)[2:], frame["a"].tolist()[:2]) == (40, ["a", "y"], [0, 7])
    chunks = RowSource(str(tmp_path / "rows.csv"), None, None, "id").chunks(Wanted(numbers=("a",)))
    assert [value for chunk in chunks for value in chunk["a"].tolist()] == frame["a"].tolist()


@pytest.mark.parametrize("name", ["cp949", "utf-16", "gzip", "semicolons", "a title"])
def test_prediction_and_make_check_name_the_form_too(output: Path, tmp_path: Path, name: str) -> None:
    data, message = OTHERS[name]
    location = str(tmp_path / "rows.csv")
    project_path(location).write_bytes(data)
    with pytest.raises(ValueError, match="rows.csv") as error:
        prediction.draw_rows(run_id="r", dataset=location, row_id="id")
    assert message in str(error.value)
    given = {**SETTINGS, "dataset": location, "target": "y", "row_id": "id"}
    (problem,) = training.train_challenger.check_values(given)  # type: ignore[attr-defined]
    assert (problem.path, problem.may_change) == (("dataset",), True)
    assert message.partition(";")[0] in problem.message
