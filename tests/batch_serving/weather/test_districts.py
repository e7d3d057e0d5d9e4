"""The districts file, and the cells of KMA's grid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from weather_pipeline import DISTRICTS, rows_of, write_districts

from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.weather.districts import DistrictsError, cell_of, read_districts

VECTORS = [
    (37.579871128849334, 126.98935225645432, (60, 127)),
    (35.101148844565955, 129.02478725562108, (97, 74)),
    (33.500946412305076, 126.54663058817043, (53, 38)),
    (37.514575, 127.049556, (61, 126)),
]


def test_a_name_that_occurs_twice_is_reported(tmp_path: Path) -> None:
    file = write_districts(tmp_path / "d.csv", "중구,Jung-gu,1,60,127", "중구,Jung-gu,2,97,74")
    with pytest.raises(DistrictsError, match="has the name_en jung-gu twice"):
        read_districts(file)


def test_seoul_has_25_districts_in_14_cells() -> None:
    districts = read_districts(DISTRICTS)
    assert (len(districts), len({district.cell for district in districts})) == (25, 14)
    assert PROJECT_ROOT.joinpath(DISTRICTS).exists()


def test_a_file_without_the_columns_or_no_file_is_reported(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_text("name_ko,nx\n", encoding="utf-8")
    with pytest.raises(DistrictsError, match="lacks the columns code, name_en, ny"):
        read_districts(str(file))
    with pytest.raises(DistrictsError, match="correct `districts`"):
        read_districts("data/nowhere.csv")


@pytest.mark.parametrize(("latitude", "longitude", "cell"), VECTORS)
def test_a_place_is_in_the_cell_that_kma_publishes(
    latitude: float, longitude: float, cell: tuple[int, int]
) -> None:
    assert cell_of(latitude, longitude) == cell


def test_the_formula_gives_the_published_cell_of_each_district_of_seoul() -> None:
    for row in rows_of(PROJECT_ROOT / DISTRICTS):
        assert cell_of(float(row["lat"]), float(row["lon"])) == (int(row["nx"]), int(row["ny"]))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("부산,Busan,1,,,,", "line 2: the cell is missing; write nx and ny, or lat and lon"),
        ("부산,Busan,1,,,10,10", "line 2: latitude 10.0, longitude 10.0 is outside KMA's grid"),
        (
            "부산,Busan,1,,,129.02,35.1",
            "line 2: latitude 129.02, longitude 35.1 is outside KMA's grid; are they swapped?",
        ),
        ("부산,Busan,1,6x,127,,", "line 2: nx and ny must be whole numbers, got '6x' and '127'"),
        ("부산,Busan,1,600,127,,", "line 2: nx 600, ny 127 is outside KMA's grid of 149 × 253 cells"),
        ("부산,../Busan,1,60,127,,", "line 2: name_en '../Busan' cannot be a folder name"),
        ("부산,raw,1,60,127,,", "line 2: name_en 'raw' cannot be a folder name"),
        ("부산,Busan,x,60,127,,", "line 2: code 'x' is not a number"),
        ("부산,Busan,1,,,x,129", "line 2: lat and lon must be numbers, got 'x' and '129'"),
        (",Busan,1,60,127,,", "line 2: name_ko is empty"),
        ("", "has no districts"),
    ],
)
def test_a_wrong_line_is_reported_with_its_number(tmp_path: Path, line: str, message: str) -> None:
    file = write_districts(tmp_path / "d.csv", line)
    with pytest.raises(DistrictsError, match=re.escape(message)):
        read_districts(file)


def test_a_file_in_a_korean_encoding_is_reported_with_the_fix(tmp_path: Path) -> None:
    file = tmp_path / "d.csv"
    file.write_bytes("name_ko,name_en,code,nx,ny\n부산,Busan,1,97,74\n".encode("cp949"))
    with pytest.raises(DistrictsError, match="is not UTF-8; save it from Excel as 'CSV UTF-8'"):
        read_districts(str(file))
    file.write_text("name_ko,name_en,code,nx,ny\n부산,Busan,1,97,74\n,,,,\n", encoding="utf-8-sig")
    assert len(read_districts(str(file))) == 1
