"""What the OpenAPI page says of each route."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field

DESCRIPTION = """Predictions by the champion of each model, as soon as it is promoted.

A row is an object with a value for each column that the model was trained on; `GET /models/<name>` lists
them. Rows are checked as the task `predict_rows` checks those of a file.
"""


class PredictRequest(BaseModel):
    """Rows to predict."""

    rows: list[dict[str, Any]] = Field(description="objects of column and value; null: no value")
    row_id: str | None = Field(
        None, description="the column whose value comes back as `id`; as in training if not given"
    )


class Problem(BaseModel):
    """What is wrong or unusual in a row."""

    row: int | None = Field(description="from 0; null: in all rows")
    column: str | None
    problem: str
    hint: str


class Prediction(BaseModel):
    """What the model says of one row."""

    prediction: Any
    probability: float | None = Field(None, description="of the predicted class")
    probabilities: dict[str, float] | None = Field(None, description="of each class")
    id: Any = Field(None, description="the row's id, if it has one")


class PredictAnswer(BaseModel):
    """The predictions, in the order of the rows."""

    model: str
    version: str
    predictions: list[Prediction]
    warnings: list[Problem] = Field(
        description="values outside the training range, unknown texts, gaps; at most 100"
    )
    warning_count: int
    ignored_columns: list[str] = Field(description="columns of the rows that the model does not know")


class Refusal(BaseModel):
    """Why a request is refused, and what to do."""

    error: str
    hint: str
    problems: list[Problem] | None = Field(None, description="at most 100 of them")
    problem_count: int | None = None


class ModelAnswer(BaseModel):
    """A model and its champion. Of a collection: score, file and bucket in place of the metrics."""

    model: str
    version: str | None
    since: str | None = Field(None, description="when it became the champion")
    loaded_at: str | None = None
    sha256: str | None = None
    metrics: dict[str, float] | None = None
    previous: str | None = None
    columns: list[dict[str, Any]] | None = None
    problem: str | None = Field(None, description="why it may not be the version that it should be")


class ModelList(BaseModel):
    """All models."""

    models: list[ModelAnswer]


class Health(BaseModel):
    """`ok`; `degraded`: something older than wanted serves; `starting`."""

    status: str
    models: dict[str, dict[str, Any]] | None = None


def _refusals(**about: str) -> dict[int | str, dict[str, Any]]:
    return {int(name[1:]): {"model": Refusal, "description": text} for name, text in about.items()}


_NO_MODEL = {
    "_401": "the token is missing or wrong",
    "_404": "no such model",
    "_503": "no champion yet; try later",
}
HEALTH: dict[str, Any] = {
    "summary": "Whether each model serves what it should",
    "responses": {200: {"model": Health}, 503: {"model": Health, "description": "the server is starting"}},
}
MODELS: dict[str, Any] = {"summary": "All models", "responses": {200: {"model": ModelList}}}
MODEL: dict[str, Any] = {
    "summary": "The version that serves: metrics, since when, columns",
    "responses": {200: {"model": ModelAnswer}, **_refusals(**_NO_MODEL)},
}
EXAMPLE: dict[str, Any] = {
    "summary": "A body for predict, with a row from the middle of the training ranges",
    "responses": {200: {"model": PredictRequest}, **_refusals(**_NO_MODEL)},
}
PREDICT: dict[str, Any] = {
    "summary": "Predict rows",
    "responses": {
        200: {"model": PredictAnswer},
        **_refusals(
            **_NO_MODEL,
            _400="the body is not JSON",
            _408="the body did not arrive in time",
            _413="too many bytes or rows",
            _422="what is wrong, by row and column",
        ),
    },
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": PredictRequest.model_json_schema()}},
        }
    },
}
