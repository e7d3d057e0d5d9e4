"""The encoding of a text is recognised, also in short texts."""

from __future__ import annotations

import pytest

from batch_serving.ml.encodings import foreign_encoding, mojibake

KOREAN = "id,도시,이름,값\n1,서울,김철수,3\n2,부산,이영희,4\n"
JAPANESE = "id,都市,名前,y\n1,東京,田中さん,3\n2,大阪,すずき,4\n3,カタカナ,ヤマダ,5\n"
CHINESE = "id,城市,姓名,y\n1,北京,张三,3\n2,上海,李四,4\n3,广州,王五,5\n"
FRENCH = "id,ville,prénom,y\n1,Orléans,Zoé,3\n2,Besançon,Noël,4\n"
RUSSIAN = "id,город,y\n1,Москва,3\n2,Санкт-Петербург,4\n"


@pytest.mark.parametrize(
    ("text", "codec", "name"),
    [
        (KOREAN, "cp949", "CP949"),
        (KOREAN, "euc_kr", "CP949"),
        ("id,sex,y\n1,남,3\n2,여,4\n", "cp949", "CP949"),
        ("id,city,y\n1,서울,3\n2,LA,4\n", "cp949", "CP949"),
        (KOREAN, "utf-16", "UTF-16"),
        (KOREAN, "utf-16-le", "UTF-16 without a byte order mark"),
        (KOREAN, "utf-16-be", "UTF-16 without a byte order mark"),
        (FRENCH, "utf-16-le", "UTF-16 without a byte order mark"),
        (KOREAN, "utf-32", "UTF-32"),
        (JAPANESE, "cp932", "Shift-JIS"),
        (JAPANESE, "euc_jp", "EUC-JP"),
        ("id,city,y\n1,東京,3\n2,大阪,4\n3,名古屋,4\n", "cp932", "Shift-JIS"),
        (CHINESE, "gb18030", "GB18030"),
        ("id,城市,姓名,y\n1,臺北,張三,3\n2,高雄,李四,4\n", "big5", "Big5"),
        (FRENCH, "cp1252", "CP1252"),
        (FRENCH, "latin-1", "CP1252"),
        ("id,name,y\n1,Zoé,3\n2,Bob,4\n", "latin-1", "CP1252"),
        ("id,price,y\n1,€5,3\n", "cp1252", "CP1252"),
        (RUSSIAN, "cp1251", "CP1251"),
    ],
)
def test_an_encoding_is_named(text: str, codec: str, name: str) -> None:
    assert foreign_encoding(text.encode(codec)).startswith(name)


@pytest.mark.parametrize("text", [KOREAN, JAPANESE, CHINESE, FRENCH, RUSSIAN, "a,b\n1,2\n", ""])
def test_utf8_is_no_other_encoding(text: str) -> None:
    assert foreign_encoding(text.encode("utf-8")) == ""
    assert foreign_encoding(text.encode("utf-8-sig")) == ""
    assert foreign_encoding(text.encode("utf-8")[: len(text)]) == ""  # the head of a file


@pytest.mark.parametrize("text", ["날짜", "prénom", "été", "Straße"])
def test_a_text_that_was_read_in_a_wrong_encoding_is_recognised(text: str) -> None:
    assert mojibake(text.encode("utf-8").decode("latin-1")) == text
    assert mojibake(text) == ""


def test_korean_read_as_latin_1_is_recognised() -> None:
    assert mojibake("이름".encode("euc_kr").decode("latin-1")) == "이름"
    assert mojibake("�름") == "�름"


@pytest.mark.parametrize("text", ["São", "°C", "Åå", "ÄÖÜ", "price €", "naïve café", "이름", "µg/m³", "£"])
def test_names_with_accents_and_signs_are_fine(text: str) -> None:
    assert mojibake(text) == ""
