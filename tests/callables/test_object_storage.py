"""All four pipelines on each kind of storage: one setting, and no other change."""

from __future__ import annotations

import json

from upath import UPath

from callables import _weather_raw, prediction, promotion, training, weather

RUN = {"run_id": "scheduled__2026-01-01T00:00:00+00:00", "run_after": "2026-01-01T00:00:00+00:00"}
DATA = {"dataset": "data/digits.csv", "row_id": "row_id"}


def test_the_four_pipelines(place: str) -> None:
    settings = {"target": "digit", "estimator": "sklearn.naive_bayes.GaussianNB", "metric": "accuracy"}
    version = training.train_challenger(**DATA, **RUN, **settings, model="digits")["version"]
    training.predict_holdout(model="digits", version=version)
    comparison = promotion.compare(model="digits", metric="accuracy")
    promotion.promote(comparison=json.dumps(comparison), run_id="p")
    drawn = json.dumps(prediction.draw_rows(**DATA, run_id=RUN["run_id"]))
    predicted = prediction.predict_rows(**DATA, **RUN, model="digits", selection=drawn)
    districts = "data/seoul_districts.csv"
    weather.collect(**RUN, now=RUN["run_after"], districts=districts)
    merged = weather.preprocess(**RUN, districts=districts)
    assert not _weather_raw.unfinished(districts)
    rebuilt = weather.rebuild(districts=districts)
    assert (rebuilt["runs"], rebuilt["rows"]) == (1, 25)
    assert UPath(predicted["file"]).read_text(encoding="utf-8").count(version) == 5
    assert UPath(merged["latest"]).read_text(encoding="utf-8").count("sample") == 25
    names = {path.name for path in (UPath(place) / "models" / "digits" / "versions" / version).iterdir()}
    assert names == {"model.joblib", "metadata.json", "holdout_predictions.csv", "card.html"}
