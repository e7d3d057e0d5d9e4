"""Labels of a card's pictures: whatever a class is called, they do not overlap."""

from __future__ import annotations

import html
import itertools
import re
from pathlib import Path

import pytest

from batch_serving.cards.labels import EMPTY, columns, labels_of
from batch_serving.registry.store import ModelStore
from batch_serving.shared.csv_rows import csv_bytes
from callables import training

KOREAN = [f"서울특별시 강남구 역삼동 {n}번지 행정복지센터 방문 민원" for n in range(6)]
ODD = [
    "<b>bold</b>&amp;",
    "$x_1^2$",
    "a\nb\tc",
    "Donaudampfschifffahrtsgesellschaftskapitänsmütze" * 3,
    "مرحبا بالعالم كيف حالك اليوم يا صديقي",
    "👩‍👩‍👧‍👦 family 👍🏽 with emoji 🎉🎉🎉🎉🎉🎉🎉🎉🎉🎉",
    "\u202egnirts desrever\u202c",
    "e\u0301e\u0301",
    " ",
    "label-0",
    "0000",
]
SETS = {
    "korean": KOREAN,
    "odd": ODD,
    "forty": [f"분류 코드 {n:02} 아주 긴 이름의 상품 카테고리" for n in range(40)],
    "short": ["가", "나", "다"],
    "digits": [str(n) for n in range(10)],
}


@pytest.mark.parametrize(
    "name", [*KOREAN, *ODD, *SETS["forty"], "", "\x00", "\u200b", "가" * 500, "👍🏽" * 99]
)
def test_a_label_is_one_short_line(name: str) -> None:
    (label,) = labels_of([name])
    assert 0 < columns(label) <= 24
    assert label.isprintable() or "\u200d" in label
    assert not label.startswith("\u200d")


def test_a_long_label_keeps_its_beginning_and_its_end() -> None:
    assert labels_of(["서울특별시 강남구 역삼동 12번지 행정복지센터"]) == ["서울특별시 강남…복지센터"]
    assert labels_of(["a category with a long name, number 17"]) == ["a category wit…mber 17"]
    assert labels_of(["short", "", "\n"]) == ["short", f"{EMPTY} (1)", f"{EMPTY} (2)"]


def test_names_that_differ_have_different_labels() -> None:
    assert labels_of(KOREAN[:2]) == ["서울특별…0번지 행정복지…", "서울특별…1번지 행정복지…"]
    for names in (*SETS.values(), ["x" * 90 + end * 30 for end in "ab"], ["a b", "a\nb", "a  b"]):
        labels = labels_of(names)
        assert len({*labels}) == len({*names})
        assert max(map(columns, labels)) <= 24


def card_with(tmp_path: Path, names: list[str]) -> str:
    """The card of a classifier of these classes, some of which it confuses."""
    rows = [[i, i % len(names) + i % 7 % 2, names[i % len(names)]] for i in range(30 * len(names))]
    data = tmp_path / "classes.csv"
    data.write_bytes(csv_bytes(["id", "x", "y"], rows))
    version = training.train_challenger(
        model="classes",
        dataset=str(data),
        target="y",
        row_id="id",
        estimator="sklearn.tree.DecisionTreeClassifier",
        metric="accuracy",
        run_id="r",
        run_after="2026-01-01T00:00:00+00:00",
    )["version"]
    training.predict_holdout(model="classes", version=version)
    return (ModelStore("classes").folder(version) / "card.html").read_bytes().decode()


def test_a_label_has_the_whole_name_in_its_tooltip(output: Path, tmp_path: Path) -> None:
    card = card_with(tmp_path, ODD)
    assert "<b>bold" not in card
    tooltips = re.findall(r"<text [^>]*>([^<]*)<title>(.*?)</title></text>", card, re.DOTALL)
    found = [(html.unescape(label), html.unescape(name)) for label, name in tooltips]
    expected = [*zip(labels_of(sorted(ODD)), sorted(ODD), strict=True)]
    assert found[: 2 * len(ODD)] == expected * 2


def test_with_too_many_classes_the_card_says_why_there_is_no_matrix(output: Path, tmp_path: Path) -> None:
    card = card_with(tmp_path, [f"class {n}" for n in range(41)])
    assert "No confusion matrix: there are 41 classes, and it is readable up to 40." in card


PLACE = r'<text style="([^"]*)" (?:x="([-\d.]+)" y="([-\d.]+)" )?transform="rotate\(([-\d.]+)[^"]*">'


@pytest.mark.parametrize("names", SETS.values(), ids=SETS.keys())
def test_labels_are_at_a_distance_and_have_room(output: Path, tmp_path: Path, names: list[str]) -> None:
    """Without a browser: by the place of each label, and the width that a font gives it at most."""
    picture = card_with(tmp_path, names).split("<svg")[2]
    width, height = map(float, re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture)[0])
    places = re.findall(r'id="label-\d+">\s*' + PLACE + "([^<]*)", picture)
    assert len(places) == 2 * len(names)
    below, beside = places[: len(names)], places[len(names) :]
    for axis, each in ((1, below), (2, beside)):
        along = sorted(float(place[axis]) for place in each)
        assert min(b - a for a, b in itertools.pairwise(along)) > 12, "one line of letters of 10 px each"
    for style, x, _, angle, label in beside:
        assert (float(angle), "text-anchor: end" in style) == (0, True)
        assert float(x) > 6.4 * columns(html.unescape(label))
    for style, _, y, angle, label in below:
        longest = 6.4 * columns(html.unescape(label))
        if float(angle) == 0:
            assert "text-anchor: middle" in style
            assert longest < 28, "as wide as a column of the picture"
        else:
            assert (float(angle), "text-anchor: end" in style) == (-90, True)
            assert float(y) + longest < height
    assert width < 2000
