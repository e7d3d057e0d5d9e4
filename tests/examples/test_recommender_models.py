"""The example ``recommender``: its metrics, its models, the comparison, and a model that answers."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from batch_serving.shared.errors import InvalidValueError
from examples.recommender import baselines, metrics, network, serving
from examples.recommender.arrays import BrokenFileError, packed, unpacked
from examples.recommender.comparison import Comparison, Scored, compared, verdict
from examples.recommender.sample import SampleSettings, made_interactions
from examples.recommender.splitting import Interactions, Parts, filtered, split
from examples.recommender.training import Adam, TrainingSettings, train

SETTINGS = TrainingSettings(200, 64, 20, 200, 0.002, 0.5, 0.2, 0.5, seed=1)  # those of recommender.yaml
SMALL = TrainingSettings(40, 8, 12, 50, 0.005, 0.5, 0.2, 0.5, seed=1)


def rows_of(*rows: list[int]) -> sparse.csr_array:
    return sparse.csr_array(np.array(rows, dtype=np.float32))


# Metrics, by hand.


def test_items_that_a_user_has_are_not_ranked_and_the_first_of_equals_is_better() -> None:
    scores = np.array([[9.0, 1.0, 5.0, 5.0, 7.0]])
    assert metrics.ranked(scores, rows_of([1, 0, 0, 0, 0]), 3).tolist() == [[4, 2, 3]]


def test_recall_divides_by_the_smaller_of_k_and_the_wanted_items() -> None:
    ranking = np.array([[0, 1, 2, 3], [3, 2, 1, 0]])
    wanted = rows_of([1, 0, 1, 0, 1], [0, 0, 1, 0, 0])
    assert metrics.recall(ranking, wanted, 2).tolist() == [1 / 2, 1.0]  # one of min(2, 3); one of min(2, 1)
    assert metrics.recall(ranking, wanted, 4).tolist() == [2 / 3, 1.0]


def test_ndcg_discounts_hits_by_their_place() -> None:
    ranking = np.array([[0, 1, 2, 3], [3, 2, 1, 0]])
    wanted = rows_of([1, 0, 1, 0, 1], [0, 0, 1, 0, 0])
    second, third = 1 / math.log2(3), 1 / math.log2(4)
    first_user = (1 + third) / (1 + second + third)  # hits at places 1 and 3, three would be perfect
    assert metrics.ndcg(ranking, wanted, 4) == pytest.approx([first_user, second])
    assert metrics.ndcg(ranking, wanted, 2) == pytest.approx([1 / (1 + second), second])


def test_a_ranking_shorter_than_k_counts_what_it_has() -> None:
    assert metrics.ndcg(np.array([[1, 0]]), rows_of([1, 1]), 100).tolist() == [1.0]


# EASE.


def test_ease_is_what_a_direct_solve_of_each_column_gives() -> None:
    train_users = sparse.csr_array((np.random.default_rng(0).random((60, 12)) < 0.3).astype(np.float32))
    dense, penalty = train_users.toarray().astype(np.float64), 7.0
    expected = np.zeros((12, 12))
    for column in range(12):  # ridge regression of one item on all others
        others = [place for place in range(12) if place != column]
        left = dense[:, others].T @ dense[:, others] + penalty * np.eye(11)
        expected[others, column] = np.linalg.solve(left, dense[:, others].T @ dense[:, column])
    assert baselines.ease(train_users, penalty) == pytest.approx(expected, abs=1e-10)


def test_popularity_counts_users() -> None:
    assert baselines.popularity(rows_of([1, 0, 1], [1, 0, 0])).tolist() == [2, 0, 1]


# The network.


@pytest.mark.parametrize("beta", [0.0, 0.3])
def test_the_gradient_is_that_of_finite_differences(beta: float) -> None:
    random = np.random.default_rng(3)
    made = network.initial(7, 5, 3, random)
    weights = network.Weights(
        *(array.astype(np.float64) + random.normal(0, 0.1, array.shape) for array in made)
    )
    rows = (random.random((4, 7)) < 0.5).astype(np.float64)
    inputs = network.normalised(rows) * (random.random(rows.shape) < 0.6) / 0.6
    batch = network.Batch(rows, inputs, random.standard_normal((4, 3)), beta)
    _, gradient = network.loss_and_gradient(weights, batch)
    step = 1e-6
    for name, array, slope in zip(network.NAMES, weights, gradient, strict=True):
        for place in np.ndindex(array.shape):
            moved = []
            for sign in (1, -1):
                other = array.copy()
                other[place] += sign * step
                moved.append(network.loss_and_gradient(replace(weights, **{name: other}), batch)[0])
            expected = (moved[0] - moved[1]) / (2 * step)
            assert slope[place] == pytest.approx(expected, rel=1e-5, abs=1e-8), (name, place)


def test_the_loss_of_a_network_of_zeros_is_the_entropy_of_equal_chances() -> None:
    zeros = network.Weights(
        *(np.zeros_like(array) for array in network.initial(7, 5, 3, np.random.default_rng(0)))
    )
    rows = np.array([[1, 1, 0, 0, 0, 0, 0], [0, 0, 0, 1, 1, 1, 1]], dtype=np.float32)
    loss, _ = network.loss_and_gradient(zeros, network.Batch(rows, rows, np.zeros((2, 3), np.float32), 1.0))
    assert loss == pytest.approx(3 * math.log(7), rel=1e-6)  # (2 + 4) / 2 items for each user; no divergence


def test_the_first_steps_of_adam_have_the_length_of_the_learning_rate() -> None:
    weights = network.initial(3, 2, 1, np.random.default_rng(0))
    slopes = network.Weights(*(np.full_like(array, -4.0) for array in weights))
    adam, moved = Adam(weights, 0.01), weights
    for _ in range(2):
        moved = adam.step(moved, slopes)
    for before, after in zip(weights, moved, strict=True):
        assert after - before == pytest.approx(np.full_like(before, 0.02), rel=1e-4)


# Matrices, filter and split.


@pytest.fixture(scope="module")
def small() -> Parts:
    made = made_interactions(SampleSettings(users=600, items=120, seed=4, tastes=6))
    return split(filtered(Interactions.of(made[:, 0], made[:, 1]), 5, 5), 0.1, 0.2, seed=3)


def test_a_pair_that_comes_twice_counts_once() -> None:
    data = Interactions.of(np.array([30, 10, 30, 30]), np.array([2, 5, 2, 5]))
    assert data.users.tolist() == [10, 30]
    assert data.items.tolist() == [2, 5]
    assert data.matrix.toarray().tolist() == [[0, 1], [1, 1]]


def test_the_filter_repeats_until_nothing_changes() -> None:
    # Item 4 has one user; without it user 3 has one item; without that user item 3 has one user, and so on.
    pairs = np.array([[1, 1], [1, 2], [2, 1], [2, 2], [2, 3], [3, 3], [3, 4]])
    left = filtered(Interactions.of(pairs[:, 0], pairs[:, 1]), 2, 2)
    assert (left.users.tolist(), left.items.tolist()) == ([1, 2], [1, 2])


def test_held_out_users_are_in_one_part_alone_and_keep_a_fifth_of_their_items_apart(small: Parts) -> None:
    for part in (small.validation, small.test):
        known, wanted = part.known.toarray(), part.wanted.toarray()
        assert not (known * wanted).any()
        counts = (known + wanted).sum(axis=1)
        assert wanted.sum(axis=1).tolist() == np.clip(np.rint(counts * 0.2), 1, counts - 1).tolist()
        assert known.sum(axis=1).min() >= 1
    users = small.train.shape[0] + small.validation.known.shape[0] + small.test.known.shape[0]
    assert 0.05 < small.test.known.shape[0] / users < 0.15


def test_the_same_users_and_items_are_held_out_when_the_table_grows() -> None:
    made = made_interactions(SampleSettings(users=300, items=100, seed=4, tastes=6))
    before, after = made[made[:, 0] <= 200], made

    def wanted(pairs: np.ndarray) -> dict[int, set[int]]:
        data = Interactions.of(pairs[:, 0], pairs[:, 1])
        parts = split(data, 0.2, 0.2, seed=3)
        rows = parts.test.known + parts.test.wanted
        owners = {tuple(row): int(user) for user, row in zip(data.users, data.matrix.toarray(), strict=True)}
        assert parts.items.tolist() == data.items.tolist()  # else the rows below are not those of the data
        return {
            owners[tuple(row)]: set(parts.items[hidden > 0].tolist())
            for row, hidden in zip(rows.toarray(), parts.test.wanted.toarray(), strict=True)
        }

    first, second = wanted(before), wanted(after)
    assert first
    assert {user: items for user, items in second.items() if user <= 200} == first


def test_too_few_users_are_an_error_that_says_how_many() -> None:
    pairs = np.array([[user, item] for user in range(12) for item in range(3)])
    with pytest.raises(InvalidValueError, match=r"there (is|are) \d+ users? for .*at least 5 are needed"):
        split(Interactions.of(pairs[:, 0], pairs[:, 1]), 0.1, 0.2, seed=3)


def test_parts_and_interactions_are_the_same_after_they_were_stored(small: Parts) -> None:
    again = Parts.from_bytes(small.to_bytes())
    assert again.to_bytes() == small.to_bytes()
    assert (again.test.wanted != small.test.wanted).nnz == 0
    data = Interactions.of(np.array([3, 1, 3]), np.array([2, 5, 9]))
    assert (
        Interactions.from_bytes(data.to_bytes()).matrix.toarray().tolist() == data.matrix.toarray().tolist()
    )


def test_equal_arrays_are_equal_bytes_at_another_time(monkeypatch: pytest.MonkeyPatch) -> None:
    first = packed({"a": np.arange(3)})
    later = time.time() + 1e6
    monkeypatch.setattr(time, "time", lambda: later)
    assert packed({"a": np.arange(3)}) == first


def test_a_pickle_is_never_loaded() -> None:
    import io

    file = io.BytesIO()
    np.savez(file, items=np.array([{"a": 1}], dtype=object), allow_pickle=True)
    for content in (file.getvalue(), b"", b"PK\x03\x04 cut off", packed({"other": np.arange(3)})):
        with pytest.raises(BrokenFileError):
            unpacked(content, ["items"])


# The sample, and what is learnt from it.


def test_the_sample_has_clusters_a_long_tail_and_the_same_pairs_for_the_same_seed() -> None:
    settings = SampleSettings(users=1500, items=500, seed=9)
    pairs = made_interactions(settings)
    assert np.array_equal(pairs, made_interactions(settings))
    assert not np.array_equal(pairs, made_interactions(replace(settings, seed=10)))
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    data = Interactions.of(pairs[:, 0], pairs[:, 1])
    counts = np.sort(baselines.popularity(data.matrix))[::-1]
    assert counts[:50].sum() > 0.2 * counts.sum()  # a tenth of the items has more than twice its share
    # Users with an item in common agree on others far more often than by chance.
    together_ = (data.matrix.T @ data.matrix).toarray()
    by_chance = np.outer(counts, counts) / len(data.users)
    lift = np.sort(together_, axis=None)[::-1] / np.maximum(np.sort(by_chance, axis=None)[::-1], 1)
    assert lift[500:2500].mean() > 1.2


def test_the_same_seed_makes_the_same_model_and_another_seed_another(small: Parts) -> None:
    files = [
        serving.file_of(small.items, train(small, replace(SMALL, seed=seed)).weights) for seed in (1, 1, 2)
    ]
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden", 0),
        ("epochs", 0),
        ("dropout", 1.0),
        ("beta", -0.1),
        ("annealing", 2),
        ("learning_rate", 0.0),
    ],
)
def test_settings_that_cannot_be_used_are_named(name: str, value: float) -> None:
    with pytest.raises(InvalidValueError, match=f"{name} is {value}"):
        replace(SMALL, **{name: value})


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_training_that_diverges_is_an_error(small: Parts) -> None:
    broken = replace(small, train=small.train * np.float32(np.nan))
    with pytest.raises(InvalidValueError, match="diverges"):
        train(broken, replace(SMALL, epochs=2))


@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_the_autoencoder_beats_popularity_by_more_than_chance(seed: int) -> None:
    made = made_interactions(SampleSettings(seed=seed))
    parts = split(filtered(Interactions.of(made[:, 0], made[:, 1]), 5, 5), 0.1, 0.2, seed=3)
    assert len(parts.items) == 1000
    start = time.process_time()
    trained = train(parts, replace(SETTINGS, seed=seed))
    assert time.process_time() - start < 40
    found = compared(parts, trained.weights, [100, 200, 500, 1000, 2000])
    text = found.markdown()
    print(text)
    assert "NDCG@100: Mult-VAE beats popularity (+" in text
    assert "Recall@20: Mult-VAE beats popularity (+" in text
    assert found.figures()["ndcg_100"] > 1.5 * found.figures()["popularity_ndcg_100"]
    assert "EASE" in text


# What the table says.


def scored(name: str, *ndcg: float) -> Scored:
    return Scored(name, np.array(ndcg), np.array(ndcg))


def test_the_verdict_is_honest_about_chance() -> None:
    low, high = scored("low", 0.1, 0.2, 0.3, 0.4), scored("high", 0.3, 0.41, 0.5, 0.6)
    noisy = scored("noisy", 0.4, 0.1, 0.2, 0.31)
    assert "high beats low (+0.2025, 95 % interval +0.1976 to +0.2074)" in verdict(high, low)
    assert "low does not beat high, which is better (-0.2025" in verdict(low, high)
    assert "noisy does not beat low by more than chance, nor the other way round" in verdict(noisy, low)


def test_the_table_has_the_best_model_first() -> None:
    text = Comparison(
        scored("VAE", 0.2, 0.3), scored("EASE", 0.5, 0.4), scored("popularity", 0.1, 0.1)
    ).markdown()
    names = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert names == ["model", "EASE", "VAE", "popularity"]
    assert "VAE does not beat EASE, which is better" in text


# Serving.


@pytest.fixture(scope="module")
def model(small: Parts) -> serving.RecommendingModel:
    return serving.load(serving.file_of(small.items, train(small, SMALL).weights))


def test_a_loaded_model_recommends_what_the_user_does_not_have(model: serving.RecommendingModel) -> None:
    rows: list[dict[str, Any]] = [
        {"items": [1, 5, 9], "count": 7},
        {"items": [2]},
        {"items": [3], "id": "kim"},
    ]
    assert model.check(rows) == []
    first, second, third = model.predict(rows)
    assert (len(first["items"]), len(second["items"])) == (7, 20)
    assert not {1, 5, 9} & set(first["items"])
    assert first["probabilities"] == sorted(first["probabilities"], reverse=True)
    assert json.loads(json.dumps(third)) == third
    alone = model.predict(rows[:1])[0]  # a row's answer does not depend on the others
    assert alone["items"] == first["items"]
    assert alone["probabilities"] == pytest.approx(first["probabilities"], abs=2e-6)


def test_a_model_ranks_as_its_test_has_ranked(small: Parts, model: serving.RecommendingModel) -> None:
    known = small.test.known[[0]]
    row = {"items": small.items[known.indices].tolist(), "count": 100}
    expected = metrics.ranked(network.logits(model._weights, known.toarray()), known, 100)[0]
    unseen = [place for place in expected if not known.toarray()[0, place]]
    assert model.predict([row])[0]["items"] == small.items[unseen].tolist()


def test_a_user_who_has_nearly_all_items_gets_the_rest(
    small: Parts, model: serving.RecommendingModel
) -> None:
    items = small.items.tolist()
    assert [len(one["items"]) for one in model.predict([{"items": items[3:]}, {"items": items}])] == [3, 0]
    assert model.predict([]) == []


@pytest.mark.parametrize(
    ("row", "column", "problem", "hint"),
    [
        ({}, "items", "is missing", "write a list"),
        ({"itmes": [1]}, "items", "is missing", "did you mean 'itmes'?"),
        ({"items": 5}, "items", "must be a list, got 5", "[1, 5, 9]"),
        ({"items": []}, "items", "is empty", "at least one item"),
        ({"items": ["5"]}, "items", "'5' is not a whole number", "without quotes"),
        ({"items": [True]}, "items", "True is not a whole number", "without quotes"),
        ({"items": [1.0]}, "items", "1.0 is not a whole number", "without quotes"),
        ({"items": [None]}, "items", "None is not a whole number", "without quotes"),
        ({"items": [1, 1]}, "items", "item 1 is there twice", "once"),
        ({"items": [10**5000]}, "items", "item a number of more than 30 digits is unknown", "leave it out"),
        ({"items": [987654]}, "items", "item 987654 is unknown", "leave it out"),
        ({"items": [1], "count": 0}, "count", "is 0, outside 1 to 100", "from 1 to 100"),
        ({"items": [1], "count": 101}, "count", "is 101, outside", "from 1 to 100"),
        ({"items": [1], "count": "3"}, "count", "must be a whole number, got '3'", "from 1 to 100"),
        ({"items": [1], "cuont": 3}, "cuont", "is unknown", "did you mean 'count'?"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_problem(
    model: serving.RecommendingModel, row: dict[str, Any], column: str, problem: str, hint: str
) -> None:
    (found,) = model.check([{"items": [1]}, row])
    assert (found["row"], found["column"]) == (1, column)
    assert problem in found["problem"]
    assert hint in found["hint"]


def test_every_problem_of_every_row_is_reported(model: serving.RecommendingModel) -> None:
    found = model.check([{"items": ["a", 1, 1], "count": None}, {"items": [1]}, {}])
    assert [(one["row"], one["column"]) for one in found] == [
        (0, "items"),
        (0, "items"),
        (0, "count"),
        (2, "items"),
    ]


def test_a_file_with_arrays_that_do_not_fit_is_refused(
    small: Parts, model: serving.RecommendingModel
) -> None:
    weights = model._weights
    broken = {
        "shape": replace(weights, output=weights.output[:, 1:]),
        "not finite": replace(weights, latent_bias=weights.latent_bias * np.nan),
    }
    for problem, each in broken.items():
        with pytest.raises(BrokenFileError, match=problem):
            serving.load(serving.file_of(small.items, each))
    for items in (small.items[1:], small.items.astype(np.float32), np.zeros_like(small.items)):
        with pytest.raises(BrokenFileError):
            serving.load(serving.file_of(items, weights))
