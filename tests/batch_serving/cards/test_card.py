"""The card of a version: what is on it, and that it needs nothing else."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from batch_serving.cards.card import write_card
from batch_serving.registry.store import ModelStore
from batch_serving.registry.versions import ModelStoreError
from batch_serving.shared.csv_rows import csv_bytes
from batch_serving.shared.root import PROJECT_ROOT
from batch_serving.shared.unreachable import UnreachableError
from callables import prediction, promotion, training

DIGITS: dict[str, Any] = {
    "model": "digits",
    "dataset": "data/digits.csv",
    "target": "digit",
    "row_id": "row_id",
    "estimator": "sklearn.tree.DecisionTreeClassifier",
    "metric": "accuracy",
    "run_after": "2026-01-01T00:00:00+00:00",
}


def train(**change: Any) -> tuple[str, str]:
    """Train, and return the version and its card."""
    version = training.train_challenger(**{"run_id": "r", **DIGITS, **change})["version"]
    training.predict_holdout(model=change.get("model", "digits"), version=version)
    return version, card_of(change.get("model", "digits"), version)


def card_of(model: str, version: str) -> str:
    return (ModelStore(model).folder(version) / "card.html").read_bytes().decode()


def remade(version: str) -> str:
    write_card(ModelStore("digits"), version)
    return card_of("digits", version)


def titles(card: str) -> list[str]:
    return re.findall("<h2>(.*?)</h2>", card)


def test_a_classifier_has_all_its_pictures_and_needs_no_network(place: str) -> None:
    version, card = train()
    assert titles(card) == [
        "accuracy of all versions (higher is better)",
        "The 381 holdout rows" if "381" in card else "The 332 holdout rows",
        "By class",
        "Most important features",
        "Predictions for the holdout",
    ]
    assert card.count("<svg") == 3 + 5
    assert f"<code>{version}</code>" in card
    # Names of namespaces are not addresses that a browser requests.
    addresses = set(re.findall(r"""(?:src|href)=["']([^"'#][^"']*)""", card))
    assert addresses <= {address for address in addresses if address.startswith("data:")}
    assert "<script" not in card


def test_versions_that_were_never_compared_are_in_the_history(output: Path) -> None:
    def points(card: str) -> int:
        return len(re.findall("<use [^>]*fill: #8c959f", card))

    first, alone = train(run_id="a")
    train(run_id="b")
    train(run_id="c")
    write_card(ModelStore("digits"), first)
    assert (points(alone), points(card_of("digits", first))) == (1, 3)


def test_promotions_are_marked_and_the_latest_predictions_are_drawn(output: Path) -> None:
    first, before = train(run_id="a")
    promotion.promote(comparison=json.dumps(promotion.compare(model="digits", metric="accuracy")), run_id="p")
    given = {"dataset": "data/digits.csv", "row_id": "row_id", "run_id": "x"}
    drawn = prediction.draw_rows(**given)
    run = {"run_after": "2026-01-01T00:00:00+09:00", "model": "digits", "selection": json.dumps(drawn)}
    prediction.predict_rows(**given, **run)
    write_card(ModelStore("digits"), first)
    card = card_of("digits", first)
    assert card != before
    assert "Latest predictions" in titles(card)
    assert sorted(re.findall(r"row (\d+): <b>", card)) == sorted(drawn["row_ids"])
    # Made again it is the same to the byte.
    write_card(ModelStore("digits"), first)
    assert card_of("digits", first) == card


def test_a_regression_shows_its_residuals(output: Path, tmp_path: Path) -> None:
    path = tmp_path / "houses.csv"
    lines = [f"{i},{'<seoul> $x_$' if i % 3 else 'busan'},{i * 2.5}" for i in range(80)]
    path.write_text("\n".join(["a$b_{$,city,price", *lines]) + "\n", encoding="utf-8")
    change = {"dataset": str(path), "target": "price", "row_id": None, "model": "houses", "metric": "r2"}
    _, card = train(**change, estimator="sklearn.linear_model.LinearRegression")
    found = titles(card)
    assert found[0] == "r2 of all versions (higher is better)"
    assert found[1].startswith("Residuals of the ")
    assert found[2:] == ["Most important features", "Predictions for the holdout"]
    assert "<seoul>" not in card


def test_a_card_needs_no_dataset(output: Path, tmp_path: Path) -> None:
    data = tmp_path / "digits.csv"
    data.write_bytes(Path("data/digits.csv").read_bytes())
    version, before = train(dataset=str(data))
    lines = data.read_text(encoding="utf-8").splitlines()
    # More rows, some of which fall into the holdout: a file that grows from hour to hour.
    data.write_text("\n".join([*lines, *(f"9{line}" for line in lines[1:50])]) + "\n", encoding="utf-8")
    assert remade(version) == before
    for damage in ("", "row_id,digit,other\n1,2,3\n", None):
        if damage is None:
            data.unlink()
        else:
            data.write_text(damage, encoding="utf-8")
        card = remade(version)
        assert titles(card) == titles(before)
        assert card.count("<svg") == before.count("<svg") - 5  # no pictures of rows
    data.symlink_to("unmounted/digits.csv")
    with pytest.raises(UnreachableError, match=r"digits\.csv cannot be read: .* mount that place"):
        remade(version)


@pytest.mark.parametrize("row_id", ["row_id", None])
def test_a_row_that_has_become_another_has_no_picture(
    output: Path, tmp_path: Path, row_id: str | None
) -> None:
    data = tmp_path / "digits.csv"
    lines = Path("data/digits.csv").read_text(encoding="utf-8").splitlines()
    if row_id is None:
        lines = [line.partition(",")[2] for line in lines]  # a row's number is its id
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    # Probabilities distinguish rows of one class.
    given = {
        "estimator": "sklearn.linear_model.LogisticRegression",
        "parameters": {"max_iter": 50, "tol": 0.1},
    }
    version, before = train(dataset=str(data), row_id=row_id, **given)
    shown = re.findall(r"row (\d+): <b>", before)
    assert before.count("<svg") == 3 + 5
    if row_id:  # the second one is another now, by the same id
        ids = [line.split(",")[0] for line in lines]
        place, other = ids.index(shown[1]), ids.index("77")
        lines[place] = ",".join([shown[1], *lines[other].split(",")[1:]])
    else:  # all of them, as a new row comes before them
        lines.insert(1, lines[77])
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert remade(version).count("<svg") == 3 + (4 if row_id else 0)


def test_classes_are_in_the_models_order(output: Path, tmp_path: Path) -> None:
    data = tmp_path / "sizes.csv"
    lines = [f"{i},{i % 12},{i % 12}" for i in range(240)]
    data.write_text("\n".join(["id,x,size", *lines]) + "\n", encoding="utf-8")
    _, card = train(dataset=str(data), target="size", row_id="id")
    assert re.findall(r"<tr><td>(\d+)</td>", card) == [str(number) for number in range(12)]


def test_a_class_may_be_any_text(output: Path, tmp_path: Path) -> None:
    names = ["a,b", 'c"d', "e\rf", "g\nh", "<i>", "None", " j"]
    data = tmp_path / "texts.csv"
    data.write_bytes(csv_bytes(["id", "x", "y"], [[i, i % 7, names[i % 7]] for i in range(140)]))
    _, card = train(dataset=str(data), target="y", row_id="id")
    table = re.findall(r"<tr><td>(.*?)</td>(?:<td class=\"number\">1.000</td>){3}", card, re.DOTALL)
    assert table == [html.escape(name) for name in sorted(names)]


def test_true_and_false_are_numbers_to_a_regression(output: Path, tmp_path: Path) -> None:
    data = tmp_path / "flags.csv"
    lines = [f"{i},{i % 7},{i % 2 == 0}" for i in range(80)]
    data.write_text("\n".join(["id,x,y", *lines]) + "\n", encoding="utf-8")
    given = {"estimator": "sklearn.linear_model.LinearRegression", "metric": "r2"}
    _, card = train(dataset=str(data), target="y", row_id="id", **given)
    assert titles(card)[1].startswith("Residuals of the ")


HEAD = b"row_id,actual,prediction,probability\n"


@pytest.mark.parametrize(
    "damage",
    [None, b"", b"row_id,actual\n1,2\n", b"\xff\xfe", HEAD, HEAD + b"1,2,3,x\n", HEAD + b"1,2,3,0.5\n"],
)
def test_without_its_holdout_predictions_a_version_has_no_card(output: Path, damage: bytes | None) -> None:
    version, _ = train()
    path = Path(str(ModelStore("digits").folder(version) / "holdout_predictions.csv"))
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(ModelStoreError, match="holdout_predictions.csv .*; clear predict_holdout of the run"):
        write_card(ModelStore("digits"), version)


@pytest.mark.parametrize(
    "settings",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "nonsense"},
        {"MPLBACKEND": "TkAgg", "MATPLOTLIBRC": "odd/matplotlibrc"},
        {"MPLCONFIGDIR": "/proc/nothing", "HOME": "/proc/nothing"},
    ],
)
def test_what_a_notebook_has_set_changes_nothing(
    output: Path, tmp_path: Path, settings: dict[str, str]
) -> None:
    version, card = train()
    odd = tmp_path / "odd"
    odd.mkdir()
    (odd / "matplotlibrc").write_text("axes.facecolor: red\nsvg.fonttype: path\ntext.usetex: True\n")
    if "MATPLOTLIBRC" in settings:
        settings = {**settings, "MATPLOTLIBRC": str(odd / "matplotlibrc")}
    code = (
        "from batch_serving.cards.card import write_card; from batch_serving.registry.store import ModelStore; "
        f"write_card(ModelStore('digits'), '{version}')"
    )
    environment = {**os.environ, "BATCH_OUTPUT": str(output), **settings}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT_ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert card_of("digits", version) == card
